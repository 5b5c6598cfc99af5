// The example of the manual: every key there is.
#pragma once

#include <string_view>

namespace recover::config {

inline constexpr std::string_view kExample = R"yaml(version: 1
state_dir: /var/lib/recoverd          # journal, checkpoints, runtime state
environment: production
api: {socket: /run/recoverd/api.sock, http: 127.0.0.1:7373, tls: {cert: /etc/recoverd/cert.pem, key: /etc/recoverd/key.pem}}

auto_recovery:
  enabled: true
  detection:  {monitoring_interval: 10s, failure_threshold: 3, success_threshold: 2, sensitivity: high}   # low | medium | high
  analysis:   {analysis_timeout: 30s, confidence_threshold: 0.7}
  recovery:   {mode: automatic, max_concurrent_recoveries: 5, recovery_timeout: 300s, max_attempts: 3, retry_delay: 60s}
  validation: {validation_timeout: 60s, require_all_checks: true}
  learning:   {enabled: true, update_interval: 1h, min_samples: 10, confidence_threshold: 0.8}
  safety:     {enable_rollback: true, require_checkpoint: true, max_rollback_attempts: 2,
               circuit_breaker: {failure_threshold: 5, window: 10m, reset_timeout: 60s, half_open_requests: 3},
               cooldown: 30s, max_recoveries_per_hour: 20, blast_radius: 25%}
  conditions: [build_failure, resource_exhaustion, minor_corruption]

recovery_actions:
  resource_exhaustion: [free_resources, adjust_limits, restart]

services:
  db:
    systemd: postgresql@15-main.service
    priority: critical
    probes:
      - postgres: {dsn: "${env:DB_DSN}", max_replication_lag: 100ms}
  web:
    run:
      command: [nginx, -g, "daemon off;"]
      user: www-data
      environment: {LANG: C.UTF-8, TOKEN: "${file:/run/secrets/token}"}
      working_directory: /srv
      instances: 2
      scale: {min: 1, max: 4}
      ready: {notify: true}
      watchdog: 10s
      stop: {signal: TERM, timeout: 10s}
      limits: {memory: 512MiB, cpu: 150%, pids: 512, files: 65536}
      output: {path: /var/log/web.log, rotate: 10MiB, keep: 5}
    depends_on: [db]
    state: [/etc/nginx, /srv/conf]
    probes:
      - http: {url: "http://127.0.0.1:8080/health", status: [200], body_matches: ok, max_latency: 5s}
        interval: 1s
        timeout: 500ms
    priority: high
    playbooks: [service_recovery_001]

checkpoint: {after: 5m, keep: 10}

monitoring:
  interval: 30s
  resources:  {cpu: true, memory: true, disk: [/, /var], inodes: true, pressure: true, files: true}
  thresholds: {cpu: {value: 90%, for: 5m}, memory: {value: 85%, for: 5m}, disk_usage: 90%, response_time: 5s, error_rate: 5%, queue_depth: 100}
  levels:     {warning: 70%, critical: 85%, emergency: 95%}

patterns:
  - {id: api_timeout, pattern: "timeout|ETIMEDOUT", category: network, severity: medium, cooldown: 30s, recovery: [{type: reset_connection, target: api, priority: high}]}

playbooks:   [./playbooks/*.yaml]
)yaml";

}  // namespace recover::config
