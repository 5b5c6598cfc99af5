"""A real recoverd with real servers, for one acceptance test: started in a folder of its own, asked
through recoverctl, and everything it started stopped again.

Times here are only bounds after which a test gives up; no test asserts how long a thing took.
"""
import contextlib
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

BIN = pathlib.Path(os.environ["RECOVERD_BIN"])
GIVE_UP = 60.0  # Seconds, for anything to happen.
POSTGRES = pathlib.Path("/usr/lib/postgresql/15/bin")
os.environ["PATH"] += ":/usr/sbin"


RESERVED = []  # Names of ports, ours until this process ends.


def free_port():
    """Nobody listens there, and no other test is given it: see free_port() of test/servers/child.h."""
    while True:
        port = random.randrange(10000, 30000)
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0recover-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            name.close()
            continue
        RESERVED.append(name)
        return port


def wait_for(what, condition, give_up=GIVE_UP):
    """Returns the condition's first true value; fails with `what` when there is none in time."""
    until = time.monotonic() + give_up
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    raise AssertionError(f"gave up waiting for: {what}")


def start_time(pid):
    """Tells one process of a pid from the next; None: there is none."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else int(fields[19])


@contextlib.contextmanager
def small_disk(path, options):
    """A tmpfs mounted at `path`; yields False where mounting is not allowed."""
    mounted = os.geteuid() == 0 and subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "recoverd-test", path],
        stderr=subprocess.DEVNULL).returncode == 0
    if not mounted:
        print("skipped: a small disk cannot be mounted here")
    try:
        yield mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", path], check=False)


def children(pid):
    with contextlib.suppress(OSError):
        text = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text()
        return [int(child) for child in text.split()]
    return []


class Daemon:
    """One recoverd on a configuration. Use as a context."""

    def __init__(self, configuration, playbooks="", environment=None):
        self.home = pathlib.Path(tempfile.mkdtemp(prefix="recoverd-acceptance-"))
        self.home.chmod(0o755)
        self.socket = self.home / "api.sock"
        self.config = self.home / "recoverd.yaml"
        self.environment = dict(os.environ, **(environment or {}))
        self.keeper = None
        self.write(configuration, playbooks)

    def write(self, configuration, playbooks=""):
        head = (f"version: 1\nstate_dir: {self.home}/state\napi: {{socket: {self.socket}}}\n"
                f"playbooks: [{self.home}/playbooks/*.yaml]\n")
        (self.home / "playbooks").mkdir(exist_ok=True)
        if playbooks:
            (self.home / "playbooks/own.yaml").write_text(playbooks)
        self.config.write_text(head + configuration.replace("@HOME@", str(self.home)))

    def __enter__(self):
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, kind, *_):
        if kind is not None:
            print((self.home / "log").read_text()[-6000:])
        self.close()

    def start(self):
        with open(self.home / "log", "ab") as log:
            self.keeper = subprocess.Popen(
                [BIN / "recoverd", "run", "--config", self.config], stdin=subprocess.DEVNULL,
                stdout=log, stderr=log, env=self.environment, start_new_session=True)
        wait_for("recoverd to answer", lambda: self.alive() and self.ctl("status", ok=None) is not None)

    def alive(self):
        if self.keeper.poll() is not None:
            raise AssertionError("recoverd ended: " + (self.home / "log").read_text()[-3000:])
        return True

    def close(self):
        if self.keeper and self.keeper.poll() is None:
            self.keeper.terminate()
            try:
                self.keeper.wait(GIVE_UP)
            except subprocess.TimeoutExpired:
                self.keeper.kill()
        shutil.rmtree(self.home, ignore_errors=True)

    def ctl(self, *arguments, ok=(0,)):
        """recoverctl with --json; None when its exit code is not among `ok` and ok is None."""
        done = subprocess.run([BIN / "recoverctl", "--socket", self.socket, "--json", *arguments],
                              capture_output=True, text=True, timeout=GIVE_UP)
        if ok is None and done.returncode not in (0, 1):
            return None
        if ok is not None and done.returncode not in ok:
            raise AssertionError(f"recoverctl {arguments}: exit {done.returncode}\n{done.stdout}"
                                 f"\n{done.stderr}")
        return json.loads(done.stdout) if done.stdout.strip() else {}

    def exit_code(self, *arguments):
        return subprocess.run([BIN / "recoverctl", "--socket", self.socket, "--json", *arguments],
                              capture_output=True, text=True, timeout=GIVE_UP)

    def engine(self):
        """The engine's pid: the keeper's only child that is recoverd itself."""
        for child in children(self.keeper.pid):
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{child}/comm").read_text().strip() == "recoverd":
                    return child
        return None

    # ---- what is

    def services(self):
        answer = self.ctl("services", ok=None) or {"services": []}
        return {service["name"]: service for service in answer["services"]}

    def service(self, name):
        return self.services().get(name, {})

    def state(self, name):
        return self.service(name).get("state")

    def pid(self, name):
        instances = self.service(name).get("instances") or [{}]
        return instances[0].get("pid")

    def recoveries(self, service=None):
        found = (self.ctl("recoveries", ok=None) or {"recoveries": []})["recoveries"]
        return [one for one in found if service in (None, one["service"])]

    def incidents(self, service=None):
        found = (self.ctl("incidents", ok=None) or {"incidents": []})["incidents"]
        return [one for one in found if service in (None, one["service"])]

    def explain(self, recovery):
        return json.dumps(self.ctl("explain", str(recovery["id"])))

    # ---- waiting

    def until(self, service, *states):
        return wait_for(f"{service} to be {' or '.join(states)}, it is {self.state(service)}",
                        lambda: self.state(service) in states)

    def until_recovered(self, service, count=1):
        """The latest of `count` successful recoveries of the service, once it is healthy again."""
        def healed():
            done = [one for one in self.recoveries(service) if one["state"] == "succeeded"]
            return done[-1] if len(done) >= count and self.state(service) == "healthy" else None
        return wait_for(f"{count} successful recoveries of {service}", healed)

    def until_ended(self, service, *states, count=1):
        def ended():
            done = [one for one in self.recoveries(service) if one["state"] in states]
            return done[-1] if len(done) >= count else None
        return wait_for(f"a recovery of {service} to be {' or '.join(states)}", ended)

    def until_gone(self, pid, started):
        wait_for(f"process {pid} to end", lambda: start_time(pid) != started)


def kill(pid, how=signal.SIGKILL):
    os.kill(pid, how)


def run(*tests):
    """Runs each test function, says which failed, and exits with their number."""
    import sys
    import traceback
    wanted = sys.argv[1:]
    failed = 0
    for test in tests:
        if wanted and test.__name__ not in wanted:
            continue
        begun = time.monotonic()
        try:
            test()
            verdict = "ok"
        except Exception:  # Whatever it is, the others still run.
            traceback.print_exc()
            failed += 1
            verdict = "FAILED"
        print(f"{test.__name__}: {verdict} ({time.monotonic() - begun:.1f} s)", flush=True)
    sys.exit(1 if failed else 0)
