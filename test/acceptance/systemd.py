"""Acceptance: `systemd:` services against a real systemd, which the file boots for itself.

RECOVER_WITH_SYSTEMD names another launcher than ./with_systemd; where none can boot, it is skipped.
"""
import os
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
INSIDE = "RECOVER_INSIDE_SYSTEMD"

if __name__ == "__main__" and INSIDE not in os.environ:
    LAUNCHER = os.environ.get("RECOVER_WITH_SYSTEMD", str(HERE / "with_systemd"))
    PROBE = subprocess.run([LAUNCHER, "true"], capture_output=True, text=True)
    if PROBE.returncode != 0:
        print("skipped: no systemd can be booted here:", PROBE.stderr.strip()[-300:])
        sys.exit(0)
    sys.exit(subprocess.run([LAUNCHER, sys.executable, "-B", __file__, *sys.argv[1:]],
                            env=dict(os.environ, **{INSIDE: "1"})).returncode)

from harness import BIN, Daemon, kill, run, wait_for  # noqa: E402
from processes import RESTART, settings  # noqa: E402

UNITS = pathlib.Path("/run/systemd/system")
SLEEP = "[Service]\nExecStart=/bin/sleep 1000\n"
START_LIMIT = "[Unit]\nStartLimitIntervalSec=0\n"


