"""Acceptance of what operators touch: every command of recoverctl against a running recoverd, with
good input, bad input and unknown names; its exit codes are those of the contract."""
import http.client
import json
import os
import pathlib
import signal
import socket
import subprocess
import time

from harness import BIN, GIVE_UP, Daemon, run, wait_for
from processes import RESTART, kill, settings

SERVICES = """services:
  web:
    run:
      command: [/bin/sh, -c, "trap : HUP; while :; do sleep 1; done"]
    state: [@HOME@/conf]
    probes:
      - exec: {command: [/usr/bin/test, -e, @HOME@/conf/a.conf]}
        interval: 200ms
    playbooks: [restart_it]
  fragile:
    run: {command: [/bin/sleep, "100000"]}
    playbooks: [restart_it]
  seen:
    observe: {match: no-such-process-anywhere}
"""


def daemon_with_state():
    daemon = Daemon(settings() + "checkpoint: {after: 10m}\n" + SERVICES, RESTART)
    (daemon.home / "conf").mkdir()
    (daemon.home / "conf/a.conf").write_text("one\n")
    return daemon


def refused(daemon, code, *arguments, says=""):
    """Runs the command; its exit code, an error object alone on stderr, and nothing on stdout."""
    done = daemon.exit_code(*arguments)
    assert done.returncode == code, (arguments, done.returncode, done.stdout, done.stderr)
    assert not done.stdout.strip(), done.stdout
    error = json.loads(done.stderr)["error"]
    assert set(error) == {"code", "message", "detail"}, error
    assert says in error["message"], error
    plain = subprocess.run([BIN / "recoverctl", "--socket", daemon.socket, *arguments],
                           capture_output=True, text=True, timeout=GIVE_UP)
    assert plain.returncode == code and plain.stderr.startswith("recoverctl: "), plain


def exit_codes_and_shapes():
    with daemon_with_state() as daemon:
        for name in ("web", "fragile"):
            daemon.until(name, "healthy")
        lists = {"services": ["services"], "incidents": ["incidents"],
                 "recoveries": ["recoveries"], "events": ["events"],
                 "maintenance": ["maintenance", "list"], "checkpoints": ["checkpoint", "list"],
                 "patterns": ["patterns", "list"], "circuit_breakers": ["breaker", "list"],
                 "logs": ["logs", "show"], "resources": ["monitor", "resources"]}
        for plural, command in lists.items():
            assert isinstance(daemon.ctl(*command)[plural], list), command
        service = daemon.ctl("services", "web")
        for field in ("name", "kind", "state", "since", "pid", "instances", "priority",
                      "depends_on", "probes", "breaker", "last_checkpoint"):
            assert field in service, field
        for command in (["start"], ["stop"], ["restart"], ["reload"], ["quarantine"], ["release"],
                        ["recover"], ["services"], ["breaker", "reset"]):
            refused(daemon, 4, *command, "nosuch", says="nosuch")
        for command in (["explain"], ["approve"], ["reject"], ["incidents"], ["recoveries"]):
            refused(daemon, 4, *command, "rec-99")
        refused(daemon, 4, "scale", "nosuch", "2")
        refused(daemon, 4, "recover", "web", "--playbook", "nosuch", says="restart_it")
        refused(daemon, 4, "logs", "show", "--service", "nosuch")
        refused(daemon, 4, "config", "get", "auto_recovry", says="did you mean `auto_recovery`")
        for bad in (["bogus"], [], ["mode", "set", "sometimes"], ["events", "--last", "soon"],
                    ["maintenance", "start", "--for", "a while"], ["scale", "web", "many"],
                    ["patterns", "add", "x", "("], ["config", "set", "nosuch", "x"]):
            refused(daemon, 2, *bad)
        refused(daemon, 6, "start", "seen")
        refused(daemon, 6, "scale", "web", "5", says="1")
        away = subprocess.run([BIN / "recoverctl", "--socket", "/nowhere/api.sock", "status"],
                              capture_output=True, text=True, timeout=GIVE_UP)
        assert away.returncode == 5 and "Is recoverd running?" in away.stderr, away


