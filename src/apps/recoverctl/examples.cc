#include "apps/recoverctl/examples.h"

#include <algorithm>
#include <array>
#include <utility>

namespace recover::apps {

namespace {

using Example = std::pair<std::string_view, std::string_view>;

constexpr std::array<Example, 69> kExamples{{
    {"status", "recoverctl --watch status"},
    {"services", "recoverctl services web"},
    {"start", "recoverctl start web"},
    {"stop", "recoverctl stop web --timeout 30s"},
    {"restart", "recoverctl restart web --no-wait"},
    {"reload", "recoverctl reload web"},
    {"quarantine", "recoverctl quarantine web"},
    {"release", "recoverctl release web"},
    {"scale", "recoverctl scale web 3"},
    {"health check", "recoverctl health check --thorough || page-somebody"},
    {"monitor resources", "recoverctl --watch=10s monitor resources"},
    {"incidents", "recoverctl incidents inc-12"},
    {"recoveries", "recoverctl recoveries --json | jq '.recoveries[].state'"},
    {"explain", "recoverctl explain rec-7"},
    {"recover", "recoverctl recover web --playbook service_recovery_001 --wait"},
    {"approve", "recoverctl approve rec-7 --comment 'disk was swapped'"},
    {"reject", "recoverctl reject rec-7 --comment 'not during the sale'"},
    {"mode get", "recoverctl mode get"},
    {"mode set", "recoverctl mode set shadow --service web"},
    {"maintenance start", "recoverctl maintenance start --service db --for 30m"},
    {"maintenance stop", "recoverctl maintenance stop --service db"},
    {"maintenance list", "recoverctl maintenance list"},
    {"kill-switch on", "recoverctl kill-switch on"},
    {"kill-switch off", "recoverctl kill-switch off"},
    {"heartbeat", "recoverctl heartbeat nightly-backup"},
    {"breaker list", "recoverctl breaker list"},
    {"breaker reset", "recoverctl breaker reset web"},
    {"patterns list", "recoverctl patterns list"},
    {"patterns add", "recoverctl patterns add oom 'Out of memory' --category memory"},
    {"patterns remove", "recoverctl patterns remove oom"},
    {"patterns test", "recoverctl patterns test 'read: ETIMEDOUT'"},
    {"config get", "recoverctl config get auto_recovery.recovery.mode"},
    {"config set", "recoverctl config set auto_recovery.recovery.mode automatic"},
    {"config reload", "recoverctl config reload"},
    {"config history", "recoverctl config history"},
    {"config diff", "recoverctl config diff 3f2a9c1b latest"},
    {"daemon reexec", "recoverctl daemon reexec"},
    {"events", "recoverctl events --last 1h --service web --type recovery:"},
    {"logs show", "recoverctl logs show --service web --level ERROR --follow"},
    {"journal verify", "recoverctl journal verify"},
    {"statistics", "recoverctl statistics"},
    {"checkpoint create", "recoverctl checkpoint create before-upgrade --service web"},
    {"checkpoint list", "recoverctl checkpoint list --service web"},
    {"checkpoint show", "recoverctl checkpoint show last-good --service web"},
    {"checkpoint restore", "recoverctl checkpoint restore last-good --service web"},
    {"checkpoint prune", "recoverctl checkpoint prune"},
    {"backup init", "RESTIC_PASSWORD=... recoverctl backup init --repo /mnt/backup"},
    {"backup create", "recoverctl backup create --repo /mnt/backup --exclude '*.tmp' /etc /srv"},
    {"backup status", "recoverctl backup status --json | jq '.backups[].rpo_seconds'"},
    {"backup test-restore", "recoverctl backup test-restore db"},
    {"backup drill", "recoverctl backup drill db --timeout 4h"},
    {"backup drills", "recoverctl backup drills db"},
    {"backup list", "recoverctl backup list --repo /mnt/backup --json"},
    {"backup restore", "recoverctl backup restore latest --type etc --to /tmp/old"},
    {"backup verify", "recoverctl backup verify --all --repo /mnt/backup"},
    {"backup prune", "recoverctl backup prune --keep-daily 7 --keep-weekly 4 --dry-run"},
    {"backup repair", "recoverctl backup repair --from / --repo /mnt/backup"},
    {"backup mirror", "recoverctl backup mirror --repo mirror:offsite --catch-up"},
    {"backup find", "recoverctl backup find 'nginx.conf' --repo /mnt/backup"},
    {"backup diff", "recoverctl backup diff 1b0ee8a1 latest --repo /mnt/backup"},
    {"backup dump", "recoverctl backup dump latest /etc/fstab --repo /mnt/backup"},
    {"backup copy", "recoverctl backup copy --repo /mnt/backup --to /mnt/second"},
    {"backup cat", "recoverctl backup cat snapshot latest --repo /mnt/backup"},
    {"backup key list", "recoverctl backup key list --repo /mnt/backup"},
    {"backup key add", "recoverctl backup key add --new-password-file new.txt --repo /mnt/backup"},
    {"backup key remove", "recoverctl backup key remove 5c5b9b1a --repo /mnt/backup"},
    {"backup unlock", "recoverctl backup unlock --repo /mnt/backup"},
    {"completion", "recoverctl completion bash >/etc/bash_completion.d/recoverctl"},
    {"man", "recoverctl man | man -l -"},
}};

}  // namespace

std::string_view example_of(std::string_view command) noexcept {
  const auto found = std::find_if(kExamples.begin(), kExamples.end(),
                                  [command](const Example& each) { return each.first == command; });
  return found == kExamples.end() ? std::string_view() : found->second;
}

std::string example_text(std::string_view command) {
  const std::string_view example = example_of(command);
  return example.empty() ? std::string() : "Example:\n  " + std::string(example);
}

}  // namespace recover::apps
