"""Acceptance: the stock supervisorctl of Debian's package, prometheus-node-exporter's supervisord
collector and Python's xmlrpc.client against recoverd's XML-RPC endpoint: judges nobody here wrote."""
import http.client
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import urllib.request
import xmlrpc.client

from harness import GIVE_UP, Daemon, free_port, kill, run, wait_for
from processes import RESTART, settings

TALKER = ('["/bin/sh", "-c", "trap \'echo got-usr1\' USR1; trap \'exit 0\' TERM; echo hello from $$;'
          ' while :; do sleep 0.1; done"]')
SERVICES = f"""services:
  one:
    run: {{command: {TALKER}, output: {{path: @HOME@/one.log}}}}
    playbooks: [restart_it]
  web:
    run: {{command: {TALKER}, instances: 3}}
    playbooks: [restart_it]
  last:
    run: {{command: {TALKER}}}
    depends_on: [one]
    autostart: false
    playbooks: [restart_it]
"""


def endpoint(port=None, password=True):
    keys = "socket: @HOME@/supervisor.sock"
    if port:
        keys += f", listen: 127.0.0.1:{port}"
    if password:
        keys += ", username: admin, password: s3cret-word"
    return f"xmlrpc: {{{keys}}}"


class Endpoint(Daemon):
    """A recoverd that speaks XML-RPC, and supervisorctl to speak to it."""

    def __init__(self, services=SERVICES, port=None, password=True):
        self.port, self.password = port, password
        super().__init__(settings() + services, RESTART)

    def write(self, configuration, playbooks=""):
        super().write(configuration, playbooks)
        text = self.config.read_text()
        keys = endpoint(self.port, self.password).replace("@HOME@", str(self.home))
        self.config.write_text(text.replace("api: {", "api: {" + keys + ", ", 1))
        (self.home / "supervisor.conf").write_text("[supervisorctl]\n")

    def ctl_process(self, *words, server=None, user=("admin", "s3cret-word"), **more):
        login = ["-u", user[0], "-p", user[1]] if user else []
        return subprocess.Popen(
            ["supervisorctl", "-c", self.home / "supervisor.conf", "-s",
             server or f"unix://{self.home}/supervisor.sock", *login, *words],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=dict(os.environ, PYTHONUNBUFFERED="1", PYTHONWARNINGS="ignore"), **more)

    def supervisorctl(self, *words, code=0, **more):
        process = self.ctl_process(*words, **more)
        text = process.communicate(timeout=GIVE_UP)[0]
        assert code is None or process.returncode == code, (words, process.returncode, text)
        return text

    def status(self):
        lines = self.supervisorctl("status", code=None).splitlines()
        return {line.split()[0]: line.split()[1] for line in lines}

    def until_status(self, name, state):
        wait_for(f"{name} to be {state}", lambda: self.status().get(name) == state)

    def proxy(self, user="admin:s3cret-word@"):
        return xmlrpc.client.ServerProxy(f"http://{user}127.0.0.1:{self.port}/RPC2").supervisor


def ready(daemon):
    for name in ("one", "web"):
        daemon.until(name, "healthy")


