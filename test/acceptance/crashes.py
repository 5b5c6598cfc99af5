"""Acceptance (h): kill -9 of the engine at random points of recoveries.

RECOVERD_KILLS says how many (20; `make soak`: 200).
"""
import os
import random
import time

from harness import Daemon, kill, run, start_time, wait_for
from processes import settings

PLAYBOOK = """
playbook: count_and_restart
name: An irreversible step, then a restart
triggers: [{failure: service_failure}]
steps:
  - {name: Count, action: exec, with: {command: ["/bin/sh", "-c", "echo $RECOVER_IDEMPOTENCY_KEY >> @HOME@/counted"]}, timeout: 5s, irreversible: true}
  - {name: Restart, action: restart, timeout: 10s}
validation: {within: 10s, stable_for: 200ms, success_criteria: ["service_running == true"]}
"""
SERVICES = """
services:
  web:
    run: {command: ["/bin/sleep", "1000"]}
    playbooks: [count_and_restart]
  bystander:
    run: {command: ["/bin/sleep", "1001"]}
    playbooks: [count_and_restart]
"""


def engine_killed_at_random_points():
    kills = int(os.environ.get("RECOVERD_KILLS", "20"))
    random.seed(7)
    daemon = Daemon("services: {}")
    daemon.write(settings(attempts=50, breaker=1000) + SERVICES,
                 PLAYBOOK.replace("@HOME@", str(daemon.home)))
    with daemon:
        daemon.until("web", "healthy")
        daemon.until("bystander", "healthy")
        bystander = daemon.pid("bystander")
        stamp = start_time(bystander)
        for _ in range(kills):
            victim = daemon.pid("web")
            if victim and start_time(victim):
                kill(victim)
            time.sleep(random.random() * 0.6)  # Where in the recovery it hits is the point.
            engine = wait_for("an engine", daemon.engine)
            kill(engine)
            wait_for("recoverd to answer again", lambda: daemon.ctl("status", ok=None))
            daemon.until("web", "healthy")
        assert start_time(bystander) == stamp, "a service noticed"
        assert daemon.pid("bystander") == bystander
        ended = {"succeeded", "rolled_back", "failed", "escalated", "rejected"}
        wait_for("every recovery to have ended",
                 lambda: all(r["state"] in ended for r in daemon.recoveries()))
        counted = (daemon.home / "counted").read_text().split()
        assert len(counted) == len(set(counted)), "an irreversible step ran twice"
        assert daemon.exit_code("journal", "verify").returncode == 0


def both_killed_and_services_adopted():
    with Daemon(settings() + SERVICES.replace("count_and_restart", "service_recovery_001")) as daemon:
        daemon.until("web", "healthy")
        daemon.until("bystander", "healthy")
        pids = {name: daemon.pid(name) for name in ("web", "bystander")}
        stamps = {name: start_time(pid) for name, pid in pids.items()}
        engine = daemon.engine()
        kill(daemon.keeper.pid)
        kill(engine)
        daemon.keeper.wait()
        daemon.start()
        daemon.until("web", "healthy")
        daemon.until("bystander", "healthy")
        for name, pid in pids.items():
            assert daemon.pid(name) == pid and start_time(pid) == stamps[name], name


if __name__ == "__main__":
    run(engine_killed_at_random_points, both_killed_and_services_adopted)
