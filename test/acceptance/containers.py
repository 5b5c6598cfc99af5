"""Acceptance: `container:` services against real container engines, dockerd and Podman, each started
for itself in a folder of its own with an image made here. An engine that cannot run a container on
this machine is skipped, and it says why.
"""
import contextlib
import http.client
import io
import json
import os
import pathlib
import shutil
import socket
import subprocess
import tarfile
import tempfile
import urllib.parse

from harness import Daemon, kill, run, wait_for
from processes import RESTART, settings

BUSYBOX = pathlib.Path("/bin/busybox")


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=60)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(60)
        self.sock.connect(self.path)


class Engine:
    """One container engine with its API on `socket`."""

    def __init__(self, kind):
        self.kind = kind
        self.home = pathlib.Path(tempfile.mkdtemp(prefix=f"recoverd-{kind}-"))
        self.socket = self.home / "engine.sock"
        self.process = None
        self.image = None

    def command(self):
        if self.kind == "docker":
            return ["dockerd", "--data-root", self.home / "data", "--exec-root", self.home / "exec",
                    "--pidfile", self.home / "pid", "-H", f"unix://{self.socket}", "--bridge=none",
                    "--iptables=false", "--ip6tables=false", "--storage-driver=vfs"]
        (self.home / "containers.conf").write_text(
            "[containers]\ndefault_ulimits = ['nofile=1024:1024', 'nproc=1000:1000']\n"
            "[engine]\nevents_logger = 'file'\ncgroup_manager = 'cgroupfs'\n" +
            ("runtime = 'runc'\n" if shutil.which("runc") else ""))
        return ["podman", "--root", self.home / "data", "--runroot", self.home / "run",
                "--storage-driver=vfs", "system", "service", "--time=0", f"unix://{self.socket}"]

    def start(self):
        with open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=dict(os.environ, CONTAINERS_CONF=str(self.home / "containers.conf")))

        def answers():
            assert self.process.poll() is None, (self.home / "log").read_text()[-2000:]
            with contextlib.suppress(OSError, http.client.HTTPException):
                return self.ask("GET", "/_ping")[0] == 200
            return False
        wait_for(self.kind + " to answer", answers)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def close(self):
        with contextlib.suppress(Exception):
            for each in json.loads(self.ask("GET", "/containers/json?all=1")[1]):
                self.ask("DELETE", f"/containers/{each['Id']}?force=1")
        if self.process:
            self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def ask(self, method, target, body=None, kind="application/json"):
        connection = Connection(self.socket)
        try:
            connection.request(method, target, body, {"Content-Type": kind} if body else {})
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def load_image(self):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as tar:
            tar.add(BUSYBOX, "bin/busybox")
            for name in ("sh", "sleep", "test", "touch", "rm"):
                link = tarfile.TarInfo("bin/" + name)
                link.type, link.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(link)
        status, text = self.ask("POST", "/images/create?fromSrc=-&repo=localhost/busy&tag=1",
                                packed.getvalue(), "application/x-tar")
        assert status == 200, text
        # Each engine puts a registry of its own before the name.
        self.image = json.loads(self.ask("GET", "/images/json")[1])[0]["Id"]

    def make(self, name, command=("/bin/sleep", "1000"), restart="no", **more):
        body = {"Image": self.image, "Cmd": list(command), **more,
                "HostConfig": {"NetworkMode": "none", "RestartPolicy": {"Name": restart}}}
        status, text = self.ask("POST", f"/containers/create?name={name}", json.dumps(body))
        assert status == 201, text
        self.act(name, "start")

    def act(self, name, verb):
        status, text = self.ask("POST", f"/containers/{name}/{verb}")
        assert status in (204, 304), (verb, status, text)

    def state(self, name):
        return json.loads(self.ask("GET", f"/containers/{urllib.parse.quote(name)}/json")[1])["State"]


@contextlib.contextmanager
def engine(kind):
    made = Engine(kind)
    try:
        made.start()
        made.load_image()
        yield made
    except BaseException:
        print((made.home / "log").read_text()[-3000:])
        raise
    finally:
        made.close()


def services(made, **containers):
    text = settings(attempts=2) + "services:\n"
    for name, spec in containers.items():
        text += (f"  {name}:\n    container: {{{spec}, socket: {made.socket}}}\n"
                 "    playbooks: [restart_it]\n")
    return text