def status_start_stop_restart():
    with Endpoint() as daemon:
        ready(daemon)
        assert daemon.status() == {"last": "STOPPED", "one": "RUNNING", "web:0": "RUNNING",
                                   "web:1": "RUNNING", "web:2": "RUNNING"}, daemon.status()
        line = daemon.supervisorctl("status", "one")
        assert f"pid {daemon.pid('one')}, uptime 0:00:" in line, line
        assert daemon.supervisorctl("start", "last") == "last: started\n"
        assert daemon.supervisorctl("start", "last") == "last: ERROR (already started)\n"
        assert daemon.supervisorctl("stop", "last") == "last: stopped\n"
        assert daemon.state("last") == "stopped"
        assert "not running" in daemon.supervisorctl("stop", "last")
        before = daemon.pid("one")
        assert daemon.supervisorctl("restart", "one") == "one: stopped\none: started\n"
        assert daemon.pid("one") != before
        stopped = daemon.supervisorctl("stop", "web:*").splitlines()
        assert sorted(stopped) == [f"web:{i}: stopped" for i in range(3)], stopped
        started = daemon.supervisorctl("start", "web:*").splitlines()
        assert sorted(started) == [f"web:{i}: started" for i in range(3)], started
        pids = [each["pid"] for each in daemon.service("web")["instances"]]
        assert daemon.supervisorctl("stop", "web:1") == "web:1: stopped\n"
        assert "not running" in daemon.supervisorctl("stop", "web:1")
        states = daemon.status()
        assert [states[f"web:{i}"] for i in range(3)] == ["RUNNING", "STOPPED", "RUNNING"], states
        kill(daemon.engine())
        wait_for("the next engine", lambda: daemon.status().get("web:1") == "STOPPED")
        assert daemon.supervisorctl("start", "web:1") == "web:1: started\n"
        assert daemon.supervisorctl("restart", "web:1") == "web:1: stopped\nweb:1: started\n"
        now = [each["pid"] for each in daemon.service("web")["instances"]]
        assert [now[0], now[2]] == [pids[0], pids[2]] and now[1] != pids[1], (pids, now)
        assert "no such process" in daemon.supervisorctl("start", "nosuch", code=None)
        assert "no such group" in daemon.supervisorctl("stop", "nosuch:*", code=None)
        daemon.supervisorctl("stop", "all")
        assert set(daemon.status().values()) == {"STOPPED"}, daemon.status()
        # Its dependency comes first, though the names say otherwise.
        daemon.supervisorctl("start", "all")
        assert set(daemon.status().values()) == {"RUNNING"}, daemon.status()
        assert not daemon.incidents(), daemon.incidents()
        told = daemon.ctl("events", "--type", "operator:service")["events"]
        assert {"xmlrpc:admin"} == {event["actor"] for event in told}, told


def pids_avail_and_versions():
    with Endpoint() as daemon:
        ready(daemon)
        assert int(daemon.supervisorctl("pid")) == daemon.keeper.pid
        assert int(daemon.supervisorctl("pid", "one")) == daemon.pid("one")
        assert "No such process" in daemon.supervisorctl("pid", "nosuch", code=None)
        avail = daemon.supervisorctl("avail")
        assert avail.count("in use") == 5 and "manual" in avail, avail
        assert "recoverd" in daemon.supervisorctl("version")


def tail_and_follow():
    with Endpoint() as daemon:
        ready(daemon)
        hello = f"hello from {daemon.pid('one')}"
        wait_for("the greeting", lambda: hello in daemon.supervisorctl("tail", "one"))
        assert daemon.supervisorctl("tail", "-5", "one").endswith(hello[-4:] + "\n\n")
        instance = daemon.service("web")["instances"][1]["pid"]
        wait_for("the instance's own", lambda: f"from {instance}" in daemon.supervisorctl("tail", "web:1"))
        assert "no log file" in daemon.supervisorctl("tail", "one", "stderr", code=None)
        assert "no such process" in daemon.supervisorctl("tail", "nosuch", code=None)
        for name, pid in (("one", daemon.pid("one")), ("web:1", instance)):
            follower = daemon.ctl_process("tail", "-f", name)
            try:
                assert "Press Ctrl-C" in follower.stdout.readline()
                while hello.split()[0] not in follower.stdout.readline():
                    pass
                os.kill(pid, signal.SIGUSR1)
                while "got-usr1" not in follower.stdout.readline():
                    pass
            finally:
                follower.kill()
                follower.communicate()
        daemon.supervisorctl("clear", "one")
        assert "hello" not in daemon.supervisorctl("tail", "one")
        main = daemon.supervisorctl("maintail")
        assert "cleared the output of one" in main and "xmlrpc:admin" in main, main
        follower = daemon.ctl_process("maintail", "-f")
        try:
            daemon.ctl("stop", "one")
            while "stop one" not in follower.stdout.readline():
                pass
        finally:
            follower.kill()
            follower.communicate()


