"""Acceptance (a), (d), (i), (j), (k), (l): plain processes under every mode."""
import os
import pathlib
import signal
import time

from harness import Daemon, kill, run, start_time, wait_for

FAST = """
auto_recovery:
  detection: {monitoring_interval: 1s, failure_threshold: 2, success_threshold: 1}
  recovery: {mode: %(mode)s, max_attempts: %(attempts)s, retry_delay: 200ms}
  safety:
    cooldown: 100ms
    max_recoveries_per_hour: 1000
    blast_radius: 100%%
    require_checkpoint: false
    circuit_breaker: {failure_threshold: %(breaker)s, window: 10m, reset_timeout: 1h, half_open_requests: 1}
"""

RESTART = """
playbook: restart_it
name: Restart
risk: low
triggers: [{failure: service_failure}, {failure: connection}, {failure: timeout}]
steps:
  - {name: Restart, action: restart, timeout: 10s}
validation: {within: 5s, stable_for: 300ms, success_criteria: ["service_running == true"]}
escalate: {severity: high}
"""


def settings(mode="automatic", attempts=3, breaker=100):
    return FAST % {"mode": mode, "attempts": attempts, "breaker": breaker}


def sleeper(command='["/bin/sleep", "1000"]', extra=""):
    return f"""
services:
  web:
    run: {{command: {command}}}
    playbooks: [restart_it]
{extra}"""


