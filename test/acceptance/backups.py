"""Acceptance: the daemon makes the backups of its configuration, and the real restic judges them."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

from harness import GIVE_UP, Daemon, run, wait_for
from processes import RESTART, settings

KEY = "correct-horse-battery-7391"
ENVIRONMENT = {"BACKUP_KEY": KEY}
QUIET = "  verification: never\n  restore_test: never\n"


def restic(daemon, *arguments, ok=True):
    done = subprocess.run(
        ["restic", "--no-cache", "-r", daemon.home / "repo", *arguments], capture_output=True,
        text=True, timeout=GIVE_UP, env=dict(os.environ, RESTIC_PASSWORD=KEY))
    assert not ok or done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def snapshots(daemon):
    return json.loads(restic(daemon, "snapshots", "--json", "--no-lock")) or []


@contextlib.contextmanager
def backing_up(types, proofs=QUIET, more="", playbooks=""):
    """A daemon with a repository, and @HOME@/data to back up."""
    text = ("backup:\n  repositories: {main: {location: @HOME@/repo, password: \"${env:BACKUP_KEY}\"}}\n"
            "  types:\n" + types + proofs)
    daemon = Daemon(text + more, playbooks, environment=ENVIRONMENT)
    (daemon.home / "data").mkdir()
    (daemon.home / "data/one").write_text("first\n")
    restic(daemon, "init")
    with daemon:
        yield daemon


def backup_type(name, source, schedule, more=""):
    return (f"    {name}:\n      sources: [{source}]\n"
            f"      schedule: {schedule}\n      retry_delay: 1s\n{more}")


def status(daemon, name="etc"):
    answer = daemon.ctl("backup", "status", ok=(0, 1))
    return {one["name"]: one for one in answer["backups"]}[name]


def task(daemon, which, name="etc"):
    return {one["task"]: one for one in status(daemon, name)["tasks"]}[which]


def events(daemon, kind="backup:"):
    return daemon.ctl("events", "--type", kind, "--last", "1h")["events"]


def processes_of(daemon, *needles):
    """Pids below the engine, or left by one, whose command line holds every needle."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            environ = (folder / "environ").read_bytes()
            line = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if b"RECOVERD_INSTANCE=backup-" in environ and all(each in line for each in needles):
                found.append(int(folder.name))
    return found


def holds_key(path):
    with contextlib.suppress(OSError):
        return KEY.encode() in path.read_bytes()
    return False


def made_proven_and_told():
    """On schedule, verified, restored as a test; the journal, the reports and the status tell of it."""
    types = backup_type("etc", "{paths: [@HOME@/data]}",
                        "{full: never, incremental: '*/3 * * * * *', grace: 1m}",
                        "      retention: {last: 3}\n")
    proofs = "  verification: '*/4 * * * * *'\n  restore_test: '*/4 * * * * *'\n"
    with backing_up(types, proofs) as daemon:
        wait_for("two backups", lambda: [e["type"] for e in events(daemon)
                                          if "incremental backup of etc:" in e["message"]][1:])
        wait_for("a proof", lambda: status(daemon)["proven_at"])
        daemon.until("backup:etc", "healthy")
        seen = status(daemon)
        assert seen["made"]["state"] == "healthy" and seen["repository"] == "main", seen
        assert 0 <= seen["rpo_seconds"] < 60, seen
        tested = task(daemon, "restore-test")
        assert tested["rto_seconds"] >= 0 and tested["rpo_seconds"] >= 0, tested
        reports = list((daemon.home / "state/backups/reports").iterdir())
        assert any(json.loads(one.read_text()).get("rto_seconds") is not None for one in reports)
        told = [one["type"] for one in events(daemon)]
        assert "backup:started" in told and "backup:succeeded" in told, told
        assert not [one for one in events(daemon) if one["type"] == "backup:failed"]
        # By hand, through the daemon.
        (daemon.home / "data/two").write_text("second\n")
        made = daemon.ctl("backup", "create", "etc")["runs"][0]
        assert made["state"] == "succeeded" and made["result"]["snapshots"], made
        daemon.ctl("backup", "test-restore")
        daemon.ctl("backup", "verify", "--all")
        assert daemon.exit_code("backup", "create", "none").returncode == 4
        assert daemon.exit_code("backup", "create", "--critical-only").returncode == 4
        no_secret(daemon)
    # It ended with a worker under way or without: what it left is sound, by the judge's word.


