"""Acceptance: continuous protection by the daemon, as the real restic sees what came of it."""
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess

from harness import GIVE_UP, Daemon, run, start_time, wait_for

KEY = "correct-horse-battery-7392"


class Guarded:
    """A daemon that protects @HOME@/data continuously, and what restic finds in the repository."""

    def __init__(self, rpo="2s", more=""):
        self.daemon = Daemon(
            "backup:\n  repositories: {main: {location: @HOME@/repo, password: \"${env:BACKUP_KEY}\"}}\n"
            "  verification: never\n  restore_test: never\n"
            "  types:\n    etc:\n      sources: [{paths: [@HOME@/data]}]\n      priority: critical\n"
            f"      continuous: true\n      rpo: {rpo}\n      schedule: {{full: never, incremental: never}}\n"
            + more, environment={"BACKUP_KEY": KEY})
        self.data, self.repo = self.daemon.home / "data", self.daemon.home / "repo"
        self.data.mkdir()
        (self.data / "one").write_text("first\n")
        self.restic("init")

    def __enter__(self):
        self.daemon.__enter__()
        wait_for("the first walk", lambda: self.holds("one", "first\n"))
        return self

    def __exit__(self, *fault):
        self.daemon.__exit__(*fault)

    def restic(self, *arguments, ok=True):
        done = subprocess.run(["restic", "--no-cache", "-r", self.repo, *arguments], capture_output=True,
                              text=True, timeout=GIVE_UP, env=dict(os.environ, RESTIC_PASSWORD=KEY))
        assert not ok or done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def holds(self, name, text):
        """Whether the newest snapshot has the file with this content."""
        return self.restic("--no-lock", "dump", "latest", str(self.data / name), ok=False) == text

    def is_sound(self):
        self.restic("check", "--read-data")

    def protection(self):
        return self.status()["protection"]

    def status(self):
        return self.daemon.ctl("backup", "status", "etc", ok=(0, 1))["backups"][0]

    def worker(self):
        """The pid of the worker that lives; None: there is none."""
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                mine = b"RECOVERD_INSTANCE=protection-etc-" in (folder / "environ").read_bytes()
                if mine and self.is_ours(int(folder.name)):
                    return int(folder.name)
        return None

    def is_ours(self, pid):
        text = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return int(text[1]) == self.daemon.engine() and text[0] != "Z"


def a_change_is_in_the_repository_within_the_rpo():
    """What changed is found there by restic; status tells the RPO wanted and achieved."""
    with Guarded(rpo="5s") as guarded:
        (guarded.data / "one").write_text("second\n")
        (guarded.data / "sub").mkdir()
        (guarded.data / "sub/two").write_text("new\n")
        wait_for("the change", lambda: guarded.holds("sub/two", "new\n"))
        assert guarded.holds("one", "second\n")
        told = wait_for("its RPO", lambda: (lambda p: p if p["rpo_last_seconds"] else None)(guarded.protection()))
        assert told["rpo_wanted_seconds"] == 5 and told["rpo_last_seconds"] <= 5, told
        assert told["state"] == "protecting" and told["feed"] in ("fanotify", "inotify"), told
        guarded.daemon.until("backup:etc", "healthy")
        shown = subprocess.run([os.environ["RECOVERD_BIN"] + "/recoverctl", "--socket", guarded.daemon.socket,
                                "backup", "status"], capture_output=True, text=True, check=True).stdout
        assert "of 5s" in shown, shown
        guarded.is_sound()


def a_killed_worker_is_begun_again_and_misses_nothing():
    """kill -9 while a large file is read: all of it is there in the end."""
    with Guarded() as guarded:
        first = wait_for("a worker", guarded.worker)
        began = start_time(first)
        (guarded.data / "large").write_bytes(os.urandom(24 << 20))
        (guarded.data / "one").write_text("second\n")
        # In the middle of it, if it comes to that: a pack under way, a lock held.
        wait_for("a lock", lambda: any((guarded.repo / "locks").iterdir()) or guarded.holds("one", "second\n"))
        os.kill(first, signal.SIGKILL)
        wait_for("another worker", lambda: (lambda pid: pid and (pid, start_time(pid)) != (first, began))(
            guarded.worker()))
        wait_for("the change", lambda: guarded.holds("one", "second\n"))
        assert guarded.protection()["restarts"] >= 1
        guarded.is_sound()


def an_outage_is_told_and_made_up_for():
    """The store is gone: unhealthy with the changes that wait; back: caught up, healthy again."""
    with Guarded() as guarded:
        guarded.repo.rename(guarded.daemon.home / "away")
        (guarded.data / "one").write_text("during\n")
        guarded.daemon.until("backup:etc", "degraded", "failed")
        told = guarded.protection()
        assert told["rpo_missed"] and told["changes_waiting"] >= 1 and told["state"] == "waiting", told
        assert guarded.status()["made"]["state"] == "unhealthy"
        (guarded.daemon.home / "away").rename(guarded.repo)
        wait_for("the change", lambda: guarded.holds("one", "during\n"))
        guarded.daemon.until("backup:etc", "healthy")
        assert guarded.protection()["rpo_worst_seconds"] > 2
        guarded.is_sound()


def more_than_the_queue_holds_is_a_full_walk():
    """A burst that the kernel's queue cannot hold while the worker is stopped: nothing is missed."""
    with Guarded() as guarded:
        pid = wait_for("a worker", guarded.worker)
        limit = max(int(pathlib.Path(f"/proc/sys/fs/{one}/max_queued_events").read_text())
                    for one in ("fanotify", "inotify"))
        if limit > 40_000:
            return print(f"skipped: a queue of {limit}")
        os.kill(pid, signal.SIGSTOP)
        for number in range(limit + 100):
            os.close(os.open(guarded.data / f"n{number}", os.O_CREAT | os.O_WRONLY))
        (guarded.data / "last").write_text("last\n")
        os.kill(pid, signal.SIGCONT)
        wait_for("the last of them", lambda: guarded.holds("last", "last\n"))
        listed = json.loads("[" + ",".join(guarded.restic("--no-lock", "ls", "--json", "latest").splitlines()) + "]")
        found = {one["path"] for one in listed if "path" in one}
        assert all(str(guarded.data / f"n{number}") in found for number in range(limit + 100))
        assert guarded.worker() == pid, "the same worker"


if __name__ == "__main__":
    if not shutil.which("restic"):
        print("skipped: no restic here")
    else:
        run(a_change_is_in_the_repository_within_the_rpo, a_killed_worker_is_begun_again_and_misses_nothing,
            an_outage_is_told_and_made_up_for, more_than_the_queue_holds_is_a_full_walk)