def systemctl(*arguments, ok=True):
    done = subprocess.run(["systemctl", *arguments], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 or not ok, (arguments, done.stderr)
    return done.stdout.strip()


def show(unit, what):
    return systemctl("show", "--property", what, "--value", unit)


def unit(name, text, start=True):
    (UNITS / name).write_text(text)
    systemctl("daemon-reload")
    if start:
        systemctl("start", name)


def services(**units):
    text = settings(attempts=2) + "services:\n"
    for name, spec in units.items():
        text += f"  {name}:\n    systemd: {spec}\n    playbooks: [restart_it]\n"
    return text


def events(daemon, kind):
    return daemon.ctl("events", "--type", kind)["events"]


def a_unit_that_failed_is_restarted():
    unit("plain.service", SLEEP)
    with Daemon(services(web="plain.service"), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        assert str(before) == show("plain.service", "MainPID")
        kill(before)
        recovery = daemon.until_recovered("web")
        assert str(daemon.pid("web")) == show("plain.service", "MainPID") != str(before)
        assert "plain.service ended with signal 9" in daemon.explain(recovery)
        # recoverd's end leaves other people's units alone.
    assert systemctl("is-active", "plain.service") == "active"


def a_unit_that_systemd_restarts_is_not_restarted_twice():
    unit("healing.service", START_LIMIT + SLEEP + "Restart=always\nRestartSec=1\n")
    with Daemon(services(web="healing"), RESTART) as daemon:
        daemon.until("web", "healthy")
        for round_number in (1, 2):
            before = daemon.pid("web")
            kill(before)
            daemon.until("web", "starting")
            daemon.until("web", "healthy")
            wait_for("another pid", lambda: daemon.pid("web") != before)
            assert show("healing.service", "NRestarts") == str(round_number)
        healing = wait_for("service:healing", lambda: events(daemon, "service:healing"))
        assert "systemd restarts it" in healing[0]["message"], healing
        assert not daemon.recoveries("web") and not daemon.incidents("web")


def what_systemd_gives_up_on_is_recovered():
    unit("tired.service", "[Unit]\nStartLimitIntervalSec=60\nStartLimitBurst=2\n" + SLEEP +
         "Restart=always\nRestartSec=100ms\n")
    with Daemon(services(web="tired"), RESTART) as daemon:
        daemon.until("web", "healthy")
        first = daemon.pid("web")
        kill(first)
        daemon.until("web", "healthy")
        second = wait_for("systemd's restart", lambda: daemon.pid("web") not in (None, 0, first)
                          and daemon.state("web") == "healthy" and daemon.pid("web"))
        kill(second)
        recovery = daemon.until_recovered("web")
        assert "systemd gave up" in daemon.explain(recovery), daemon.explain(recovery)


def masked_and_missing_units_say_so():
    (UNITS / "hidden.service").symlink_to("/dev/null")
    systemctl("daemon-reload")
    with Daemon(services(hidden="hidden", gone="no-such-thing"), RESTART) as daemon:
        for service, word in (("hidden", "is masked"), ("gone", "no such unit file")):
            incident = wait_for("an escalated incident of " + service, lambda: next(
                (i for i in daemon.incidents(service) if i["state"] == "escalated"), None))
            assert word in str(incident["cause"]), incident
            step = daemon.recoveries(service)[-1]["steps"][-1]
            assert "masked" in step["output"] or "not found" in step["output"], step
        # Put there and started by hand, it is seen at once.
        unit("no-such-thing.service", SLEEP)
        daemon.until("gone", "healthy")


STILL = """
playbook: %s
name: Stands still or goes on
risk: low
triggers: [{symptom: data_corruption}]
steps: [{name: Do it, action: %s, timeout: 5s}]
validation: {within: 5s, stable_for: 10ms, success_criteria: ["service_running == true"]}
"""


def a_unit_stands_still_and_goes_on():
    unit("still.service", SLEEP)
    with Daemon(services(web="still.service"), RESTART) as daemon:
        for name, action in (("freeze_it", "freeze"), ("thaw_it", "thaw")):
            (daemon.home / f"playbooks/{name}.yaml").write_text(STILL % (name, action))
        daemon.config.write_text(daemon.config.read_text().replace("[restart_it]", "[freeze_it, thaw_it]"))
        daemon.ctl("config", "reload")
        daemon.until("web", "healthy")
        for playbook, state in (("freeze_it", "frozen"), ("thaw_it", "running")):
            daemon.exit_code("recover", "web", "--playbook", playbook, "--wait")
            wait_for(state, lambda: show("still.service", "FreezerState") == state, 10)


def templates_need_an_instance():
    unit("many@.service", SLEEP, start=False)
    systemctl("start", "many@one.service")
    with Daemon(services(one="many@one"), RESTART) as daemon:
        daemon.until("one", "healthy")
        kill(daemon.pid("one"))
        daemon.until_recovered("one")
    daemon = Daemon(services(one="many@.service"), RESTART)
    done = subprocess.run([BIN / "recoverd", "check", "--config", daemon.config],
                          capture_output=True, text=True)
    assert done.returncode == 2 and "is a template" in done.stdout, done
    daemon.close()


def operators_command_units():
    script = "trap 'echo again > /run/reloaded' HUP; while :; do sleep 1 & wait; done"
    unit("obeys.service", f"[Service]\nExecStart=/bin/sh -c \"{script}\"\n"
         "ExecReload=/bin/kill -HUP $MAINPID\n")
    with Daemon(services(web="obeys"), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        daemon.ctl("restart", "web")
        wait_for("another pid", lambda: daemon.pid("web") not in (before, None, 0)
                 and daemon.state("web") == "healthy")
        daemon.ctl("stop", "web")
        daemon.until("web", "stopped")
        assert systemctl("is-active", "obeys.service", ok=False) in ("inactive", "failed")
        daemon.ctl("start", "web")
        daemon.until("web", "healthy")
        assert not daemon.recoveries("web")


def what_somebody_stops_stays_stopped():
    unit("polite.service", SLEEP + "Restart=always\n")
    with Daemon(services(web="polite"), RESTART) as daemon:
        daemon.until("web", "healthy")
        systemctl("stop", "polite.service")
        daemon.until("web", "stopped")
        systemctl("start", "polite.service")
        daemon.until("web", "healthy")
        systemctl("restart", "polite.service")
        wait_for("the new pid", lambda: str(daemon.pid("web")) == show("polite.service", "MainPID"))
        daemon.until("web", "healthy")
        assert not daemon.recoveries("web") and not daemon.incidents("web")


def the_bus_and_systemd_may_restart():
    unit("lasting.service", SLEEP)
    with Daemon(services(web="lasting"), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        systemctl("restart", "dbus.service")
        wait_for("the loss of the bus to be seen",
                 lambda: "system bus is gone" in (daemon.home / "log").read_text())
        daemon.until("web", "healthy")
        assert daemon.pid("web") == before and not daemon.incidents("web")
        kill(before)
        daemon.until_recovered("web")
        systemctl("daemon-reexec")
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        daemon.until_recovered("web", 2)


def limits_are_set_in_systemd():
    unit("bounded.service", SLEEP)
    with Daemon(services(web="{unit: bounded, limits: {memory: 64MiB, cpu: 50%, pids: 20}}"),
                RESTART) as daemon:
        daemon.until("web", "healthy")
        wait_for("TasksMax", lambda: show("bounded.service", "TasksMax") == "20")
        assert show("bounded.service", "MemoryMax") == str(64 << 20)
        assert show("bounded.service", "CPUQuotaPerSecUSec") == "500ms"


def the_engine_comes_back_to_the_same_unit():
    unit("steady.service", SLEEP)
    with Daemon(services(web="steady"), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        engine = daemon.engine()
        kill(engine)
        wait_for("another engine", lambda: daemon.engine() not in (None, engine))
        daemon.until("web", "healthy")
        assert daemon.pid("web") == before and not daemon.incidents("web")
        kill(before)
        daemon.until_recovered("web")


if __name__ == "__main__":
    run(a_unit_that_failed_is_restarted, a_unit_that_systemd_restarts_is_not_restarted_twice,
        what_systemd_gives_up_on_is_recovered, masked_and_missing_units_say_so,
        a_unit_stands_still_and_goes_on, templates_need_an_instance, operators_command_units,
        what_somebody_stops_stays_stopped,
        the_bus_and_systemd_may_restart, limits_are_set_in_systemd,
        the_engine_comes_back_to_the_same_unit)