def no_secret(daemon):
    for path in [daemon.home / "log", *(daemon.home / "state").rglob("*")]:
        assert not holds_key(path), path
    for path in ["backups", "backups/etc", "services", "events?limit=1000", "configuration"]:
        answer = subprocess.run(
            ["curl", "-s", "--unix-socket", daemon.socket,
             "http://x/api/v1/recovery/" + path], capture_output=True, check=True).stdout
        assert answer and KEY.encode() not in answer, path


def killed_in_mid_run():
    """kill -9 of the worker, then of recoverd: the run is tried again, nothing is left behind."""
    dump = ("{command: [sh, -c, 'echo begun; setsid sleep 1000 & while ! test -e @HOME@/go;"
            " do sleep 0.05; done; kill $!; echo whole'], name: dump.sql}")
    types = backup_type("etc", dump, "{full: never, incremental: '*/2 * * * * *'}",
                        "      attempts: 5\n")
    with backing_up(types) as daemon:
        def running(*but):
            dumps = [pid for pid in processes_of(daemon, "begun") if pid not in but]
            return dumps and wait_for("its worker", lambda: [
                pid for pid in processes_of(daemon) if name_of(pid).startswith("recoverd")])[0]

        worker = wait_for("a dump to run", running)
        for pid in processes_of(daemon):
            assert not holds_key(pathlib.Path(f"/proc/{pid}/environ")), pid
            assert not holds_key(pathlib.Path(f"/proc/{pid}/cmdline")), pid
        before = processes_of(daemon, "begun")
        os.kill(worker, signal.SIGKILL)
        wait_for("the failure to be told", lambda: events(daemon, "backup:retried"))
        wait_for("its whole tree to be gone",
                 lambda: not any(pid in processes_of(daemon) for pid in before))
        wait_for("the next attempt", lambda: running(*before))
        before = processes_of(daemon)
        os.kill(daemon.engine(), signal.SIGKILL)
        wait_for("the interruption to be told", lambda: daemon.ctl("status", ok=None) and
                 events(daemon, "backup:interrupted"))
        wait_for("the old tree to be gone",
                 lambda: not any(pid in processes_of(daemon) for pid in before))
        assert not snapshots(daemon), "half a dump is no backup"
        (daemon.home / "go").touch()
        wait_for("it to be made", lambda: status(daemon)["last_success"])
        daemon.until("backup:etc", "healthy")
        assert restic(daemon, "dump", "--no-lock", "--tag", "etc", "--path", "/dump.sql", "latest",
                      "/dump.sql") == "begun\nwhole\n"
        (daemon.home / "go").unlink()
        wait_for("another to run", running)
        # The end of recoverd ends it, cleanly: no process, no lock.
        daemon.keeper.terminate()
        daemon.keeper.wait(GIVE_UP)
        assert not processes_of(daemon, str(daemon.home))
        assert not restic(daemon, "list", "locks", "--no-lock").strip()
        restic(daemon, "check", "--read-data")


def an_upgrade_waits_for_a_backup_and_misses_nothing():
    """While `daemon reexec` waits for a worker to end, a service that dies is healed, once."""
    dump = "{command: [sh, -c, 'echo begun; while ! test -e @HOME@/go; do sleep 0.05; done; echo whole'], name: d}"
    web = '\nservices:\n  web: {run: {command: [/bin/sleep, "1000"]}, playbooks: [restart_it]}\n'
    types = backup_type("etc", dump, "{full: never, incremental: '*/2 * * * * *'}", "      attempts: 5\n")
    with backing_up(types, more=settings() + web, playbooks=RESTART) as daemon:
        daemon.until("web", "healthy")
        wait_for("a dump to run", lambda: processes_of(daemon, "begun"))
        worker = wait_for("its worker", lambda: [
            pid for pid in processes_of(daemon) if name_of(pid).startswith("recoverd")])[0]
        engine, before = daemon.engine(), daemon.pid("web")
        os.kill(worker, signal.SIGSTOP)  # So that it is waited for.
        assert daemon.exit_code("daemon", "reexec").returncode == 0
        os.kill(before, signal.SIGKILL)
        wait_for("it to be healed", lambda: daemon.pid("web") not in (None, before))
        healed = daemon.pid("web")
        assert daemon.engine() == engine, "it did not wait"
        os.kill(worker, signal.SIGCONT)
        wait_for("another engine", lambda: daemon.engine() not in (None, engine))
        wait_for("an answer", lambda: daemon.ctl("status", ok=None))
        daemon.until_recovered("web")
        assert daemon.pid("web") == healed
        assert len(daemon.incidents("web")) == 1, daemon.incidents("web")
        (daemon.home / "go").touch()
        wait_for("the backup to be made", lambda: status(daemon)["last_success"])