def stderr_of_its_own():
    script = ('["/bin/sh", "-c", "n=0; while :; do n=$((n+1)); echo out $n; echo err $n >&2;'
              ' sleep 0.02; done"]')
    services = f"""services:
  memory:
    run: {{command: {script}, output: {{stderr: separate}}}}
    playbooks: [restart_it]
  file:
    run: {{command: {script}, output: {{path: @HOME@/file.log, stderr: @HOME@/file.err}}}}
    playbooks: [restart_it]
"""
    with Endpoint(services) as daemon:
        def numbers(text):
            return [int(line.split()[-1]) for line in text.splitlines() if " err " in line]
        for name in ("memory", "file"):
            daemon.until(name, "healthy")
            wait_for("lines", lambda: numbers(daemon.supervisorctl("tail", name, "stderr")))
            assert " out " not in daemon.supervisorctl("tail", name, "stderr")
            assert " err " not in daemon.supervisorctl("tail", name)
            follower = daemon.ctl_process("tail", "-f", name, "stderr")
            try:
                while " err " not in follower.stdout.readline():
                    pass
            finally:
                follower.kill()
                follower.communicate()
        lines = [each["line"] for each in daemon.ctl("logs", "show", "--service", "memory", "--stderr")["logs"]]
        assert lines and all(" err " in line for line in lines), lines[:3]
        lines = [each["line"] for each in daemon.ctl("logs", "show", "--service", "memory")["logs"]]
        assert any(" err " in line for line in lines) and any(" out " in line for line in lines)
        pids = {name: daemon.pid(name) for name in ("memory", "file")}
        engine = daemon.engine()
        kill(engine)
        wait_for("another engine", lambda: daemon.engine() not in (None, engine))
        os.kill(daemon.keeper.pid, signal.SIGSTOP)
        kill(daemon.engine())
        kill(daemon.keeper.pid)
        daemon.keeper.wait()
        daemon.start()
        log = daemon.home / "file.err"
        last = numbers(log.read_text())[-1]
        wait_for("more lines", lambda: numbers(log.read_text())[-1] > last + 20)
        seen = numbers(log.read_text())
        assert seen == list(range(1, seen[-1] + 1)), "lines lost or doubled"
        assert {name: daemon.pid(name) for name in pids} == pids
        wait_for("lines in memory", lambda: numbers(daemon.supervisorctl("tail", "memory", "stderr")))
        daemon.supervisorctl("clear", "file")
        assert numbers(log.read_text())[:1] != [1]
        kill(pids["memory"])
        daemon.until_recovered("memory")
        assert " err " in daemon.incidents("memory")[0]["cause"] + str(daemon.incidents("memory"))


def signals():
    with Endpoint() as daemon:
        ready(daemon)
        assert daemon.supervisorctl("signal", "USR1", "one") == "one: signalled\n"
        wait_for("the signal", lambda: "got-usr1" in daemon.supervisorctl("tail", "one"))
        assert daemon.supervisorctl("signal", "usr1", "web:1") == "web:1: signalled\n"
        wait_for("the signal", lambda: "got-usr1" in daemon.supervisorctl("tail", "web:1"))
        assert "got-usr1" not in daemon.supervisorctl("tail", "web:0")
        assert daemon.supervisorctl("signal", "USR1", "all").count("signalled") == 4
        assert "bad signal name" in daemon.supervisorctl("signal", "NONSENSE", "one", code=None)
        assert "not running" in daemon.supervisorctl("signal", "USR1", "last", code=None)
        # A process that a signal ends is healed, as any other.
        daemon.supervisorctl("signal", "KILL", "one")
        daemon.until_recovered("one")


