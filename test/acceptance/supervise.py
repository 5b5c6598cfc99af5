"""Supervision: what recoverd's services see of it, and what they see when it goes away: as a child of
systemd, as PID 1 of a container, upgraded in place, killed as a whole.
"""
import os
import pathlib
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from harness import BIN, Daemon, free_port, kill, run, start_time, wait_for
from processes import RESTART, settings

ACCEPTOR = ("import socket\\ns=socket.socket(fileno=3)\\ns.setblocking(True)\\n"
            "while True: s.accept()[0].close()")


def web(extra="", command='["/bin/sleep", "1000"]'):
    return f"""
services:
  web:
    run:
      command: {command}
{extra}
    playbooks: [restart_it]
"""


def scale_and_rolling_restart():
    run_keys = "      instances: 2\n      scale: {min: 1, max: 4}\n"
    with Daemon(settings() + web(run_keys), RESTART) as daemon:
        daemon.until("web", "healthy")
        first = daemon.pid("web")
        daemon.exit_code("restart", "web")
        wait_for("the restart", lambda: daemon.pid("web") not in (None, first))
        daemon.until("web", "healthy")
        assert not daemon.incidents("web"), daemon.incidents("web")


def one_instance_of_several_is_restarted_alone():
    run_keys = "      instances: 3\n"
    with Daemon(settings() + web(run_keys), RESTART) as daemon:
        def pids():
            return [each["pid"] for each in daemon.service("web")["instances"]]
        daemon.until("web", "healthy")
        before = pids()
        assert daemon.exit_code("restart", "web@2").returncode == 0
        after = pids()
        assert after[1] not in (0, before[1]), (before, after)
        assert [after[0], after[2]] == [before[0], before[2]], (before, after)
        assert daemon.exit_code("restart", "web@4").returncode == 6
        for verb in ("reload", "quarantine"):
            assert daemon.exit_code(verb, "web@2").returncode == 6, verb
        engine = daemon.engine()
        kill(engine)
        another_engine(daemon, engine)
        assert daemon.exit_code("restart", "web@1").returncode == 0, "after the replay"
        daemon.until("web", "healthy")
        assert pids()[1:] == after[1:], (pids(), after)
        assert not daemon.incidents("web"), daemon.incidents("web")


def kill_both(daemon):
    """The engine and its keeper, so that neither starts another; then recoverd is started again."""
    engine = daemon.engine()
    os.kill(daemon.keeper.pid, signal.SIGSTOP)
    kill(engine)
    kill(daemon.keeper.pid)
    daemon.keeper.wait()
    daemon.start()


def another_engine(daemon, engine):
    wait_for("another engine", lambda: daemon.engine() not in (None, engine))
    wait_for("an answer", lambda: daemon.ctl("status", ok=None))


