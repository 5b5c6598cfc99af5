"""Acceptance by programs nobody here wrote: clients of sd_notify and of s6's notification-fd, the
example configurations of other supervisors, systemd-analyze on our unit, and what an init must do."""
import glob
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile

from harness import BIN, GIVE_UP, POSTGRES, Daemon, free_port, kill, run, wait_for
from processes import RESTART, settings

UNIT = pathlib.Path(__file__).resolve().parents[2] / "packaging/recoverd.service"


def service(command, ready="{notify: true}", more=""):
    return f"""
services:
  judged:
    run: {{command: {command}, ready: {ready}{more}}}
    playbooks: [restart_it]
"""


def has(*programs):
    missing = [each for each in programs if not shutil.which(each)]
    if missing:
        print(f"skipped: no {missing[0]} here")
    return not missing


def systemd_notify_and_its_barrier():
    """It hands over a descriptor and waits until it is closed; else it fails after five seconds."""
    if not has("systemd-notify"):
        return
    script = ('["/bin/sh", "-c", "for i in 1 2 3; do systemd-notify --status=loading$i || exit 9; done;'
              ' systemd-notify --ready --status=up || exit 9; touch @HOME@/told; exec sleep 1000"]')
    with Daemon(settings() + service(script), RESTART) as daemon:
        daemon.until("judged", "healthy")
        wait_for("systemd-notify to come back", (daemon.home / "told").exists)
        assert not daemon.incidents(), daemon.incidents()
        # No descriptor of a barrier is kept.
        held = len(os.listdir(f"/proc/{daemon.engine()}/fd"))
        daemon.ctl("restart", "judged")
        wait_for("as many descriptors", lambda: len(os.listdir(f"/proc/{daemon.engine()}/fd")) <= held)


def python3_systemd():
    try:
        subprocess.run(["/usr/bin/python3", "-c", "import systemd.daemon"], check=True,
                       stderr=subprocess.DEVNULL)
    except (OSError, subprocess.CalledProcessError):
        print("skipped: no python3-systemd here")
        return
    program = ("import os,signal,time\\nfrom systemd import daemon as d\\n"
               "assert d.booted() in (True, False)\\n"
               "time.sleep(0.2); d.notify('STATUS=counting'); assert d.notify('READY=1')\\n"
               "while not os.path.exists('@HOME@/hang'): d.notify('WATCHDOG=1'); time.sleep(0.1)\\n"
               "os.unlink('@HOME@/hang'); time.sleep(1000)")
    command = f'[/usr/bin/python3, -c, "{program}"]'
    with Daemon(settings() + service(command, more=", watchdog: 2s"), RESTART) as daemon:
        daemon.until("judged", "healthy")
        before = daemon.pid("judged")
        (daemon.home / "hang").touch()
        recovery = daemon.until_recovered("judged")
        assert daemon.pid("judged") != before
        assert "watchdog" in daemon.explain(recovery), daemon.explain(recovery)


def redis_says_it_is_ready():
    if not has("redis-server"):
        return
    port = free_port()
    command = (f'[redis-server, --port, "{port}", --supervised, systemd, --save, "", --dir, @HOME@, '
               "--bind, 127.0.0.1]")
    with Daemon(settings() + service(command), RESTART) as daemon:
        daemon.until("judged", "healthy")
        kill(daemon.pid("judged"))
        daemon.until_recovered("judged")
        daemon.ctl("stop", "judged")
        assert daemon.state("judged") == "stopped" and not daemon.pid("judged")


def postgresql_says_it_is_ready():
    if not (POSTGRES / "postgres").exists() or os.geteuid() != 0:
        print("skipped: no PostgreSQL here, or not root")
        return
    import pwd
    account = pwd.getpwnam("postgres")
    port = free_port()
    command = (f'[{POSTGRES}/postgres, -D, @HOME@/data, -p, "{port}", -k, @HOME@/data, -c, '
               "listen_addresses=127.0.0.1]")
    text = settings() + service(command, more=", user: postgres, stop: {signal: INT, timeout: 20s}")
    daemon = Daemon(text, RESTART)
    data = daemon.home / "data"
    data.mkdir(mode=0o700)
    os.chown(data, account.pw_uid, account.pw_gid)
    subprocess.run([POSTGRES / "initdb", "-D", data, "-A", "trust", "-N"], check=True, user="postgres",
                   cwd="/", stdout=subprocess.DEVNULL, env={"LC_ALL": "C", "PATH": os.environ["PATH"]})
    with daemon:
        daemon.until("judged", "healthy")
        answer = subprocess.run(["psql", "-h", "127.0.0.1", "-p", str(port), "-U", "postgres", "-Atc",
                                 "SELECT 6*7", "postgres"], capture_output=True, text=True, timeout=GIVE_UP)
        assert answer.stdout.strip() == "42", answer
        kill(daemon.pid("judged"))
        daemon.until_recovered("judged")
        daemon.ctl("stop", "judged")
        assert "database system is shut down" in str(daemon.ctl("logs", "show", "--service", "judged"))


