"""Acceptance (h): kill -9 of the engine at random points of recoveries.

RECOVERD_KILLS says how many (20; `make soak`: 200). RECOVERD_SERVICES services (100; `make soak`: 1,000)
live through RECOVERD_ENGINE_KILLS (10; 100) of them.
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


def no_service_notices_kills_of_the_engine():
    """None restarted, none lost, none doubled: each has written one line and is that process still."""
    services = int(os.environ.get("RECOVERD_SERVICES", "100"))
    kills = int(os.environ.get("RECOVERD_ENGINE_KILLS", "10"))
    random.seed(11)
    text = settings(attempts=50, breaker=1000) + "services:\n"
    for i in range(services):
        text += (f"  s{i}: {{run: {{command: [/bin/sh, -c, \"echo $$ >> @HOME@/began{i}; exec sleep 9999\"]}}, "
                 "playbooks: [service_recovery_001]}\n")
    with Daemon(text) as daemon:
        began = [daemon.home / f"began{i}" for i in range(services)]
        wait_for("all services", lambda: all(path.exists() and path.read_text() for path in began))
        stamps = {int(path.read_text()): start_time(int(path.read_text())) for path in began}
        assert len(stamps) == services and None not in stamps.values()
        for _ in range(kills):
            kill(wait_for("an engine", daemon.engine))
            time.sleep(random.random() * 0.5)  # Where in its start it hits is the point.
        wait_for("recoverd to answer again", lambda: daemon.ctl("status", ok=None))
        wait_for("every service to be healthy",
                 lambda: all(each["state"] == "healthy" for each in daemon.ctl("services")["services"]))
        assert {each["pid"] for each in daemon.ctl("services")["services"]} == set(stamps)
        for path in began:
            lines = path.read_text().split()
            assert len(lines) == 1, f"{path.name}: started {len(lines)} times"
            assert start_time(int(lines[0])) == stamps[int(lines[0])], f"{path.name}: lost"
        assert not daemon.incidents(), daemon.incidents()
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
    run(engine_killed_at_random_points, no_service_notices_kills_of_the_engine, both_killed_and_services_adopted)