def one_instance_is_stopped_and_stays_so():
    run_keys = "      instances: 3\n      scale: {min: 1, max: 4}\n"
    configuration = settings() + web(run_keys)
    with Daemon(configuration, RESTART) as daemon:
        def states():
            return [each["state"] for each in daemon.service("web")["instances"]]

        def pids():
            return [each["pid"] for each in daemon.service("web")["instances"]]

        def still_held(after):
            daemon.until("web", "healthy")
            assert states() == ["up", "stopped", "up"], (after, states())
        daemon.until("web", "healthy")
        before = pids()
        answer = daemon.exit_code("stop", "web@2")
        assert answer.returncode == 0, answer.stderr
        assert states() == ["up", "stopped", "up"] and daemon.state("web") == "healthy", states()
        assert [pids()[0], pids()[2]] == [before[0], before[2]] and pids()[1] is None, pids()
        assert not daemon.incidents("web"), daemon.incidents("web")
        kill(before[2])
        daemon.until_recovered("web")
        still_held("a crash of its sibling")
        assert pids()[0] == before[0]
        for end in (lambda: kill(daemon.engine()), lambda: daemon.exit_code("daemon", "reexec")):
            engine = daemon.engine()
            end()
            another_engine(daemon, engine)
            still_held("another engine")
        kill_both(daemon)
        still_held("both killed")
        assert daemon.exit_code("restart", "web").returncode == 0
        still_held("a rolling restart")
        assert pids()[0] != before[0]
        daemon.write(configuration.replace("instances: 3", "instances: 3\n      umask: \"027\""), RESTART)
        daemon.ctl("config", "reload")
        wait_for("the restart", lambda: not daemon.service("web")["busy"])
        still_held("a reload")
        assert daemon.exit_code("scale", "web", "4").returncode == 0
        assert states() == ["up", "stopped", "up", "up"], states()
        assert daemon.exit_code("scale", "web", "3").returncode == 0
        for number in (1, 3):
            assert daemon.exit_code("stop", f"web@{number}").returncode == 0
        assert daemon.state("web") == "stopped" and states() == ["stopped"] * 3, states()
        assert daemon.exit_code("start", "web@2").returncode == 0
        assert states() == ["stopped", "up", "stopped"], states()
        assert daemon.exit_code("start", "web").returncode == 0
        assert states() == ["up"] * 3, states()
        assert daemon.exit_code("stop", "web@1").returncode == 0
        left = [pid for pid in pids() if pid]
        daemon.write(configuration.replace("instances: 3", "instances: 1"), RESTART)
        daemon.ctl("config", "reload")
        wait_for("the stop", lambda: daemon.state("web") == "stopped")
        wait_for("their ends", lambda: not any(os.path.exists(f"/proc/{pid}") for pid in left))


def an_upgrade_in_place():
    port = free_port()
    run_keys = f'      sockets: [{{listen: "127.0.0.1:{port}", name: web}}]\n'
    command = f'[python3, -c, "{ACCEPTOR}"]'
    with Daemon(settings() + web(run_keys, command), RESTART) as daemon:
        daemon.until("web", "healthy")
        keeper, engine, pid = daemon.keeper.pid, daemon.engine(), daemon.pid("web")
        stamp = start_time(pid)
        answer = daemon.exit_code("daemon", "reexec")
        assert answer.returncode == 0, answer.stderr
        wait_for("another engine", lambda: daemon.engine() not in (None, engine))
        wait_for("an answer", lambda: daemon.ctl("status", ok=None))
        daemon.until("web", "healthy")
        assert daemon.keeper.pid == keeper and daemon.keeper.poll() is None
        assert daemon.pid("web") == pid and start_time(pid) == stamp
        socket.create_connection(("127.0.0.1", port)).close()
        # The new keeper knows of it what the old one knew: its end is seen, and healed.
        kill(pid)
        daemon.until_recovered("web")
        socket.create_connection(("127.0.0.1", port)).close()


def an_upgrade_is_refused_for_a_broken_configuration():
    with Daemon(settings() + web(), RESTART) as daemon:
        daemon.until("web", "healthy")
        engine = daemon.engine()
        daemon.config.write_text(daemon.config.read_text() + "\nnonsense: 1\n")
        assert daemon.exit_code("daemon", "reexec").returncode != 0
        assert daemon.engine() == engine


def services_outlive_keeper_and_engine():
    run_keys = "      output: {path: @HOME@/web.log}\n"
    script = '["/bin/sh", "-c", "n=0; while :; do n=$((n+1)); echo line $n; sleep 0.02; done"]'
    with Daemon(settings() + web(run_keys, script), RESTART) as daemon:
        daemon.until("web", "healthy")
        pid = daemon.pid("web")
        stamp = start_time(pid)
        engine = daemon.engine()
        os.kill(daemon.keeper.pid, signal.SIGSTOP)  # So that it starts no other engine.
        kill(engine)
        kill(daemon.keeper.pid)
        daemon.keeper.wait()
        assert start_time(pid) == stamp
        daemon.start()
        daemon.until("web", "healthy")
        assert daemon.pid("web") == pid and start_time(pid) == stamp
        log = daemon.home / "web.log"
        last = int(log.read_text().split()[-1])
        wait_for("more lines", lambda: int(log.read_text().rsplit("\n", 2)[-2].split()[-1]) > last + 20)
        numbers = [int(line.split()[-1]) for line in log.read_text().splitlines() if " line " in line]
        missing = set(range(1, max(numbers))) - set(numbers)
        assert not missing, f"lines lost: {sorted(missing)[:10]}"


