#!/usr/bin/env python3
"""Failure patterns, end to end: a line of output or an error's text leads to the recovery that the
pattern names."""
from harness import Daemon, kill, run, start_time, wait_for

SETTINGS = """
auto_recovery:
  analysis: {analysis_timeout: 3s}
  recovery: {mode: automatic, retry_delay: 1s}
  safety: {cooldown: 1s, blast_radius: 100%}
"""


def worker(home, name="worker"):
    """Prints ETIMEDOUT as long as the file `broken` is older than itself."""
    script = home / f"{name}.sh"
    script.write_text(f"""#!/bin/sh
echo "{name} is up"
touch {home}/{name}.up
while :; do
  if [ -e {home}/broken-{name} ]; then echo "connect to 10.0.0.7: ETIMEDOUT"; rm {home}/broken-{name}; fi
  sleep 0.1
done
""")
    script.chmod(0o755)
    return f"""
  {name}:
    run: {{command: [{script}]}}
    probes:
      - process: {{}}
        interval: 500ms
"""


def pattern(recovery, extra=""):
    return f"""
patterns:
  - id: api_timeout
    pattern: "timeout|ETIMEDOUT"
    category: network
    severity: high
    cooldown: 2s
    recovery: [{recovery}]{extra}
"""


def a_line_heals_by_its_patterns_action():
    daemon = Daemon("services: {}")
    daemon.write(SETTINGS + "services:" + worker(daemon.home) +
                 pattern("{type: restart, priority: high}"))
    with daemon:
        daemon.until("worker", "healthy")
        before = daemon.pid("worker")
        started = start_time(before)
        (daemon.home / "broken-worker").touch()
        recovery = daemon.until_recovered("worker")
        assert recovery["playbook"] == "api_timeout:restart", [daemon.explain(r) for r in daemon.recoveries("worker")]
        assert daemon.pid("worker") != before and start_time(before) != started
        (incident,) = daemon.incidents("worker")
        assert incident["class"] == "connection" and incident["severity"] == "high", incident
        assert incident["symptoms"] == ["pattern_matched"], incident
        assert "ETIMEDOUT" in daemon.explain(recovery), daemon.explain(recovery)


def the_target_is_another_service():
    daemon = Daemon("services: {}")
    daemon.write(SETTINGS + "services:" + worker(daemon.home) + worker(daemon.home, "api") +
                 pattern("{type: reset_connection, target: api}"))
    with daemon:
        daemon.until("worker", "healthy")
        daemon.until("api", "healthy")
        worker_pid, api_pid = daemon.pid("worker"), daemon.pid("api")
        started = start_time(worker_pid)
        (daemon.home / "broken-worker").touch()
        recovery = daemon.until_recovered("worker")
        assert recovery["playbook"] == "api_timeout:reset_connection@api", recovery
        assert daemon.pid("api") != api_pid, "api was restarted"
        assert daemon.pid("worker") == worker_pid and start_time(worker_pid) == started


OWN = """
playbook: own
risk: low
triggers: [{pattern: network}]
steps:
  - {name: Note, action: exec, with: {command: [/bin/sh, -c, "echo incident $RECOVER_INCIDENT > @HOME@/noted"]}, timeout: 5s, irreversible: true}
validation:
  within: 5s
  stable_for: 200ms
  success_criteria: ["service_running == true"]
"""


def an_error_text_runs_a_playbook():
    daemon = Daemon("services: {}")
    service = f"""
  shop:
    run: {{command: ["/bin/sleep", "1000"]}}
    playbooks: []
    probes:
      - process: {{}}
        interval: 500ms
      - exec: {{command: [/bin/sh, -c, "test ! -e {daemon.home}/down || {{ echo upstream timeout; exit 1; }}"]}}
        interval: 300ms
        failure_threshold: 1000
"""
    daemon.write(SETTINGS + "services:" + service + pattern("{type: own}"),
                 OWN.replace("@HOME@", str(daemon.home)))
    with daemon:
        daemon.until("shop", "healthy")
        (daemon.home / "down").touch()
        wait_for("the playbook to run", (daemon.home / "noted").exists)
        noted = wait_for("its note", lambda: (daemon.home / "noted").read_text())
        (daemon.home / "down").unlink()
        daemon.until_recovered("shop")
        assert noted == "incident 1\n", noted


def output_that_is_no_text_does_no_harm():
    daemon = Daemon("services: {}")
    script = daemon.home / "noise.sh"
    script.write_text("#!/bin/sh\nprintf 'ETIMEDOUT \\377\\300\\n'\nexec sleep 1000\n")
    script.chmod(0o755)
    daemon.write(SETTINGS + f"services:\n  noise:\n    run: {{command: [{script}]}}\n"
                 + pattern("{type: notify}"))
    with daemon:
        wait_for("the incident", lambda: daemon.incidents("noise"))
        engine = daemon.engine()
        kill(engine)
        wait_for("another engine", lambda: daemon.engine() not in (None, engine))
        wait_for("its memory", lambda: daemon.ctl("incidents", ok=None) and daemon.incidents("noise"))


run(a_line_heals_by_its_patterns_action, the_target_is_another_service,
    an_error_text_runs_a_playbook, output_that_is_no_text_does_no_harm)
