"""Acceptance: complete recovery drills of the daemon: measured, judged, told, and nothing left of them.

With RECOVERD_DRILL_KILLS set (`make soak`) also drills that are killed, and one whose store stands still.
"""
import json
import os
import pathlib
import signal
import sqlite3

from backups import backing_up, backup_type, events, name_of, processes_of, status, task
from harness import GIVE_UP, run, small_disk, wait_for

NEVER = "  verification: never\n  restore_test: never\n"
YEARLY = "{full: never, incremental: '0 0 1 1 *'}"


def scratch_of(daemon):
    return list((daemon.home / "state/backups/scratch").glob("*"))


def workers(daemon):
    return [pid for pid in processes_of(daemon) if name_of(pid).startswith("recoverd")]


def many_files(daemon, count):
    for folder in range(count // 100):
        (daemon.home / f"data/{folder}").mkdir()
        for number in range(100):
            (daemon.home / f"data/{folder}/{number}").write_bytes(b"%d of %d\n" % (number, folder))


def everything_is_restored_and_measured():
    """On schedule and by hand: every source, the database started; the reports are kept and listed."""
    types = backup_type("etc", "{paths: [@HOME@/data]}, {sqlite: [@HOME@/app.db], "
                               "query: select count(*) from orders, expect: '3'}", YEARLY,
                        "      rto: 2m\n")
    with backing_up(types, NEVER + "  drill: '*/3 * * * * *'\n") as daemon:
        with sqlite3.connect(daemon.home / "app.db") as base:
            base.execute("create table orders(n)")
            base.executemany("insert into orders values (?)", [(1,), (2,), (3,)])
        base.close()
        daemon.ctl("backup", "create", "etc")
        (daemon.home / "data/one").write_text("changed since\n")
        drilled = wait_for("a drill on schedule", lambda: next(iter(
            one for one in daemon.ctl("backup", "drills")["drills"] if one["state"] == "succeeded"), None))
        assert drilled["rto_met"] and drilled["rto_wanted_seconds"] == 120, drilled
        assert "rpo_met" not in drilled, "nothing but the schedule is wanted"
        files = drilled["result"]["sources"][0]
        assert files["changed_since"] == 1 and files["files"] == 1, files
        assert drilled["result"]["drills"][0]["answer"].strip() == "3", drilled
        assert task(daemon, "drill")["rto_seconds"] > 0
        told = daemon.ctl("backup", "drill", "etc")["runs"][0]
        assert told["state"] == "succeeded" and told["asked_by"], told
        page = daemon.exit_code("backup", "drills", "etc")
        assert page.returncode == 0 and json.loads(page.stdout)["drills"], page
        assert not daemon.ctl("backup", "drills", "none")["drills"]
        assert list((daemon.home / "state/backups/reports").glob("drill-*"))
        daemon.until("backup:etc", "healthy")
        wait_for("scratch to be empty", lambda: not scratch_of(daemon))


def too_old_is_unhealthy():
    """It restores, but what it holds is older than the RPO: unhealthy, with an incident."""
    types = backup_type("etc", "{paths: [@HOME@/data]}", YEARLY, "      rpo: 1s\n")
    with backing_up(types, NEVER) as daemon:
        daemon.ctl("backup", "create", "etc")
        wait_for("it to be too old", lambda: status(daemon)["rpo_seconds"] >= 2)
        done = daemon.exit_code("backup", "drill", "etc")
        assert done.returncode == 1 and "RPO_MISSED" in done.stderr, done
        assert status(daemon)["proven"]["code"] == "RPO_MISSED", status(daemon)
        wait_for("an incident", lambda: daemon.incidents("backup:etc"))
        report = daemon.ctl("backup", "drills")["drills"][0]
        assert report["rpo_met"] is False and report["rto_met"] is True, report
        daemon.ctl("backup", "create", "etc")
        daemon.ctl("backup", "drill", "etc")
        daemon.until("backup:etc", "healthy")


def killed_in_mid_drill():
    """kill -9 of the worker, then of recoverd: told, scratch removed, run again."""
    types = backup_type("etc", "{paths: [@HOME@/data]}", YEARLY)
    with backing_up(types, NEVER) as daemon:
        many_files(daemon, 8000)
        daemon.ctl("backup", "create", "etc")

        def under_way():
            daemon.ctl("backup", "drill", "etc", "--no-wait")
            wait_for("something in scratch",
                     lambda: list((daemon.home / "state/backups/scratch").glob("*/drill/*")))
            pid = workers(daemon)[0]
            os.kill(pid, signal.SIGSTOP)
            return pid

        os.kill(under_way(), signal.SIGKILL)
        wait_for("the failure to be told", lambda: [
            one for one in events(daemon, "backup:failed") if "recovery drill" in one["message"]])
        wait_for("scratch to be empty", lambda: not scratch_of(daemon))
        pid = under_way()
        assert scratch_of(daemon)
        os.kill(daemon.engine(), signal.SIGKILL)
        wait_for("the interruption to be told", lambda: daemon.ctl("status", ok=None) and
                 events(daemon, "backup:interrupted"))
        wait_for("the old worker to be gone", lambda: pid not in workers(daemon))
        wait_for("it to be run again", lambda: task(daemon, "drill")["state"] == "succeeded")
        wait_for("scratch to be empty", lambda: not scratch_of(daemon))


def no_room_is_said_in_time():
    """A scratch folder elsewhere that is too small: refused before anything is restored."""
    types = backup_type("etc", "{paths: [@HOME@/data]}", YEARLY)
    with backing_up(types, NEVER + "  scratch: @HOME@/small\n") as daemon:
        small = daemon.home / "small"
        (daemon.home / "data/large").write_bytes(os.urandom(6 << 20))
        small.mkdir()
        daemon.ctl("backup", "create", "etc")
        with small_disk(small, "size=4m") as mounted:
            if not mounted:
                return
            done = daemon.exit_code("backup", "drill", "etc")
            assert done.returncode == 1 and "DISK_FULL" in done.stderr, done
            assert "are free there" in done.stderr, done
            assert not list(small.iterdir()), list(small.iterdir())


def a_store_that_stands_still():
    """The drill waits for it, says so by going nowhere, holds up nobody, and ends when it goes on."""
    server = pathlib.Path("/usr/lib/openssh/sftp-server")
    if not server.exists():
        print("skipped: no sftp-server here")
        return
    types = backup_type("etc", "{paths: [@HOME@/data]}", YEARLY)
    with backing_up(types, NEVER) as daemon:
        many_files(daemon, 3000)
        (daemon.home / "bin").mkdir()
        (daemon.home / "bin/ssh").write_text(f"#!/bin/sh\nexec {server}\n")
        (daemon.home / "bin/ssh").chmod(0o755)
        daemon.keeper.terminate()
        daemon.keeper.wait(GIVE_UP)
        daemon.config.write_text(daemon.config.read_text().replace(
            f"location: {daemon.home}/repo", f'location: "sftp:me@far:{daemon.home}/repo"'))
        daemon.environment["PATH"] = f"{daemon.home}/bin:" + os.environ["PATH"]
        daemon.start()
        daemon.ctl("backup", "create", "etc")
        daemon.ctl("backup", "drill", "etc", "--no-wait")
        stopped = wait_for("its server", lambda: processes_of(daemon, "sftp-server"))[0]
        os.kill(stopped, signal.SIGSTOP)
        assert task(daemon, "drill")["state"] == "running", task(daemon, "drill")
        daemon.ctl("backup", "create", "etc")
        assert task(daemon, "drill")["state"] == "running", "the backup went past it"
        os.kill(stopped, signal.SIGCONT)
        wait_for("its end", lambda: task(daemon, "drill")["state"] == "succeeded")


if __name__ == "__main__":
    SLOW = (killed_in_mid_drill, a_store_that_stands_still)
    run(everything_is_restored_and_measured, too_old_is_unhealthy, no_room_is_said_in_time,
        *(SLOW if "RECOVERD_DRILL_KILLS" in os.environ else ()))
