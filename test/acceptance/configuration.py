"""Acceptance of the configuration in a running recoverd: reload touches only what changed, a broken
file changes nothing, and no secret is ever shown."""
import os
import pathlib
import signal
import subprocess

from harness import BIN, Daemon, run, start_time, wait_for
from processes import RESTART, kill, settings

CANARY = "canary-4f1d0c7e-do-not-show"


def services(*lines):
    return "services:\n" + "".join(f"  {line}\n" for line in lines)


def sleeper(name, seconds=1000, extra=""):
    return f"{name}: {{run: {{command: [/bin/sleep, \"{seconds}\"]}}, playbooks: [restart_it]{extra}}}"


def reload_touches_only_what_changed():
    with Daemon(settings() + services(sleeper("stays"), sleeper("changes"), sleeper("goes")),
                RESTART) as daemon:
        for name in ("stays", "changes", "goes"):
            daemon.until(name, "healthy")
        pids = {name: daemon.pid(name) for name in ("stays", "changes", "goes")}
        stamps = {name: start_time(pid) for name, pid in pids.items()}
        daemon.write(settings() + services(sleeper("stays"), sleeper("changes", 1001),
                                           sleeper("comes")), RESTART)
        summary = daemon.ctl("config", "reload")
        assert "changes" in str(summary) and "comes" in str(summary), summary
        wait_for("the changed service to run anew",
                 lambda: daemon.state("changes") == "healthy" and daemon.pid("changes") not in
                 (None, pids["changes"]))
        daemon.until("comes", "healthy")
        daemon.until_gone(pids["goes"], stamps["goes"])
        assert "goes" not in daemon.services()
        assert daemon.pid("stays") == pids["stays"] and start_time(pids["stays"]) == stamps["stays"]
        # And it is still healed under the new configuration.
        kill(daemon.pid("comes"))
        daemon.until_recovered("comes")


def a_broken_file_changes_nothing():
    with Daemon(settings() + services(sleeper("web")), RESTART) as daemon:
        daemon.until("web", "healthy")
        before = daemon.pid("web")
        daemon.config.write_text("services: {web: {run: {comand: [x]}, depend_on: [y]}}\n")
        done = daemon.exit_code("config", "reload")
        assert done.returncode == 2, (done.returncode, done.stderr)
        assert "command" in done.stderr and "depends_on" in done.stderr, done.stderr
        os.kill(daemon.keeper.pid, signal.SIGHUP)
        wait_for("the log to name the mistake",
                 lambda: "comand" in (daemon.home / "log").read_text())
        assert daemon.pid("web") == before and daemon.state("web") == "healthy"


def no_secret_is_ever_shown():
    playbooks = """
playbook: tells_secrets
name: Prints what it must not
triggers: [{failure: service_failure}, {symptom: probe_failed}]
steps:
  - name: Print
    action: exec
    with: {command: ["/bin/sh", "-c", "echo token $TOKEN; echo $TOKEN >&2; env"], environment: {TOKEN: "${env:CANARY}"}}
    timeout: 5s
    irreversible: true
  - {name: Restart, action: restart, timeout: 10s}
validation: {within: 2s, stable_for: 100ms, success_criteria: ["service_running == true"]}
"""
    configuration = settings() + """
services:
  web:
    run:
      command: ["/bin/sh", "-c", "echo started with $TOKEN; exec sleep 1000"]
      environment: {TOKEN: "${env:CANARY}"}
    probes:
      - exec: {command: ["/bin/sh", "-c", "echo $TOKEN; test ! -e @HOME@/broken"], environment: {TOKEN: "${file:@HOME@/secret}"}}
        interval: 200ms
    playbooks: [tells_secrets]
"""
    daemon = Daemon(configuration, playbooks, {"CANARY": CANARY})
    (daemon.home / "secret").write_text(CANARY + "\n")
    daemon.write(configuration, playbooks)
    with daemon:
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        recovery = daemon.until_recovered("web")
        (daemon.home / "broken").touch()
        daemon.until_ended("web", "succeeded", count=2)
        shown = [daemon.explain(recovery), str(daemon.ctl("recoveries")), str(daemon.services()),
                 str(daemon.ctl("events")), str(daemon.ctl("incidents")),
                 str(daemon.ctl("config", "get")), (daemon.home / "log").read_text()]
        shown += [subprocess.run([BIN / "recoverctl", "--socket", daemon.socket, *command],
                                 capture_output=True, text=True).stdout
                  for command in (["logs", "show", "--service", "web"], ["services", "web"],
                                  ["health", "check", "--thorough"])]
        assert "started with ***" in "".join(shown), "the output is shown, the secret is not"
        for text in shown:
            assert CANARY not in text, text[max(0, text.index(CANARY) - 200):][:500]
        for path in (daemon.home / "state").rglob("*"):
            if path.is_file():
                assert CANARY.encode() not in path.read_bytes(), f"in {path}"
        # What a person asked to run with it still got it.
        assert recovery["steps"][0]["state"] == "done", recovery


if __name__ == "__main__":
    run(reload_touches_only_what_changed, a_broken_file_changes_nothing, no_secret_is_ever_shown)