def a_second_recoverd_is_refused_at_once():
    with daemon_with_state() as daemon:
        daemon.until("web", "healthy")
        second = subprocess.run([BIN / "recoverd", "run", "--config", daemon.config],
                                capture_output=True, text=True, timeout=GIVE_UP)
        assert second.returncode == 2, second
        assert f"another recoverd (pid {daemon.keeper.pid})" in second.stderr, second.stderr
        assert str(daemon.home / "state") in second.stderr, second.stderr
        # The lock was not waited for: that message is another one.
        assert "cannot open the journal" not in second.stderr, second.stderr
        # A state of its own does not help against the same socket.
        third = subprocess.run([BIN / "recoverd", "run", "--config", daemon.config, "--state-dir",
                                daemon.home / "elsewhere"],
                               capture_output=True, text=True, timeout=GIVE_UP)
        assert third.returncode == 2 and "listening here already" in third.stderr, third
        assert daemon.state("web") == "healthy"
        # What a dead keeper left behind refuses nobody.
        engine, keeper = daemon.engine(), daemon.keeper.pid
        os.kill(keeper, signal.SIGKILL)
        kill(engine)
        daemon.keeper.wait()
        daemon.start()
        daemon.until("web", "healthy")


def checkpoints_tell_their_outcome():
    with daemon_with_state() as daemon:
        daemon.until("web", "healthy")
        refused(daemon, 4, "checkpoint", "restore", "nosuch", says='no checkpoint "nosuch"')
        taken = daemon.ctl("checkpoint", "create", "v1")["checkpoints"]
        assert [one["service"] for one in taken] == ["web"] and "v1" in taken[0]["names"], taken
        daemon.ctl("checkpoint", "create", "same", "--service", "web")
        (daemon.home / "conf/a.conf").write_text("two\n")
        daemon.ctl("checkpoint", "create", "v2", "--service", "web")
        listed = [one for one in daemon.ctl("checkpoint", "list", "--service", "web")["checkpoints"]
                  if one["kind"] == "manual"]
        # What the service started with is a candidate besides: its state is that of v1.
        names = [set(one["names"]) - {"candidate", "last-good", "last-good-started"} for one in listed]
        assert names == [{"v2"}, {"same", "v1"}], listed
        for one in listed:
            for field in ("id", "service", "kind", "taken_at", "bytes", "last_good"):
                assert field in one, one
        refused(daemon, 4, "checkpoint", "restore", "nosuch", says="v2")
        refused(daemon, 4, "checkpoint", "restore", "nosuch", "--service", "web", says="v1")
        refused(daemon, 1, "checkpoint", "create", "x", "--service", "fragile", says="state:")
        refused(daemon, 2, "checkpoint", "create", "a/b", "--service", "web")
        assert daemon.ctl("checkpoint", "restore", "v1")["restored"]
        assert (daemon.home / "conf/a.conf").read_text() == "one\n"
        by_prefix = daemon.ctl("checkpoint", "show", listed[0]["id"][:8])
        assert "v2" in by_prefix["names"], by_prefix
        # What is broken in the store is told, by exit 1 and by name.
        (daemon.home / "conf/a.conf").write_text("lost\n")
        kept = daemon.home / "state/checkpoints"
        restic = ["restic", "--no-cache", "-r", str(kept / "repository"),
                  "--password-file", str(kept / "password")]
        subprocess.run([*restic, "check", "--read-data"], check=True, capture_output=True)
        done = daemon.ctl("checkpoint", "restore", "v2")
        assert (daemon.home / "conf/a.conf").read_text() == "two\n"
        undo = daemon.ctl("checkpoint", "show", "before-restore")["id"]
        assert undo in done["detail"], done
        assert daemon.ctl("checkpoint", "restore", undo)["restored"]
        assert (daemon.home / "conf/a.conf").read_text() == "lost\n"
        for file in (kept / "repository/data").rglob("*"):
            if file.is_file():
                file.unlink()
        refused(daemon, 1, "checkpoint", "restore", "v2", says="not restored")
        assert (daemon.home / "conf/a.conf").read_text() == "lost\n"


