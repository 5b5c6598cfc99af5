"""Acceptance: what users of other supervisors ask for and do not get. Each wish has one test that is
called after it; the numbers are those of the issues in the peers' own trackers.

| wish                                    | asked for in                          | test here, and what else proves it
|-----------------------------------------|---------------------------------------|-----------------------------------
| liveness checks by the supervisor       | systemd #9075 #20265                  | liveness_checks_by_the_supervisor_itself
| backoff instead of giving up            | supervisor #487 #323 #1509,           | backoff_instead_of_giving_up
|                                         | systemd #6129                         |   Engine.AttemptsAreFurtherAndFurtherApart…
| its reset after health returns          | systemd #43813                        | backoff_is_reset_after_health_returns
| dependents wait for ready               | supervisor #122 #1336                 | dependents_wait_for_ready
| and come back after the dependency      | systemd #18856 #1312                  | dependents_come_back_after_the_dependency_recovers
| the whole tree ended                    | supervisor #1101 #1396                | the_whole_tree_is_ended
| finally failed told from retrying       | systemd #8398 #27594                  | finally_failed_is_told_apart_from_retrying
|                                         |                                       |   supervisorctl.what_fails_is_told_apart
| no CPU burnt on a closed output         | supervisor #807                       | a_closed_output_burns_no_cpu
| no freeze on a flood, or a full pipe    | supervisor #1348 #1554                | a_flood_of_output_freezes_nobody,
|                                         |                                       | a_full_pipe_freezes_nobody
| reload without restarting everything    | supervisor #720 #1154                 | a_reload_restarts_only_what_changed
|                                         |                                       |   supervisorctl.reread_update_and_reload
| graceful restart on a memory threshold  | systemd #25966                        | a_graceful_restart_on_a_memory_threshold
|                                         |                                       |   ProcessProbe.TheMemoryOfTheWholeTree
| no silent "unmonitored" state           | monit                                 | there_is_no_silent_unmonitored_state
"""
import fcntl
import os
import pathlib
import signal
import subprocess
import time

from harness import BIN, Daemon, free_port, kill, run, start_time, wait_for
from processes import settings

ANY = """
playbook: restart_it
name: Restart
triggers: [{failure: service_failure}, {failure: connection}, {failure: timeout}, {symptom: memory_pressure}]
steps:
  - {name: Restart, action: restart, timeout: 10s}
validation: {within: 5s, stable_for: 300ms, success_criteria: ["service_running == true"]}
"""


def liveness_checks_by_the_supervisor_itself():
    """systemd #9075, #20265: a process that lives and does not answer is dead to its users."""
    port = free_port()
    services = f"""
services:
  web:
    run: {{command: [python3, -m, http.server, "{port}", --bind, 127.0.0.1]}}
    probes:
      - http: {{url: "http://127.0.0.1:{port}/"}}
        interval: 200ms
        timeout: 500ms
    playbooks: [restart_it]
"""
    with Daemon(settings() + services, ANY) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        kill(before, signal.SIGSTOP)
        daemon.until_recovered("web")
        assert daemon.pid("web") != before
        assert start_time(before) is None


def backoff_instead_of_giving_up():
    """supervisor #487, #323, #1509; systemd #6129: whoever fails often is tried less often, not
    never: it comes back by itself once its trouble is over."""
    services = """
services:
  web:
    run: {command: [/bin/sh, -c, "test -e @HOME@/good && exec sleep 1000; exit 3"]}
    playbooks: [restart_it]
"""
    text = settings(attempts=10000).replace("retry_delay: 200ms", "retry_delay: 50ms, retry_delay_max: 300ms")
    text = text.replace("safety:", "learning: {enabled: false}\n  safety:\n    playbook_breaker_threshold: 1000", 1)
    with Daemon(text + services, ANY) as daemon:
        wait_for("a dozen attempts", lambda: len(daemon.recoveries("web")) >= 12)
        tried = daemon.recoveries("web")
        assert len({one["incident"] for one in tried}) == 1, tried
        assert daemon.incidents("web")[-1]["state"] in ("open", "recovering"), daemon.incidents("web")
        (daemon.home / "good").touch()
        daemon.until_recovered("web")
        daemon.until("web", "healthy")