def reread_update_and_reload():
    changed = SERVICES.replace("hello from", "good day from", 1).replace("instances: 3", "instances: 3, umask: \"027\"")
    added = changed + "  late: {run: {command: [/bin/sleep, \"1000\"]}}\n"
    with Endpoint() as daemon:
        ready(daemon)
        one, web = daemon.pid("one"), daemon.pid("web")
        assert "No config updates" in daemon.supervisorctl("update") + daemon.supervisorctl("reread")
        daemon.write(settings() + added, RESTART)
        told = daemon.supervisorctl("reread").splitlines()
        assert told == ["late: available", "one: changed", "web: changed"], told
        assert daemon.pid("one") == one
        told = daemon.supervisorctl("update")
        for line in ("one: updated process group", "web: updated process group",
                     "late: added process group"):
            assert line in told, told
        for name in ("one", "web", "late"):
            daemon.until(name, "healthy")
        for name, before in (("one", one), ("web", web)):
            wait_for("another process of " + name, lambda: daemon.pid(name) not in (None, before))
        one = daemon.pid("one")
        daemon.write(settings() + changed, RESTART)
        told = daemon.supervisorctl("update")
        assert told == "late: stopped\nlate: removed process group\n", told
        assert "late" not in daemon.services() and daemon.pid("one") == one
        # reload: what did not change runs on.
        daemon.write(settings() + added, RESTART)
        assert daemon.supervisorctl("reload") == "Restarted supervisord\n"
        daemon.until("late", "healthy")
        assert daemon.pid("one") == one
        daemon.config.write_text(daemon.config.read_text() + "nonsense: 1\n")
        told = daemon.supervisorctl("reread", code=1)
        assert "ERROR" in told and "nonsense" in told, told
        assert not daemon.incidents(), daemon.incidents()


def what_fails_is_told_apart():
    """FATAL is given up; BACKOFF is being tried."""
    services = """services:
  broken:
    run: {command: [/bin/false]}
    autostart: false
    playbooks: [restart_it]
  pending:
    run: {command: [/bin/sh, -c, "test -e @HOME@/good && exec sleep 1000; exit 3"]}
    autostart: false
  once:
    run: {command: [/bin/true], type: oneshot}
"""
    with Endpoint(services) as daemon:
        daemon.until_status("once", "EXITED")
        told = daemon.supervisorctl("start", "broken", code=None)
        assert told == "broken: ERROR (abnormal termination)\n", told
        daemon.until_status("broken", "FATAL")
        assert daemon.supervisorctl("status", "broken", code=3).split(None, 2)[2].strip()
        daemon.supervisorctl("start", "pending", code=None)
        wait_for("it is tried or given up", lambda: daemon.status()["pending"] in ("BACKOFF", "FATAL"))


def passwords_and_addresses():
    port = free_port()
    with Endpoint(port=port) as daemon:
        ready(daemon)
        server = f"http://127.0.0.1:{port}"
        assert "RUNNING" in daemon.supervisorctl("status", "one", server=server)
        for user in (None, ("admin", "wrong"), ("other", "s3cret-word")):
            told = daemon.supervisorctl("status", server=server, user=user, code=None)
            assert "authentication" in told, (user, told)
            told = daemon.supervisorctl("stop", "one", server=server, user=user, code=None)
        assert daemon.state("one") == "healthy"
        follower = daemon.ctl_process("tail", "-f", "one", server=server)
        try:
            while "hello" not in follower.stdout.readline():
                pass
        finally:
            follower.kill()
            follower.communicate()
        # What a web page makes a browser send.
        talk = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP)
        talk.request("POST", "/RPC2", "<methodCall><methodName>supervisor.getState</methodName>"
                     "</methodCall>", {"Origin": "http://elsewhere.example"})
        assert talk.getresponse().status == 403
        assert "s3cret-word" not in (daemon.home / "log").read_text()
        if os.geteuid() == 0:
            assert "RUNNING" in daemon.supervisorctl("status", "one", user=None)
            mode = (daemon.home / "supervisor.sock").stat().st_mode & 0o777
            assert mode == 0o660, oct(mode)
    with Endpoint(port=port, password=False) as daemon:
        ready(daemon)
        daemon.proxy("").getAllProcessInfo()
        for call in (lambda p: p.stopProcess("one"), lambda p: p.shutdown(),
                     lambda p: p.readProcessStdoutLog("one", 0, 0)):
            try:
                call(daemon.proxy(""))
            except xmlrpc.client.ProtocolError as error:
                assert error.errcode == 403, error
            else:
                raise AssertionError("who only looks did more")
        told = daemon.supervisorctl("tail", "-f", "one", server=f"http://127.0.0.1:{port}", user=None,
                                    code=None)
        assert "hello" not in told and daemon.state("one") == "healthy", told


