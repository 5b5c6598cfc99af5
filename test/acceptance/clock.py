"""Acceptance (l): the wall clock jumps by a day, forward and back, and nothing changes.

The jump is libfaketime's: recoverd (keeper and engine) sees another CLOCK_REALTIME, while
CLOCK_MONOTONIC goes on and the times of files stay, as when somebody sets the clock of a machine.
"""
import datetime
import glob
import os

from harness import Daemon, kill, run, start_time, wait_for
from processes import RESTART, settings

DAY = 86_400

SERVICES = """
services:
  calm:
    run: {command: ["/bin/sleep", "1000"]}
    probes: [{exec: {command: ["/bin/true"]}, interval: 1s}]
    playbooks: [restart_it]
  mended:
    run: {command: ["/bin/sleep", "1001"]}
    playbooks: [take_time]
  broken:
    run: {command: ["/bin/sh", "-c", "sleep 0.6; exit 3"]}
    playbooks: [restart_it]
  asking:
    run: {command: ["/bin/sleep", "1002"]}
    playbooks: [restart_it]
    mode: semi-automatic
"""

# Waits, then fails twice before it works: the clock jumps during both.
TAKE_TIME = """
---
playbook: take_time
name: Takes its time
risk: low
triggers: [{failure: service_failure}]
steps:
  - {name: Wait, action: wait, timeout: 60s, with: {duration: 4s}}
  - name: Try
    action: exec
    timeout: 10s
    idempotent: true
    irreversible: true
    retry: {attempts: 3, backoff: {initial: 2s, multiplier: 1, jitter: none}}
    with: {command: ["/bin/sh", "-c", "echo >> @HOME@/tries; test $(wc -l < @HOME@/tries) -ge 3"]}
  - {name: Restart, action: restart, timeout: 10s}
validation: {within: 10s, stable_for: 2s, success_criteria: ["service_running == true"]}
escalate: {severity: high}
"""


class Clock:
    """The wall clock of one recoverd."""

    def __init__(self, daemon, library):
        self.file = daemon.home / "clock"
        self.daemon = daemon
        self.file.write_text("+0\n")
        daemon.environment.update({
            "LD_PRELOAD": library, "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1", "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1", "NO_FAKE_STAT": "1"})

    def offset(self):
        """In days, as recoverd sees it: by the last look of the calm service's probe."""
        looked = (self.daemon.service("calm").get("probes") or [{}])[0].get("checked_at")
        if not looked:
            return None
        at = datetime.datetime.fromisoformat(looked.replace("Z", "+00:00"))
        return round((at - datetime.datetime.now(datetime.timezone.utc)).total_seconds() / DAY)

    def jump(self, days):
        # Replaced at once: a clock never reads half a file.
        new = self.file.with_suffix(".new")
        new.write_text(f"{days * DAY:+d}\n")
        os.replace(new, self.file)
        wait_for(f"a look {days} days away", lambda: self.offset() == days)


def steps_of(recovery):
    return {step["name"]: step for step in recovery["steps"]}


def l_the_wall_clock_jumps_by_a_day():
    libraries = glob.glob("/usr/lib/*/faketime/libfaketimeMT.so.1")
    if not libraries:
        print("skipped: no libfaketime here (package faketime)")
        return
    daemon = Daemon(settings(breaker=3) + SERVICES)
    daemon.write(settings(breaker=3) + SERVICES,
                 RESTART + TAKE_TIME.replace("@HOME@", str(daemon.home)))
    clock = Clock(daemon, libraries[0])
    with daemon:
        for name in ("calm", "mended", "asking"):
            daemon.until(name, "healthy")
        wait_for("the breaker to open", lambda: daemon.service("broken").get("breaker") == "open")
        kill(daemon.pid("asking"))
        asked = daemon.until_ended("asking", "awaiting_approval")
        kept = {name: daemon.pid(name) for name in ("calm",)}
        stamps = {pid: start_time(pid) for pid in kept.values()}

        def nothing_changed():
            for name, pid in kept.items():
                assert daemon.pid(name) == pid and start_time(pid) == stamps[pid], name
                assert daemon.state(name) == "healthy", daemon.service(name)
            assert not daemon.incidents("calm") and not daemon.recoveries("calm")
            assert daemon.service("broken")["breaker"] == "open", daemon.service("broken")
            states = [one["state"] for one in daemon.recoveries("asking")]
            assert states == ["awaiting_approval"], states

        # Forward and back while a recovery waits, retries and proves itself stable.
        kill(daemon.pid("mended"))
        wait_for("the recovery to wait", lambda: daemon.recoveries("mended"))
        for days in (1, 0, -1, 0, 1):
            clock.jump(days)
            nothing_changed()
        done = daemon.until_recovered("mended")
        assert len(daemon.recoveries("mended")) == 1, daemon.recoveries("mended")
        steps = steps_of(daemon.ctl("recoveries", str(done["id"])))
        # A jump neither ends a wait early nor makes it last; a minute is any machine's load.
        assert 4_000 <= steps["Wait"]["duration_ms"] < 60_000, steps
        assert steps["Try"]["attempts"] == 3, steps
        assert 0 < done["duration_ms"] < 120_000 and done["rto_met"] is True, done

        # The engine comes back on another day: its own time goes on, the services stay.
        kept["mended"] = daemon.pid("mended")
        stamps[kept["mended"]] = start_time(kept["mended"])
        for days in (-1, 1, 0):
            before = daemon.engine()
            kill(before)
            clock.file.write_text(f"{days * DAY:+d}\n")
            wait_for("another engine", lambda: daemon.engine() not in (None, before))
            clock.jump(days)
            nothing_changed()
        daemon.ctl("approve", str(asked["id"]))
        daemon.until_recovered("asking")

        assert daemon.exit_code("journal", "verify").returncode == 0
        events = daemon.ctl("events", "--last", "7d")["events"]
        ids = [int(event["id"]) for event in events]
        assert ids == sorted(ids) or ids == sorted(ids, reverse=True), ids
        assert any(event["type"] == "recovery:succeeded" for event in events)


if __name__ == "__main__":
    run(l_the_wall_clock_jumps_by_a_day)