def the_configuration_has_versions():
    with daemon_with_state() as daemon:
        daemon.until("web", "healthy")
        versions = lambda: daemon.ctl("config", "history")["versions"]
        wait_for("the first version", lambda: len(versions()) == 1)
        daemon.ctl("config", "set", "checkpoint.keep", "7")
        wait_for("the second version", lambda: len(versions()) == 2)
        newest, first = versions()
        text = daemon.ctl("config", "diff", first["id"], newest["id"])["text"]
        assert "+checkpoint:" in text and "keep: 7" in text, text
        daemon.ctl("config", "reload")
        assert len(versions()) == 2


def a_reload_that_kills_is_a_failure():
    with daemon_with_state() as daemon:
        for name in ("web", "fragile"):
            daemon.until(name, "healthy")
        pid = daemon.pid("web")
        daemon.ctl("reload", "web")
        assert daemon.pid("web") == pid
        refused(daemon, 1, "reload", "fragile", says="ended a process")
        daemon.until_recovered("fragile")


def a_configuration_reload_waits_for_what_it_restarts():
    broken = SERVICES.replace('[/bin/sleep, "100000"]', "[/bin/false]")
    with daemon_with_state() as daemon:
        daemon.until("fragile", "healthy")
        daemon.write(settings() + broken, RESTART)
        done = daemon.exit_code("config", "reload", "--timeout", "20s")
        assert done.returncode == 1, done
        document = json.loads(done.stdout)
        assert document["restarted"] == ["fragile"] and document["faults"], document
        daemon.write(settings() + SERVICES, RESTART)
        daemon.ctl("config", "reload", "--no-wait")


def a_reload_waits_for_looks_taken_since():
    failing = SERVICES.replace("conf/a.conf]}", "conf/none.conf]}")
    with daemon_with_state() as daemon:
        daemon.until("web", "healthy")
        # Its process goes on and was healthy: only a new look shows what the new probe finds.
        daemon.write(settings() + failing, RESTART)
        done = daemon.exit_code("config", "reload", "--timeout", "3s")
        assert done.returncode == 1, done
        document = json.loads(done.stdout)
        assert document["changed"] == ["web"] and "web is " in document["faults"][0], document
        daemon.write(settings() + SERVICES, RESTART)
        daemon.ctl("config", "reload")
        assert daemon.state("web") == "healthy"
        (probe,) = daemon.service("web")["probes"]
        assert probe["fresh"] and probe["latest"] == "passing", probe


def quarantine_refuses_a_start_and_says_what_lifts_it():
    with daemon_with_state() as daemon:
        daemon.until("fragile", "healthy")
        daemon.ctl("quarantine", "fragile")
        kill(daemon.pid("fragile"))
        for request in ("start", "restart", "reload"):
            refused(daemon, 6, request, "fragile", says="`recoverctl release fragile`")
        daemon.ctl("release", "fragile")
        daemon.ctl("start", "fragile")
        assert daemon.state("fragile") == "healthy"


def a_manual_recovery_takes_nothing_made_for_another_failure():
    for_disks = RESTART.replace("restart_it", "for_full_disks").replace(
        "triggers: [{failure: service_failure}, {failure: connection}, {failure: timeout}]",
        "triggers: [{symptom: disk_full}]")
    assert "disk_full" in for_disks, for_disks
    with Daemon(settings() + SERVICES.replace("restart_it", "for_full_disks"), for_disks) as daemon:
        daemon.until("fragile", "healthy")
        refused(daemon, 1, "recover", "fragile", says="for_full_disks")
        assert daemon.incidents("fragile") == []
        daemon.ctl("recover", "fragile", "--playbook", "for_full_disks", "--wait")