def wrong_addresses_are_refused():
    for keys, why in (("listen: 0.0.0.0:9001", "loopback"), ("listen: 127.0.0.1", "HOST:PORT"),
                      ("socket: /x.sock, username: a", "together"), ("username: a, password: b", "needs"),
                      ("listen: 127.0.0.1:9001, username: 'a:b', password: c", "colon")):
        daemon = Daemon("services: {}\n")
        text = daemon.config.read_text().replace("api: {", "api: {xmlrpc: {" + keys + "}, ")
        daemon.config.write_text(text)
        from harness import BIN
        done = subprocess.run([BIN / "recoverd", "check", "--config", daemon.config],
                              capture_output=True, text=True, timeout=GIVE_UP)
        assert done.returncode == 2 and why in done.stdout, (keys, done)
        daemon.close()


def xmlrpc_client_of_python():
    port = free_port()
    with Endpoint(port=port) as daemon:
        ready(daemon)
        proxy = daemon.proxy()
        info = proxy.getProcessInfo("web:2")
        assert info["group"] == "web" and info["name"] == "2" and info["state"] == 20, info
        assert info["start"] <= info["now"] and info["pid"] == daemon.service("web")["instances"][2]["pid"]
        text, offset, overflow = proxy.tailProcessStdoutLog("one", 0, 10)
        assert len(text) == 10 and overflow and offset > 10, (text, offset, overflow)
        server = xmlrpc.client.ServerProxy(f"http://admin:s3cret-word@127.0.0.1:{port}/RPC2")
        # As supervisord answers: the values themselves, where others put each into a list.
        stopped, info, started = server.system.multicall(
            [{"methodName": f"supervisor.{name}", "params": ["one"]}
             for name in ("stopProcess", "getProcessInfo", "startProcess")])
        assert stopped and started and info["statename"] == "STOPPED", (stopped, info, started)
        for call, code in ((lambda: proxy.startProcess("nosuch"), 10),
                           (lambda: proxy.startProcess("one"), 60),
                           (lambda: proxy.signalProcess("one", "NONE"), 11),
                           (lambda: proxy.sendProcessStdin("one", "x"), 20),
                           (lambda: proxy.nosuch(), 1), (lambda: proxy.startProcess(), 2)):
            try:
                call()
            except xmlrpc.client.Fault as fault:
                assert fault.faultCode == code, (fault, code)
            else:
                raise AssertionError(f"no fault {code}")
        assert daemon.exit_code("journal", "verify").returncode == 0