def s6_notifyoncheck():
    """s6's own program polls ./data/check and writes the newline when it passes. It wants to see an
    s6-supervise in its folder: one stands there, with nothing to do."""
    if not has("s6-notifyoncheck", "s6-supervise"):
        return
    daemon = Daemon(settings() + service(
        "[s6-notifyoncheck, -d, -n, \"0\", -s, \"50\", -w, \"50\", sh, -c, "
        "\"touch @HOME@/began; exec sleep 1000\"]", ready="{fd: 3}",
        more=", working_directory: @HOME@/service"), RESTART)
    folder = daemon.home / "service"
    (folder / "data").mkdir(parents=True)
    for name, text in (("notification-fd", "3\n"), ("down", ""), ("run", "#!/bin/sh\nexec sleep 1000\n"),
                       ("data/check", f"#!/bin/sh\ntest -e {daemon.home}/good\n")):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    idle = subprocess.Popen(["s6-supervise", folder], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    try:
        wait_for("s6-supervise", lambda: (folder / "supervise/status").exists())
        with daemon:
            wait_for("it to begin", (daemon.home / "began").exists)
            assert daemon.state("judged") == "starting", daemon.service("judged")
            (daemon.home / "good").touch()
            daemon.until("judged", "healthy")
    finally:
        idle.terminate()
        idle.wait(GIVE_UP)


def import_corpus():
    files = [file for pattern in ("/etc/monit/monitrc", "/etc/monit/conf-available/*",
                                  "/etc/supervisor/supervisord.conf",
                                  "/usr/share/doc/supervisor/examples/*.conf",
                                  "/lib/systemd/system/*.service", "/usr/lib/systemd/user/*.service")
             for file in glob.glob(pattern)]
    with tempfile.TemporaryDirectory(prefix="recoverd-import-") as folder:
        folder = pathlib.Path(folder)
        if shutil.which("echo_supervisord_conf"):
            sample = subprocess.run(["echo_supervisord_conf"], capture_output=True, text=True, check=True)
            (folder / "sample.conf").write_text(sample.stdout)
            # All of it is commented out; so it is with the comments of its keys taken away.
            bare = "".join(line.lstrip(";") if line.startswith((";[", ";command", ";programs", ";files"))
                           else line for line in sample.stdout.splitlines(keepends=True))
            (folder / "bare.conf").write_text(bare)
            files += [folder / "sample.conf", folder / "bare.conf"]
        output = folder / "recoverd.yaml"
        for file in files:
            done = subprocess.run([BIN / "recoverd", "import", file, "--output", output],
                                  capture_output=True, text=True, timeout=GIVE_UP)
            assert done.returncode == 0, (file, done.stderr)
            checked = subprocess.run([BIN / "recoverd", "check", "--config", output],
                                     capture_output=True, text=True, timeout=GIVE_UP)
            assert checked.returncode == 0, (file, checked.stdout, output.read_text())
            output.unlink()
        if (folder / "bare.conf").exists():
            text = subprocess.run([BIN / "recoverd", "import", folder / "bare.conf"],
                                  capture_output=True, text=True).stdout
            for word in ("theprogramname", "/bin/cat"):
                assert word in text, text
    print(f"  {len(files)} files")
    assert files


def systemd_analyze_on_our_unit():
    if not has("systemd-analyze"):
        return
    with tempfile.TemporaryDirectory(prefix="recoverd-unit-") as folder:
        # Installed where the unit says, but below a folder of ours.
        unit = pathlib.Path(folder) / "recoverd.service"
        unit.write_text(UNIT.read_text().replace("/usr/bin/", f"{BIN}/"))
        done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], capture_output=True,
                              text=True, timeout=GIVE_UP)
        said = [line for line in done.stderr.splitlines() if "recoverd" in line]
        assert done.returncode == 0 and not said, (done.returncode, done.stderr)
        done = subprocess.run(["systemd-analyze", "security", "--offline=yes", "--no-pager",
                               "--threshold=90", unit], capture_output=True, text=True, timeout=GIVE_UP)
        # What runs below it keeps these rights: whoever adds a line to the unit sees it here.
        assert done.returncode == 0, done.stdout[-500:]
        level = [line for line in done.stdout.splitlines() if "Overall exposure" in line]
        print(" ", level[0].lstrip("→ ") if level else "no level")