def a_heartbeat_through_the_api():
    job = """  job:
    observe: {match: no-such-process-anywhere}
    probes:
      - heartbeat: {every: 2s}
        interval: 100ms
    playbooks: []
"""
    with Daemon(settings() + SERVICES + job, RESTART) as daemon:
        wait_for("the silence to be seen",
                 lambda: daemon.service("job")["probes"][0]["latest"] == "failing")
        assert daemon.ctl("heartbeat", "job")["probes"] == 1
        wait_for("the heartbeat to be heard",
                 lambda: daemon.service("job")["probes"][0]["latest"] == "passing")
        refused(daemon, 1, "heartbeat", "fragile", says="no heartbeat probe")
        refused(daemon, 4, "heartbeat", "nosuch")


def members_of_the_operator_group_operate():
    if os.geteuid() != 0:
        print("skipped: only root can be somebody else")
        return
    operators = 54_321
    daemon = Daemon(settings() + SERVICES, RESTART)
    text = daemon.config.read_text()
    daemon.config.write_text(
        text.replace("api: {", f"api: {{operator_group: {operators}, ", 1))
    with daemon:
        daemon.until("fragile", "healthy")
        assert os.stat(daemon.socket).st_gid == operators

        def as_one_of(group, *arguments):
            return subprocess.run([BIN / "recoverctl", "--socket", daemon.socket, "--json",
                                   *arguments], capture_output=True, text=True, timeout=GIVE_UP,
                                  user=65534, group=65534, extra_groups=[group])
        if as_one_of(operators, "--version").returncode != 0:
            print("skipped: nobody cannot run the program here")
            return
        assert as_one_of(operators, "restart", "fragile").returncode == 0
        assert as_one_of(operators, "mode", "set", "shadow").returncode == 3
        assert as_one_of(operators + 1, "status").returncode == 3


def patterns_are_added_and_removed():
    with daemon_with_state() as daemon:
        daemon.until("web", "healthy")
        before = daemon.config.read_text()
        added = daemon.ctl("patterns", "add", "oom", "Out of memory", "--category", "memory",
                           "--recovery", "restart")
        assert added["class"] == "resource_exhaustion", added
        refused(daemon, 1, "patterns", "add", "oom", "y", says="already")
        assert daemon.ctl("patterns", "test", "kernel: Out of memory")["matched"]
        checked = subprocess.run([BIN / "recoverd", "check", "--config", daemon.config],
                                 capture_output=True, text=True, timeout=GIVE_UP)
        assert checked.returncode == 0, checked
        # It survives a restart, since it is in the file.
        assert "oom" in daemon.config.read_text()
        daemon.ctl("patterns", "remove", "oom")
        assert daemon.ctl("patterns", "list")["patterns"] == []
        refused(daemon, 4, "patterns", "remove", "oom")
        refused(daemon, 2, "patterns", "add", "odd", "x", "--recovery", "no_such_action")
        assert before in daemon.config.read_text()
        # An edit nobody has loaded is not overwritten.
        daemon.config.write_text(daemon.config.read_text() + "# a note\n")
        refused(daemon, 2, "patterns", "add", "late", "x")
        assert "# a note" in daemon.config.read_text()
        daemon.ctl("config", "reload")
        daemon.ctl("patterns", "add", "late", "x")


def an_explanation_is_in_order():
    with daemon_with_state() as daemon:
        daemon.until("fragile", "healthy")
        kill(daemon.pid("fragile"))
        recovery = daemon.until_recovered("fragile")
        told = daemon.ctl("explain", recovery["id"])
        rows = told["chain"]
        times = [row["at"] for row in rows if row["at"]]
        assert times == sorted(times), rows
        assert rows[0]["kind"] == "symptom" and rows[-1]["kind"] == "verdict", rows
        gates = [row["at"] for row in rows if row["kind"] == "gate"]
        assert gates and set(gates) == {recovery["started_at"]}, (gates, recovery["started_at"])
        steps = {row["text"].split(":")[0]: row["at"] for row in rows if row["kind"] == "step"}
        for step in recovery["steps"]:
            if step["name"] in steps:
                assert steps[step["name"]] == step["started_at"], (step, steps)
        validated = [row["at"] for row in rows if row["kind"] == "validation"]
        assert validated and min(validated) >= max(steps.values()), rows
        assert max(validated) <= recovery["ended_at"], rows


class Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__("localhost", timeout=GIVE_UP)
        self.path = str(path)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(self.path)


def ask(daemon, method, path, body=None, **headers):
    connection = Connection(daemon.socket)
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, "/api/v1/recovery" + path, body, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def http_tags_and_keys():
    with daemon_with_state() as daemon:
        daemon.until("web", "healthy")
        status, headers, text = ask(daemon, "GET", "/configuration")
        assert status == 200 and headers["ETag"], headers
        assert ask(daemon, "GET", "/configuration", If_None_Match=headers["ETag"])[0] == 304
        assert ask(daemon, "PUT", "/configuration", text, If_Match='"0"')[0] == 412
        assert ask(daemon, "PUT", "/configuration", text, If_Match=headers["ETag"])[0] == 200
        wanted = json.dumps({"service": "fragile"})
        first = ask(daemon, "POST", "/trigger", wanted, Idempotency_Key="one")
        assert first[0] == 202 and first[1]["Location"], first
        daemon.until_recovered("fragile")
        kill(daemon.engine())
        wait_for("the engine to be back", lambda: daemon.state("fragile") == "healthy")
        again = ask(daemon, "POST", "/trigger", wanted, Idempotency_Key="one")
        assert again[0] == 202 and again[2] == first[2], again
        assert len(daemon.recoveries("fragile")) == 1, daemon.recoveries("fragile")
        other = ask(daemon, "POST", "/trigger", json.dumps({"service": "web"}),
                    Idempotency_Key="one")
        assert other[0] == 422, other
        problem = json.loads(ask(daemon, "GET", "/services/nosuch")[2])
        assert problem["code"] == "SERVICE_NOT_FOUND" and problem["status"] == 404, problem


def access_follows_the_kernel():
    if os.geteuid() != 0:
        print("skipped: only root can be somebody else")
        return
    with daemon_with_state() as daemon:
        daemon.until("web", "healthy")
        os.chmod(daemon.socket, 0o666)
        nobody = {"user": 65534, "group": 65534, "extra_groups": []}

        def as_nobody(*arguments):
            return subprocess.run([BIN / "recoverctl", "--socket", daemon.socket, "--json",
                                   *arguments], capture_output=True, text=True, timeout=GIVE_UP,
                                  **nobody)
        if not os.access(BIN / "recoverctl", os.X_OK) or as_nobody("--version").returncode != 0:
            print("skipped: nobody cannot run the program here")
            return
        assert as_nobody("status").returncode == 0
        for command in (["stop", "web"], ["mode", "set", "shadow"], ["config", "get"],
                        ["patterns", "add", "x", "y"], ["recover", "web"], ["logs", "show"],
                        ["checkpoint", "restore", "last-good"], ["kill-switch", "on"]):
            done = as_nobody(*command)
            assert done.returncode == 3, (command, done)
            assert json.loads(done.stderr)["error"]["code"] == "FORBIDDEN", done
        assert daemon.state("web") == "healthy"
        os.chmod(daemon.socket, 0o600)
        assert as_nobody("status").returncode == 3


if __name__ == "__main__":
    run(exit_codes_and_shapes, a_second_recoverd_is_refused_at_once,
        checkpoints_tell_their_outcome, the_configuration_has_versions, a_reload_that_kills_is_a_failure,
        a_configuration_reload_waits_for_what_it_restarts, a_reload_waits_for_looks_taken_since,
        quarantine_refuses_a_start_and_says_what_lifts_it,
        a_manual_recovery_takes_nothing_made_for_another_failure, a_heartbeat_through_the_api,
        members_of_the_operator_group_operate, patterns_are_added_and_removed,
        an_explanation_is_in_order, http_tags_and_keys, access_follows_the_kernel)
