#!/usr/bin/env python3
"""A primary that cannot come back, and its standby: the built-in failover, approved by a person."""
from harness import Daemon, free_port, kill, run, wait_for

SETTINGS = """
auto_recovery:
  detection: {failure_threshold: 2, success_threshold: 1}
  analysis: {analysis_timeout: 3s}
  recovery: {mode: automatic, retry_delay: 1s, max_attempts: 5}
  safety: {cooldown: 1s, blast_radius: 100%}
monitoring: {interval: 500ms}
"""


def redis(home, name, port, extra):
    return f"""
  {name}:
    run: {{command: [/bin/sh, -c, "test -e {home}/{name}.ok && exec redis-server --port {port} --bind 127.0.0.1 --save '' --appendonly no"]}}
    probes:
      - redis: {{port: {port}}}
        interval: 200ms
        timeout: 500ms
{extra}
"""


def the_standby_takes_the_place_of_the_primary():
    daemon = Daemon("services: {}")
    for name in ("primary", "standby"):
        (daemon.home / f"{name}.ok").touch()
    # A stopped redis does not answer; what does not answer is out of reach.
    pattern = """
patterns:
  - {id: lost, pattern: "primary is lost", category: system, recovery: [{type: failover_recovery_001}]}
"""
    daemon.write(SETTINGS + "services:" +
                 redis(daemon.home, "primary", free_port(), "    standby: standby\n    playbooks: []") +
                 redis(daemon.home, "standby", free_port(), "    autostart: false\n    playbooks: []") +
                 f"""
  watcher:
    run: {{command: ["/bin/sleep", "1000"]}}
    depends_on: [primary]
    probes: [{{process: {{}}, interval: 500ms}}]
""" + pattern)
    with daemon:
        daemon.until("primary", "healthy")
        daemon.until("watcher", "healthy")
        assert daemon.state("standby") == "stopped", daemon.service("standby")
        kill(daemon.pid("primary"))
        (daemon.home / "primary.ok").unlink()
        daemon.ctl("recover", "primary", "--playbook", "failover_recovery_001", ok=None)
        recovery = wait_for("the question", lambda: [
            r for r in daemon.recoveries("primary") if r["state"] == "awaiting_approval"])[0]
        daemon.ctl("approve", str(recovery["id"]))
        wait_for("the failover", lambda: [
            r for r in daemon.recoveries("primary") if r["state"] == "succeeded"])
        daemon.until("standby", "healthy")
        daemon.until("primary", "stopped")
        daemon.until("watcher", "healthy")
        # Back again, by hand.
        (daemon.home / "primary.ok").touch()
        daemon.ctl("start", "primary")
        daemon.until("primary", "healthy")


run(the_standby_takes_the_place_of_the_primary)