class Container:
    """recoverd as PID 1 of namespaces of its own."""

    def __init__(self, services):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="recoverd-acceptance-"))
        (self.home / "recoverd.yaml").write_text(
            f"version: 1\nstate_dir: {self.home}/state\napi: {{socket: {self.home}/api.sock}}\n"
            + services.replace("@HOME@", str(self.home)))

    def __enter__(self):
        self.outer = subprocess.Popen(
            ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", BIN / "recoverd", "run",
             "--config", self.home / "recoverd.yaml"], stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        children = pathlib.Path(f"/proc/{self.outer.pid}/task/{self.outer.pid}/children")
        self.init = int(wait_for("PID 1", lambda: (children.read_text().split() or [None])[0]))
        return self

    def __exit__(self, *_):
        if self.outer.poll() is None:
            self.outer.kill()
            self.outer.wait()
        shutil.rmtree(self.home, ignore_errors=True)

    def processes(self):
        listed = subprocess.run(["nsenter", "-t", str(self.init), "--pid", "--mount", "ps", "-eo",
                                 "stat=,comm="], capture_output=True, text=True).stdout
        return [line.split() for line in listed.splitlines()]

    def until(self, name):
        wait_for(name, (self.home / name).exists)


def as_root():
    if os.geteuid() != 0:
        print("skipped: namespaces need root")
    return os.geteuid() == 0


def pid_1_reaps_every_zombie():
    """dumb-init's case: orphans of orphans end, none is left as a zombie."""
    if not as_root():
        return
    script = ("for i in 1 2 3 4 5 6 7 8 9 10; do (sh -c 'sleep 0.1 & (sleep 0.2 &) ; exit' &) ; done; "
              "touch @HOME@/made; exec sleep 1000")
    with Container(f'services:\n  web: {{run: {{command: [/bin/sh, -c, "{script}"]}}}}\n') as container:
        container.until("made")
        wait_for("no orphan and no zombie to be left", lambda: len(
            [words for words in container.processes() if words[1] in ("sleep", "sh")]) == 1
            and not any(words[0].startswith("Z") for words in container.processes()))


def pid_1_passes_a_signal_to_the_whole_tree():
    """dumb-init's cases: TERM and INT reach the service and what it started, and PID 1 ends well."""
    if not as_root():
        return
    script = ("trap 'touch @HOME@/parent; exit 0' TERM; "
              "setsid sh -c 'trap \\\"touch @HOME@/stray; exit 0\\\" TERM; touch @HOME@/made; "
              "while :; do sleep 0.1; done' & while :; do sleep 0.1; done")
    for number in (signal.SIGTERM, signal.SIGINT):
        with Container(f'services:\n  web: {{run: {{command: [/bin/sh, -c, "{script}"]}}}}\n') as container:
            container.until("made")
            os.kill(container.init, number)
            assert container.outer.wait(GIVE_UP) == 0, container.outer.returncode
            for name in ("parent", "stray"):
                assert (container.home / name).exists(), f"the {name} got no {number.name}"


def pid_1_reloads_on_hup_and_outlives_other_signals():
    if not as_root():
        return
    services = 'services:\n  web: {run: {command: [/bin/sh, -c, "touch @HOME@/made; exec sleep 1000"]}}\n'
    with Container(services) as container:
        container.until("made")
        config = container.home / "recoverd.yaml"
        config.write_text(config.read_text() + "  more: {run: {command: [/bin/sh, -c, \"touch "
                          f"{container.home}/more; exec sleep 1000\"]}}}}\n")
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE, signal.SIGWINCH):
            os.kill(container.init, number)
        os.kill(container.init, signal.SIGHUP)
        container.until("more")
        assert container.outer.poll() is None


if __name__ == "__main__":
    run(systemd_notify_and_its_barrier, python3_systemd, redis_says_it_is_ready,
        postgresql_says_it_is_ready, s6_notifyoncheck, import_corpus, systemd_analyze_on_our_unit,
        pid_1_reaps_every_zombie, pid_1_passes_a_signal_to_the_whole_tree,
        pid_1_reloads_on_hup_and_outlives_other_signals)