def backoff_is_reset_after_health_returns():
    """systemd #43813: the first failure after a good time is answered at once again."""
    services = """
services:
  web:
    run: {command: [/bin/sh, -c, "test -e @HOME@/bad && exit 3; exec sleep 1000"]}
    playbooks: [restart_it]
"""
    # The pauses are 0.7, 7 and then 70 s: one that was not reset is waited for in vain.
    text = settings(attempts=1000).replace("retry_delay: 200ms", "retry_delay: 700ms, retry_multiplier: 10, "
                                           "retry_delay_max: 1h")
    with Daemon(text + services, ANY) as daemon:
        daemon.until("web", "healthy")
        (daemon.home / "bad").touch()
        kill(daemon.pid("web"))
        wait_for("two attempts", lambda: len(daemon.recoveries("web")) >= 2)
        (daemon.home / "bad").unlink()
        daemon.until_recovered("web")
        before = daemon.pid("web")
        kill(before)
        daemon.until_recovered("web", 2)
        assert daemon.pid("web") != before


def dependents_wait_for_ready():
    """supervisor #122, #1336: started is not ready."""
    services = """
services:
  db:
    run:
      command: [/bin/sh, -c, "while ! test -e @HOME@/ready; do sleep 0.05; done; echo db >> @HOME@/order; systemd-notify --ready; exec sleep 1000"]
      ready: {notify: true}
    playbooks: [restart_it]
  web:
    run: {command: [/bin/sh, -c, "echo web >> @HOME@/order; exec sleep 1000"]}
    depends_on: [db]
    playbooks: [restart_it]
"""
    with Daemon(settings() + services, ANY) as daemon:
        wait_for("db to run", lambda: daemon.pid("db"))
        assert daemon.pid("web") in (None, 0) and daemon.state("db") == "starting", daemon.services()
        (daemon.home / "ready").touch()
        daemon.until("web", "healthy")
        assert (daemon.home / "order").read_text().split() == ["db", "web"]


def dependents_come_back_after_the_dependency_recovers():
    """systemd #18856, #1312: nobody has to start them by hand."""
    services = """
services:
  db:
    run: {command: [/bin/sh, -c, "touch @HOME@/up; trap 'rm -f @HOME@/up' EXIT; sleep 1000 & wait"]}
    probes: [{file: {path: @HOME@/up}, interval: 200ms}]
    playbooks: [restart_it]
  web:
    run: {command: [/bin/sh, -c, "while test -e @HOME@/up; do sleep 0.05; done; exit 4"]}
    depends_on: [db]
    playbooks: [restart_it]
"""
    with Daemon(settings() + services, ANY) as daemon:
        daemon.until("web", "healthy")
        db, web = daemon.pid("db"), daemon.pid("web")
        (daemon.home / "up").unlink()
        wait_for("both to be others", lambda: daemon.pid("db") not in (None, 0, db)
                 and daemon.pid("web") not in (None, 0, web))
        for name in ("db", "web"):
            daemon.until(name, "healthy")
        # A service that could not start for want of it comes, too.
        daemon.ctl("stop", "web")
        daemon.ctl("stop", "db")
        daemon.ctl("start", "db")
        daemon.ctl("start", "web")
        daemon.until("web", "healthy")


def the_whole_tree_is_ended():
    """supervisor #1101, #1396: also what made a session of its own and ignores TERM."""
    child = "trap '' TERM HUP; echo $$ > @HOME@/stray; while :; do sleep 0.1; done"
    services = f"""
services:
  web:
    run:
      command: [/bin/sh, -c, "setsid sh -c \\"{child}\\" & (setsid sleep 1001 &) ; exec sleep 1000"]
      stop: {{timeout: 500ms}}
    playbooks: [restart_it]
"""
    with Daemon(settings() + services, ANY) as daemon:
        daemon.until("web", "healthy")
        stray = wait_for("the stray", lambda: (daemon.home / "stray").exists()
                         and (daemon.home / "stray").read_text().strip())
        members = {int(stray): start_time(int(stray)), daemon.pid("web"): start_time(daemon.pid("web"))}
        daemon.ctl("stop", "web")
        for pid, stamp in members.items():
            assert start_time(pid) != stamp, f"{pid} was left behind"
        (daemon.home / "stray").unlink()
        daemon.ctl("start", "web")
        # And when the leader crashes: nothing of it lives on beside its successor.
        stray = int(wait_for("the stray", lambda: (daemon.home / "stray").exists()
                             and (daemon.home / "stray").read_text().strip()))
        stamp = start_time(stray)
        kill(daemon.pid("web"))
        daemon.until_recovered("web")
        assert start_time(stray) != stamp, f"{stray} was left behind"