def name_of(pid):
    with contextlib.suppress(OSError):
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    return ""


def unreachable_then_back():
    """No repository: an incident, an unhealthy daemon; once it is back it is caught up and closed."""
    types = backup_type("etc", "{paths: [@HOME@/data]}",
                        "{full: never, incremental: '*/2 * * * * *'}", "      attempts: 1\n")
    with backing_up(types) as daemon:
        daemon.until("backup:etc", "healthy")
        (daemon.home / "repo").rename(daemon.home / "away")
        incident = wait_for("an incident", lambda: daemon.incidents("backup:etc"))[0]
        assert daemon.state("backup:etc") == "degraded", daemon.service("backup:etc")
        assert daemon.exit_code("backup", "status").returncode == 1
        assert daemon.exit_code("health", "check").returncode == 1
        wait_for("people to be told", lambda: events(daemon, "incident:escalated"))
        assert "NOT_FOUND" in json.dumps(status(daemon)["made"]), status(daemon)
        # Down, and back only after the daemon was started anew: what was missed is made up for.
        daemon.keeper.terminate()
        daemon.keeper.wait(GIVE_UP)
        (daemon.home / "away").rename(daemon.home / "repo")
        count = len(snapshots(daemon))
        daemon.start()
        wait_for("the backup", lambda: len(snapshots(daemon)) > count)
        wait_for("the incident's end", lambda: not [
            one for one in daemon.incidents("backup:etc") if one["state"] != "resolved"])
        daemon.until("backup:etc", "healthy")
        assert incident["id"] in [one["id"] for one in daemon.incidents("backup:etc")]
        restic(daemon, "check", "--no-lock")


def a_failed_dump_is_no_backup():
    """And one that hangs is killed with everything it started; both are told."""
    types = (backup_type("etc", "{command: [sh, -c, 'echo half; echo no table >&2; exit 3'],"
                                " name: dump.sql}", "{full: never, incremental: '0 0 1 1 *'}",
                         "      priority: critical\n") +
             backup_type("slow", "{command: [sh, -c, 'setsid sleep 1234 & sleep 1234'], name: x}",
                         "{full: never, incremental: '0 0 1 1 *'}", "      timeout: 1s\n"))
    with backing_up(types) as daemon:
        done = daemon.exit_code("backup", "create", "--critical-only")
        assert done.returncode == 1 and "sh: exit 3: no table" in done.stderr, done
        done = daemon.exit_code("backup", "create", "slow")
        assert done.returncode == 1 and "TIMEOUT" in done.stderr, done
        assert not processes_of(daemon, "1234"), processes_of(daemon, "1234")
        assert not snapshots(daemon)
        for name in ("etc", "slow"):
            assert wait_for("its incident", lambda: daemon.incidents(f"backup:{name}"))
        assert wait_for("people to be told", lambda: events(daemon, "backup:failed"))


def a_reload_leaves_what_runs():
    hung = "{command: [sh, -c, 'while ! test -e @HOME@/go; do sleep 0.05; done; echo done'], name: x}"
    types = backup_type("etc", hung, "{full: never, incremental: '*/2 * * * * *'}")
    other = backup_type("other", "{paths: [@HOME@/data]}", "{full: never, incremental: '*/2 * * * * *'}")
    with backing_up(types) as daemon:
        wait_for("it to run", lambda: processes_of(daemon, "test -e"))
        before = task(daemon, "incremental")["run"]
        text = daemon.config.read_text()
        daemon.config.write_text(text.replace("  types:\n", "  types:\n" + other.replace(
            "@HOME@", str(daemon.home))))
        answer = json.dumps(daemon.ctl("config", "reload", "--no-wait"))
        assert "backup.types.other" in answer and "backup:other" in answer, answer
        assert task(daemon, "incremental")["run"] == before
        (daemon.home / "go").touch()
        wait_for("it to be done", lambda: status(daemon)["last_success"])
        wait_for("the new one", lambda: status(daemon, "other")["last_success"])
        assert not events(daemon, "backup:interrupted")
        daemon.until("backup:other", "healthy")
        daemon.config.write_text(text)
        daemon.ctl("config", "reload", "--no-wait")
        assert "backup:other" not in daemon.services()


if __name__ == "__main__":
    if not shutil.which("restic"):
        print("skipped: no restic here")
    else:
        run(made_proven_and_told, killed_in_mid_run, unreachable_then_back,
            a_failed_dump_is_no_backup, a_reload_leaves_what_runs,
            an_upgrade_waits_for_a_backup_and_misses_nothing)