def the_node_exporters_supervisord_collector():
    exporter = shutil.which("prometheus-node-exporter")
    if not exporter:
        print("skipped: no prometheus-node-exporter here")
        return
    port, metrics = free_port(), free_port()
    with Endpoint(port=port) as daemon:
        ready(daemon)
        for url in (f"http://admin:s3cret-word@127.0.0.1:{port}/RPC2",
                    f"unix://{daemon.home}/supervisor.sock"):
            process = subprocess.Popen(
                [exporter, "--collector.disable-defaults", "--collector.supervisord",
                 f"--collector.supervisord.url={url}", f"--web.listen-address=127.0.0.1:{metrics}"],
                stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
            try:
                def scraped():
                    try:
                        with urllib.request.urlopen(f"http://127.0.0.1:{metrics}/metrics") as answer:
                            return answer.read().decode()
                    except OSError:
                        return None
                text = wait_for("the exporter", scraped)
                assert 'node_scrape_collector_success{collector="supervisord"} 1' in text, text[-2000:]
                assert 'node_supervisord_up{group="web",name="1"} 1' in text, text
                assert 'node_supervisord_up{group="last",name="last"} 0' in text, text
                assert 'node_supervisord_state{group="one",name="one"} 20' in text, text
            finally:
                process.kill()
                process.communicate()


def a_slow_follower_and_many_connections_hold_up_nobody():
    port = free_port()
    with Endpoint(port=port) as daemon:
        ready(daemon)
        idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(100)]
        idle[0].sendall(b"GET /mainlogtail HTTP/1.1\r\nHost: x\r\n")
        assert daemon.ctl("status", ok=None) is not None
        assert "RUNNING" in daemon.supervisorctl("status", "one")
        for each in idle:
            each.close()
        server = f"http://127.0.0.1:{port}"
        wait_for("a free place", lambda: "RUNNING" in daemon.supervisorctl(
            "status", "one", server=server, code=None))
        before = len(os.listdir(f"/proc/{daemon.engine()}/fd"))
        for _ in range(5):
            follower = daemon.ctl_process("tail", "-f", "web:0")
            follower.stdout.readline()
            follower.kill()
            follower.communicate()
        wait_for("their descriptors to be closed",
                 lambda: len(os.listdir(f"/proc/{daemon.engine()}/fd")) <= before)


def it_comes_back_with_the_engine():
    port = free_port()
    with Endpoint(port=port) as daemon:
        ready(daemon)
        pid, engine = daemon.pid("one"), daemon.engine()
        kill(engine)
        wait_for("another engine", lambda: daemon.engine() not in (None, engine))
        for server in (None, f"http://127.0.0.1:{port}"):
            wait_for("it to answer", lambda: "RUNNING" in daemon.supervisorctl(
                "status", "one", server=server, code=None))
        daemon.ctl("daemon", "reexec")
        wait_for("it to answer", lambda: "RUNNING" in daemon.supervisorctl("status", "one", code=None))
        assert int(daemon.supervisorctl("pid", "one")) == pid
        # What only a restart takes over is refused by a reload, and says so.
        daemon.config.write_text(daemon.config.read_text().replace("username: admin", "username: other"))
        told = daemon.supervisorctl("reread", code=1)
        assert "api.xmlrpc" in told, told


def shutdown_ends_all():
    with Endpoint() as daemon:
        ready(daemon)
        pid = daemon.pid("one")
        assert daemon.supervisorctl("shutdown") == "Shut down\n"
        daemon.keeper.wait(GIVE_UP)
        assert daemon.keeper.returncode == 0 and not pathlib.Path(f"/proc/{pid}").exists()
        assert not (daemon.home / "supervisor.sock").exists()


if __name__ == "__main__":
    if not shutil.which("supervisorctl"):
        print("skipped: no supervisorctl here")
    else:
        run(status_start_stop_restart, pids_avail_and_versions, tail_and_follow,
            stderr_of_its_own, signals,
            reread_update_and_reload, what_fails_is_told_apart, passwords_and_addresses,
            wrong_addresses_are_refused, xmlrpc_client_of_python,
            the_node_exporters_supervisord_collector,
            a_slow_follower_and_many_connections_hold_up_nobody,
            it_comes_back_with_the_engine, shutdown_ends_all)