def a_container_that_died_is_restarted(made):
    made.make("web")
    with Daemon(services(made, web="name: web"), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        assert before == made.state("web")["Pid"]
        kill(before)
        recovery = daemon.until_recovered("web")
        assert daemon.pid("web") == made.state("web")["Pid"] != before
        assert "signal 9" in daemon.explain(recovery)
    assert made.state("web")["Running"], "recoverd's end leaves containers alone"


FREEZE = """playbook: restart_it
name: Start it and hold it still for a while
risk: low
triggers: [{failure: service_failure}]
steps:
  - {name: Start, action: start, timeout: 20s}
  - {name: Freeze, action: freeze, timeout: 10s}
  - {name: Hold, action: wait, with: {duration: 2s}}
  - {name: Thaw, action: thaw, timeout: 10s}
validation: {within: 20s, stable_for: 100ms, success_criteria: ["service_running == true"]}
"""


def a_container_stands_still_and_goes_on(made):
    made.make("web")
    with Daemon(services(made, web="name: web"), FREEZE) as daemon:
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        wait_for("the pause", lambda: made.state("web").get("Paused"))
        daemon.until_recovered("web")
        assert not made.state("web")["Paused"] and made.state("web")["Running"]


def a_container_the_engine_restarts_is_not_restarted_twice(made):
    made.make("again", restart="always")
    with Daemon(services(made, web="name: again"), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        kill(before)
        wait_for("the engine's restart", lambda: daemon.pid("web") not in (None, 0, before)
                 and daemon.state("web") == "healthy")
        assert not daemon.recoveries("web"), daemon.recoveries("web")


def what_somebody_stops_stays_stopped(made):
    made.make("polite", ("/bin/sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1 & wait; done"))
    with Daemon(services(made, web="name: polite"), RESTART) as daemon:
        daemon.until("web", "healthy")
        made.act("polite", "stop?t=2")
        daemon.until("web", "stopped")
        made.act("polite", "start")
        daemon.until("web", "healthy")
        assert not daemon.recoveries("web")
        daemon.ctl("stop", "web")
        daemon.until("web", "stopped")
        assert not made.state("polite")["Running"]
        daemon.ctl("start", "web")
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        daemon.ctl("restart", "web")
        wait_for("another pid", lambda: daemon.pid("web") not in (None, 0, before)
                 and daemon.state("web") == "healthy")
        assert not daemon.recoveries("web")


def an_unhealthy_container_is_restarted(made):
    script = "rm -f /sick; exec sleep 1000"
    made.make("frail", ("/bin/sh", "-c", script), Healthcheck={
        "Test": ["CMD", "/bin/test", "!", "-e", "/sick"], "Interval": 500_000_000,
        "Timeout": 5_000_000_000, "Retries": 1, "StartPeriod": 0})
    with Daemon(services(made, web="name: frail"), RESTART) as daemon:
        daemon.until("web", "healthy")
        status, body = made.ask("POST", "/containers/frail/exec",
                                json.dumps({"Cmd": ["/bin/touch", "/sick"]}))
        assert status == 201, body
        made.ask("POST", f"/exec/{json.loads(body)['Id']}/start", json.dumps({"Detach": True}))
        recovery = daemon.until_recovered("web")
        assert "unhealthy" in daemon.explain(recovery)


def a_compose_service_is_all_its_containers(made):
    for number in ("1", "2"):
        made.make(f"shop-web-{number}", Labels={"com.docker.compose.project": "shop",
                                                "com.docker.compose.service": "web",
                                                "com.docker.compose.container-number": number})
    with Daemon(services(made, web="compose_project: shop, compose_service: web"), RESTART) as daemon:
        daemon.until("web", "healthy")
        instances = daemon.service("web")["instances"]
        assert [i["pid"] for i in instances] == [made.state(f"shop-web-{n}")["Pid"] for n in "12"]
        kill(instances[1]["pid"])
        daemon.until_recovered("web")
        assert made.state("shop-web-2")["Running"]


def a_container_that_is_not_there_is_told(made):
    with Daemon(services(made, web="name: nobody"), RESTART) as daemon:
        incident = wait_for("an escalated incident", lambda: next(
            (i for i in daemon.incidents("web") if i["state"] == "escalated"), None))
        assert "no container nobody" in str(incident["cause"]), incident
        made.make("nobody")
        daemon.until("web", "healthy")


def the_engine_may_restart(made):
    made.make("lasting")
    with Daemon(services(made, web="name: lasting"), RESTART) as daemon:
        daemon.until("web", "healthy")
        made.stop()
        daemon.until("web", "unknown")
        assert not daemon.recoveries("web")
        made.start()
        made.act("lasting", "start")
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        daemon.until_recovered("web")


STORIES = (a_container_that_died_is_restarted, a_container_stands_still_and_goes_on,
           what_somebody_stops_stays_stopped,
           a_compose_service_is_all_its_containers, a_container_that_is_not_there_is_told)
# Podman's own restarts and health checks need timers of systemd.
DOCKER_STORIES = (a_container_the_engine_restarts_is_not_restarted_twice,
                  an_unhealthy_container_is_restarted, the_engine_may_restart)


def can_run(kind):
    """Whether this engine runs a container here; says why not."""
    program = "dockerd" if kind == "docker" else "podman"
    if os.geteuid() != 0 or not shutil.which(program) or not BUSYBOX.exists():
        print(f"skipped: {kind}: needs root, {program} and {BUSYBOX} (busybox-static)")
        return False
    try:
        with engine(kind) as made:
            made.make("probe")
        return True
    except AssertionError as error:
        print(f"skipped: {kind} runs no container here: {str(error)[-400:]}")
        return False


def story(act, kind):
    def told():
        with engine(kind) as made:
            act(made)
    told.__name__ = f"{kind}_{act.__name__}"
    return told


if __name__ == "__main__":
    wanted = []
    if can_run("docker"):
        wanted += [story(act, "docker") for act in STORIES + DOCKER_STORIES]
    if can_run("podman"):
        # Where the two differ: what an end was. All of them with RECOVER_PODMAN.
        told = STORIES if os.environ.get("RECOVER_PODMAN") else (
            a_container_that_died_is_restarted, what_somebody_stops_stays_stopped)
        wanted += [story(act, "podman") for act in told]
    run(*wanted)