def a_killed_process_comes_back():
    with Daemon(settings() + sleeper(), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        kill(before)
        recovery = daemon.until_recovered("web")
        assert daemon.pid("web") != before
        assert recovery["rto_met"] is True, recovery
        text = daemon.explain(recovery)
        assert "process_crash" in text and "restart_it" in text, text
        assert daemon.exit_code("health", "check").returncode == 0
        assert daemon.exit_code("journal", "verify").returncode == 0


def a_crash_of_one_instance_restarts_that_one_only():
    config = settings() + """
services:
  web:
    run: {command: [/bin/sleep, "1000"], instances: 3}
    playbooks: [service_recovery_001]
"""
    with Daemon(config) as daemon:
        daemon.until("web", "healthy")
        before = [each["pid"] for each in daemon.service("web")["instances"]]
        kill(before[1])
        daemon.until_recovered("web")
        after = daemon.service("web")["instances"]
        assert [after[0]["pid"], after[2]["pid"]] == [before[0], before[2]], (before, after)
        assert after[1]["pid"] not in (None, before[1]), (before, after)
        assert [each["restarts"] for each in after] == [0, 1, 0], after


def what_was_restarted_stays():
    """Nothing of the process before reaches the next one: no late kill, no exit it did not make."""
    config = settings() + """
services:
  web:
    run: {command: [/bin/sleep, "1000"], stop: {timeout: 300ms}}
    playbooks: [restart_it]
"""
    with Daemon(config, RESTART) as daemon:
        daemon.until("web", "healthy")
        for _ in range(10):
            daemon.ctl("restart", "web")
        last = daemon.pid("web")
        time.sleep(1)  # Longer than the stop timeout: whatever was still armed has gone off.
        assert daemon.pid("web") == last, "it was killed after its restart"
        assert not daemon.incidents("web"), daemon.incidents("web")


def a_whole_tree_comes_back():
    script = '["/bin/sh", "-c", "sleep 1001 & sleep 1002 & wait"]'
    with Daemon(settings() + sleeper(script), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        os.killpg(before, signal.SIGKILL)
        daemon.until_recovered("web")
        after = daemon.pid("web")
        # Only the leader dies: what it leaves behind must not live on beside its successor.
        left = [int(c) for c in pathlib.Path(f"/proc/{after}/task/{after}/children").read_text().split()]
        stamps = {pid: start_time(pid) for pid in left}
        kill(after)
        daemon.until_recovered("web", 2)
        for pid, stamp in stamps.items():
            wait_for(f"the orphan {pid} to be gone", lambda: start_time(pid) != stamp)


def d_crash_loop_opens_the_breaker():
    # It starts well, passes validation, and dies a moment later, for ever.
    script = '["/bin/sh", "-c", "sleep 0.6; exit 3"]'
    with Daemon(settings(breaker=3) + sleeper(script), RESTART) as daemon:
        wait_for("the breaker to open", lambda: daemon.service("web").get("breaker") == "open")
        wait_for("the incident to be escalated",
                 lambda: any(i["state"] == "escalated" for i in daemon.incidents("web")))
        count = len(daemon.recoveries("web"))
        events = daemon.ctl("events", "--type", "circuit:open")["events"]
        assert events, "no circuit:open event"
        starts = (daemon.home / "log").read_text().count("recovery:action")
        # Quiet: nothing more is tried, however often somebody looks.
        for _ in range(20):
            daemon.ctl("status", ok=None)
        assert len(daemon.recoveries("web")) == count
        assert (daemon.home / "log").read_text().count("recovery:action") == starts


def i_shadow_runs_nothing_and_plans_the_same():
    plans = {}
    for mode in ("shadow", "automatic"):
        with Daemon(settings(mode) + sleeper(), RESTART) as daemon:
            daemon.until("web", "healthy")
            before = daemon.pid("web")
            kill(before)
            wanted = "shadow" if mode == "shadow" else "succeeded"
            recovery = daemon.until_ended("web", wanted)
            plans[mode] = [(step["name"], step["action"]) for step in recovery["steps"]
                           if step["action"] != "checkpoint"]
            if mode == "shadow":
                assert daemon.state("web") == "failed", daemon.service("web")
                assert daemon.pid("web") in (None, 0), daemon.service("web")
    assert plans["shadow"] == plans["automatic"], plans


def j_semi_automatic_waits_for_the_approved_plan():
    with Daemon(settings("semi-automatic") + sleeper(), RESTART) as daemon:
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        recovery = daemon.until_ended("web", "awaiting_approval")
        assert daemon.state("web") != "healthy"
        rejected = daemon.exit_code("reject", str(recovery["id"]), "--comment", "not now")
        assert rejected.returncode == 0, rejected.stderr
        daemon.until_ended("web", "rejected")
        stale = daemon.exit_code("approve", str(recovery["id"]))
        assert stale.returncode == 6, (stale.returncode, stale.stdout, stale.stderr)
        assert daemon.state("web") != "healthy"

    with Daemon(settings("semi-automatic") + sleeper(), RESTART) as daemon:
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        recovery = daemon.until_ended("web", "awaiting_approval")
        daemon.ctl("approve", str(recovery["id"]), "--comment", "go")
        healed = daemon.until_recovered("web")
        assert healed["id"] == recovery["id"]


def k_failed_validation_rolls_back_and_the_next_playbook_is_tried():
    playbooks = """
playbook: useless
name: Does not help
triggers: [{symptom: probe_failed}]
steps:
  - {name: Mark, action: exec, with: {command: [touch, @HOME@/marked]}, timeout: 5s, undo: {action: exec, with: {command: [touch, @HOME@/undone]}}}
validation: {within: 1s, stable_for: 100ms, success_criteria: ["health_check_passing == true"]}
---
playbook: helpful
name: Helps
triggers: [{symptom: probe_failed}]
steps:
  - {name: Mend, action: exec, with: {command: [touch, @HOME@/mended]}, timeout: 5s, irreversible: true}
validation: {within: 5s, stable_for: 100ms, success_criteria: ["health_check_passing == true"]}
"""
    service = """
services:
  web:
    run: {command: ["/bin/sleep", "1000"]}
    probes:
      - exec: {command: ["/bin/sh", "-c", "test ! -e @HOME@/broken || test -e @HOME@/mended"]}
        interval: 200ms
        timeout: 2s
    playbooks: [useless, helpful]
"""
    daemon = Daemon(settings() + service)
    daemon.write(settings() + service, playbooks.replace("@HOME@", str(daemon.home)))
    with daemon:
        daemon.until("web", "healthy")
        (daemon.home / "broken").touch()
        first = daemon.until_ended("web", "rolled_back")
        assert first["playbook"] == "useless", first
        assert (daemon.home / "undone").exists()
        second = daemon.until_recovered("web")
        assert second["playbook"] == "helpful", second


def wrong_configuration_says_where():
    import subprocess
    from harness import BIN
    daemon = Daemon("services:\n  web:\n    run: {comand: [x]}\n")
    done = subprocess.run([BIN / "recoverd", "check", "--config", daemon.config],
                          capture_output=True, text=True)
    assert done.returncode == 2 and ":7:" in done.stdout and "command" in done.stdout, done
    done = subprocess.run([BIN / "recoverd", "run", "--config", daemon.config],
                          capture_output=True, text=True, timeout=30)
    assert done.returncode == 2 and "comand" in done.stderr, done
    daemon.close()


if __name__ == "__main__":
    run(a_killed_process_comes_back, a_crash_of_one_instance_restarts_that_one_only, what_was_restarted_stays,
        a_whole_tree_comes_back, d_crash_loop_opens_the_breaker,
        i_shadow_runs_nothing_and_plans_the_same, j_semi_automatic_waits_for_the_approved_plan,
        k_failed_validation_rolls_back_and_the_next_playbook_is_tried,
        wrong_configuration_says_where)