def no_connection_is_refused_over_restarts_and_a_killed_engine():
    port = free_port()
    run_keys = f'      sockets: [{{listen: "127.0.0.1:{port}"}}]\n'
    command = f'[python3, -c, "{ACCEPTOR}"]'
    with Daemon(settings() + web(run_keys, command), RESTART) as daemon:
        daemon.until("web", "healthy")
        over, counts = threading.Event(), {"made": 0, "refused": 0}

        def hammer():
            while not over.is_set():
                try:
                    socket.create_connection(("127.0.0.1", port)).close()
                    counts["made"] += 1
                except ConnectionRefusedError:
                    counts["refused"] += 1
        thread = threading.Thread(target=hammer)
        thread.start()
        try:
            for round_ in range(3):
                kill(daemon.pid("web"))
                daemon.until_recovered("web", round_ + 1)
            engine = daemon.engine()
            kill(engine)
            wait_for("another engine", lambda: daemon.engine() not in (None, engine))
            daemon.until("web", "healthy")
        finally:
            over.set()
            thread.join()
        assert counts["made"] > 0 and counts["refused"] == 0, counts


def pid_1_of_a_container():
    if os.geteuid() != 0:
        print("skipped: namespaces need root")
        return
    home = pathlib.Path(tempfile.mkdtemp(prefix="recoverd-acceptance-"))
    # It leaves orphans behind, which fall to PID 1.
    script = "(sleep 0.1 &) ; (sleep 0.1 &) ; exec sleep 1000"
    (home / "recoverd.yaml").write_text(
        f"version: 1\nstate_dir: {home}/state\napi: {{socket: {home}/api.sock}}\n"
        f"services:\n  web: {{run: {{command: [/bin/sh, -c, \"{script}\"]}}}}\n")
    outer = subprocess.Popen(
        ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", BIN / "recoverd", "run",
         "--config", home / "recoverd.yaml"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL)
    try:
        init = wait_for("PID 1", lambda: (pathlib.Path(
            f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split() or [None])[0])

        def inside():
            listed = subprocess.run(["nsenter", "-t", init, "--pid", "--mount", "ps", "-eo",
                                     "stat=,comm="], capture_output=True, text=True).stdout
            return [line.split() for line in listed.splitlines()]
        wait_for("the service", lambda: any(words[1] == "sleep" for words in inside()))
        wait_for("no zombie to be left",
                 lambda: len([w for w in inside() if w[1] == "sleep"]) == 1
                 and not any(words[0].startswith("Z") for words in inside()))
        os.kill(int(init), signal.SIGTERM)  # As `docker stop` does.
        assert outer.wait(60) == 0, outer.returncode
    finally:
        if outer.poll() is None:
            outer.kill()
        shutil.rmtree(home, ignore_errors=True)


UNDER_SYSTEMD = r"""
set -e
cp @UNIT@ /run/systemd/system/recoverd.service
mkdir -p /run/systemd/system/recoverd.service.d
printf '[Unit]\nAfter=\nWants=\n[Service]\nExecStartPre=\nExecStartPre=@BIN@/recoverd check --config @HOME@/recoverd.yaml\nExecStart=\nExecStart=@BIN@/recoverd run --config @HOME@/recoverd.yaml\nOOMScoreAdjust=0\nWatchdogSec=2s\nLimitNOFILE=\n' > /run/systemd/system/recoverd.service.d/test.conf
systemctl daemon-reload
systemctl start recoverd          # Type=notify: comes back once READY=1 was said.
ctl() { @BIN@/recoverctl --socket @HOME@/api.sock --json "$@"; }
for i in $(seq 100); do pid=$(ctl services | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'); [ -n "$pid" ] && break; sleep 0.1; done
[ -n "$pid" ]
echo cgroup $(cut -d: -f3 /proc/$pid/cgroup)
main=$(systemctl show -p MainPID --value recoverd)
echo limits $(cat /sys/fs/cgroup$(cut -d: -f3 /proc/$pid/cgroup)/pids.max 2>/dev/null || echo none)
sleep 5                            # Longer than the watchdog: it is fed.
[ "$main" = "$(systemctl show -p MainPID --value recoverd)" ]
[ "$(systemctl show -p NRestarts --value recoverd)" = 0 ]
systemctl kill -s KILL --kill-who=main recoverd
for i in $(seq 100); do new=$(systemctl show -p MainPID --value recoverd); [ "$new" != "$main" ] && [ "$new" != 0 ] && [ "$(systemctl is-active recoverd)" = active ] && break; sleep 0.1; done
[ "$new" != "$main" ]
[ -d /proc/$pid ]
for i in $(seq 100); do again=$(ctl services | sed -n 's/.*"pid":\([0-9]*\).*/\1/p'); [ -n "$again" ] && break; sleep 0.1; done
[ "$again" = "$pid" ] && echo same process
systemctl stop recoverd
[ ! -d /proc/$pid ] && echo stopped with it
systemctl show -p Result --value recoverd
journalctl -u recoverd -o cat --no-pager | tail -30 >&2
"""


def under_systemd():
    command = os.environ.get("RECOVER_WITH_SYSTEMD")
    if not command or os.geteuid() != 0:
        print("skipped: RECOVER_WITH_SYSTEMD does not say how to run a command under a systemd")
        return
    home = pathlib.Path(tempfile.mkdtemp(prefix="recoverd-acceptance-"))
    unit = pathlib.Path(__file__).resolve().parents[2] / "packaging/recoverd.service"
    (home / "recoverd.yaml").write_text(
        f"version: 1\nstate_dir: {home}/state\napi: {{socket: {home}/api.sock}}\n"
        f"services:\n  web: {{run: {{command: [/bin/sleep, '1000'], limits: {{pids: 7}}}}}}\n")
    script = UNDER_SYSTEMD
    for name, value in (("@UNIT@", unit), ("@BIN@", BIN), ("@HOME@", home)):
        script = script.replace(name, str(value))
    (home / "script").write_text(script)
    try:
        done = subprocess.run([*shlex.split(command), "bash", "-x", home / "script"],
                              capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, f"{done.returncode}\n{done.stdout}\n{done.stderr[-5000:]}"
        assert "/recoverd.service/" in done.stdout and "same process" in done.stdout, done.stdout
        assert "stopped with it" in done.stdout and "success" in done.stdout, done.stdout
    finally:
        shutil.rmtree(home, ignore_errors=True)


def first_judges_of_the_notify_socket():
    """systemd-notify waits for its barrier; python3-systemd speaks for itself."""
    if not shutil.which("systemd-notify"):
        print("skipped: no systemd-notify here")
        return
    script = ('["/bin/sh", "-c", "systemd-notify --ready --status=up && echo told > @HOME@/told;'
              ' exec sleep 1000"]')
    with Daemon(settings() + web("      ready: {notify: true}\n", script), RESTART) as daemon:
        daemon.until("web", "healthy")
        wait_for("systemd-notify to come back", (daemon.home / "told").exists)


if __name__ == "__main__":
    run(scale_and_rolling_restart, one_instance_of_several_is_restarted_alone,
        one_instance_is_stopped_and_stays_so, an_upgrade_in_place,
        an_upgrade_is_refused_for_a_broken_configuration, services_outlive_keeper_and_engine,
        no_connection_is_refused_over_restarts_and_a_killed_engine, pid_1_of_a_container,
        under_systemd, first_judges_of_the_notify_socket)