def finally_failed_is_told_apart_from_retrying():
    """systemd #8398, #27594: people are told once, when it is their turn."""
    services = """
services:
  broken:
    run: {command: [/bin/false]}
    playbooks: [restart_it]
"""
    with Daemon(settings(attempts=3) + services, ANY) as daemon:
        wait_for("the end of trying", lambda: any(
            one["state"] == "escalated" for one in daemon.incidents("broken")))
        escalated = [one for one in daemon.ctl("events", "--type", "incident:escalated")["events"]
                     if one["service"] == "broken"]
        assert len(escalated) == 1, escalated
        assert "3 attempts failed" in escalated[0]["message"], escalated
        assert daemon.exit_code("health", "check").returncode == 1
        assert len(daemon.recoveries("broken")) == 3
    patient = settings(attempts=100).replace("retry_delay: 200ms", "retry_delay: 1h")
    with Daemon(patient + services, ANY) as daemon:
        daemon.until_ended("broken", "failed", "rolled_back")
        incident = daemon.incidents("broken")[-1]
        assert incident["state"] in ("open", "recovering"), incident
        assert not daemon.ctl("events", "--type", "incident:escalated")["events"]


def cpu_seconds(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def a_closed_output_burns_no_cpu():
    """supervisor #807: a child that closes its outputs and lives on makes nobody spin."""
    services = """
services:
  web:
    run: {command: [/bin/sh, -c, "echo bye; exec >&- 2>&-; exec sleep 1000"]}
    playbooks: [restart_it]
"""
    with Daemon(settings() + services, ANY) as daemon:
        daemon.until("web", "healthy")
        engine = daemon.engine()
        before = cpu_seconds(engine)
        time.sleep(2)  # A spinning engine would use most of it.
        assert cpu_seconds(engine) - before < 0.5, "it spins"
        assert "bye" in str(daemon.ctl("logs", "show", "--service", "web"))


def a_flood_of_output_freezes_nobody():
    """supervisor #1554, #1348: neither the child nor recoverd nor the other services."""
    services = """
services:
  flood:
    run: {command: [/bin/sh, -c, "head -c 100000000 /dev/zero | tr '\\\\0' x | fold -w 200; while :; do echo through; sleep 0.1; done"]}
    playbooks: [restart_it]
  web:
    run: {command: [/bin/sleep, "1000"]}
    playbooks: [restart_it]
"""
    with Daemon(settings() + services, ANY) as daemon:
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        daemon.until_recovered("web")
        wait_for("the flood to pass", lambda: "through" in str(
            daemon.ctl("logs", "show", "--service", "flood")))
        # What it keeps of it is bounded.
        status = pathlib.Path(f"/proc/{daemon.engine()}/status").read_text()
        kilobytes = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        assert kilobytes < 200_000, kilobytes


def a_full_pipe_freezes_nobody():
    """supervisor #1348: recoverd's own log goes to a pipe that nobody reads any more."""
    services = """
services:
  web:
    run: {command: [/bin/sh, -c, "sleep 0.2; exit 1"]}
    playbooks: [restart_it]
"""
    text = settings(attempts=1000, breaker=1000).replace(
        "retry_delay: 200ms", "retry_delay: 50ms, retry_delay_max: 50ms")
    text = text.replace("safety:", "safety:\n    playbook_breaker_threshold: 1000", 1)
    daemon = Daemon(text + services, ANY)
    reader, writer = os.pipe()
    try:
        fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ
        daemon.keeper = subprocess.Popen([BIN / "recoverd", "run", "--config", daemon.config],
                                         stdin=subprocess.DEVNULL, stdout=writer, stderr=writer,
                                         start_new_session=True)
        wait_for("recoverd to answer", lambda: daemon.ctl("status", ok=None) is not None)
        wait_for("more than the pipe holds", lambda: len(daemon.recoveries("web")) >= 8)
        assert daemon.ctl("status", ok=None) is not None
    finally:
        daemon.close()
        os.close(reader)
        os.close(writer)


def a_reload_restarts_only_what_changed():
    """supervisor #720, #1154."""
    services = """
services:
  same: {run: {command: [/bin/sleep, "1000"]}, playbooks: [restart_it]}
  watched: {run: {command: [/bin/sleep, "1000"]}, playbooks: [restart_it]}
  other: {run: {command: [/bin/sleep, "%s"]}, playbooks: [restart_it]}
"""
    with Daemon(settings() + services % "1000", ANY) as daemon:
        for name in ("same", "watched", "other"):
            daemon.until(name, "healthy")
        pids = {name: daemon.pid(name) for name in ("same", "watched", "other")}
        changed = (services % "2000").replace(
            "watched: {run", "watched: {priority: critical, probes: [{process: {}}], run")
        daemon.write(settings() + changed + "  more: {run: {command: [/bin/sleep, \"1000\"]}}\n", ANY)
        told = daemon.ctl("config", "reload")
        assert told["restarted"] == ["other"] and told["added"] == ["more"], told
        daemon.until("more", "healthy")
        assert daemon.pid("same") == pids["same"] and daemon.pid("watched") == pids["watched"]
        wait_for("other to be new", lambda: daemon.pid("other") not in (None, 0, pids["other"]))
        assert not daemon.incidents(), daemon.incidents()


def a_graceful_restart_on_a_memory_threshold():
    """systemd #25966: TERM and time to finish, instead of the kernel's KILL."""
    grows = ("import os, signal, sys, time\\n"
             "def end(*_): open('@HOME@/graceful', 'w').close(); sys.exit(0)\\n"
             "signal.signal(signal.SIGTERM, end)\\n"
             "held = b'x' * (80 << 20) if os.path.exists('@HOME@/grow') else b''\\n"
             "while not os.path.exists('@HOME@/grow') or held: time.sleep(0.05)\\n"
             "held = b'x' * (80 << 20)\\n"
             "os.unlink('@HOME@/grow')\\n"
             "while True: time.sleep(1)")
    # The one that grows is a child: what counts is the whole tree.
    services = f"""
services:
  web:
    run: {{command: [/bin/sh, -c, "trap 'kill $child; wait; exit 0' TERM; python3 -c \\"$PROGRAM\\" & child=$!; wait"], environment: {{PROGRAM: "{grows}"}}}}
    probes:
      - process: {{max_memory: 60MiB}}
        interval: 200ms
    playbooks: [restart_it]
"""
    with Daemon(settings() + services, ANY) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        (daemon.home / "grow").touch()
        recovery = daemon.until_recovered("web")
        assert daemon.pid("web") != before
        assert (daemon.home / "graceful").exists(), "it had no time to finish"
        assert "memory_pressure" in daemon.explain(recovery), daemon.explain(recovery)
        daemon.until("web", "healthy")


def there_is_no_silent_unmonitored_state():
    """monit stops watching what it gave up on. Here everything is still looked at, said and counted."""
    services = """
services:
  web:
    run: {command: [/bin/sleep, "1000"], start_timeout: 2s}
    probes: [{file: {path: @HOME@/good}, interval: 200ms}]
    playbooks: [restart_it]
"""
    playbook = ANY.replace('["service_running == true"]', '["health_check_passing == true"]').replace(
        "within: 5s", "within: 1s")
    with Daemon(settings(attempts=1) + services, playbook) as daemon:
        (daemon.home / "good").touch()
        daemon.until("web", "healthy")
        (daemon.home / "good").unlink()
        wait_for("it is given up", lambda: any(
            one["state"] == "escalated" for one in daemon.incidents("web")))
        daemon.until("web", "failed")
        assert daemon.exit_code("health", "check").returncode == 1
        # Mended by somebody, it is seen to be well.
        (daemon.home / "good").touch()
        daemon.until("web", "healthy")
        wait_for("the incident is over", lambda: daemon.incidents("web")[-1]["state"] == "resolved")
        # And its next failure is noticed like the first.
        (daemon.home / "good").unlink()
        wait_for("the next", lambda: len(daemon.incidents("web")) == 2)
        (daemon.home / "good").touch()
        daemon.until("web", "healthy")
        # Who takes it out says so, and everybody sees it.
        daemon.ctl("quarantine", "web")
        assert daemon.state("web") == "quarantined"
        assert daemon.exit_code("health", "check").returncode == 1
        daemon.ctl("release", "web")
        daemon.until("web", "healthy")
        # Maintenance ends by itself.
        daemon.ctl("maintenance", "start", "--service", "web", "--for", "1s")
        (daemon.home / "good").unlink()
        daemon.until("web", "failed", "recovering")
        wait_for("a recovery once it is over", lambda: len(daemon.recoveries("web")) >= 2)


if __name__ == "__main__":
    run(liveness_checks_by_the_supervisor_itself, backoff_instead_of_giving_up,
        backoff_is_reset_after_health_returns, dependents_wait_for_ready,
        dependents_come_back_after_the_dependency_recovers, the_whole_tree_is_ended,
        finally_failed_is_told_apart_from_retrying, a_closed_output_burns_no_cpu,
        a_flood_of_output_freezes_nobody, a_full_pipe_freezes_nobody,
        a_reload_restarts_only_what_changed, a_graceful_restart_on_a_memory_threshold,
        there_is_no_silent_unmonitored_state)
