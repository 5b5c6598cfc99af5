"""Acceptance: repositories of several places, and recoverctl on the repositories of the configuration."""
import json
import os
import subprocess

from backups import ENVIRONMENT, KEY, QUIET, backup_type, status
from harness import BIN, GIVE_UP, Daemon, run, wait_for

YEARLY = "{full: never, incremental: '0 0 1 1 *'}"
MIRROR = ("backup:\n  repositories:\n    main:\n      password: \"${env:BACKUP_KEY}\"\n"
          "      mirror: {primary: @HOME@/first, secondary: @HOME@/second,\n"
          "               emergency: {location: @HOME@/third, write: later}}\n  types:\n")


def members(daemon):
    return {one["name"]: one for one in status(daemon)["members"]}


def ctl(daemon, *arguments, user=None):
    """recoverctl as somebody, in an environment that knows no password."""
    return subprocess.run(
        [BIN / "recoverctl", "--socket", daemon.socket, *arguments], capture_output=True, text=True,
        timeout=GIVE_UP, user=user, group=user, extra_groups=[] if user else None,
        env={"PATH": os.environ["PATH"], "HOME": str(daemon.home)})


def mirrored(types):
    daemon = Daemon(MIRROR + types + QUIET, environment=ENVIRONMENT)
    (daemon.home / "data/below").mkdir(parents=True)
    (daemon.home / "data/one").write_text("first\n")
    return daemon


def every_member_has_a_state():
    """Made by init, written together and later; one that is away is behind, told, and caught up."""
    types = (backup_type("etc", "{paths: [@HOME@/data]}, {command: [seq, '3'], name: x}", YEARLY))
    with mirrored(types) as daemon:
        done = ctl(daemon, "backup", "init")
        assert done.returncode == 0, done
        daemon.ctl("backup", "create", "etc")
        states = {name: one["state"] for name, one in members(daemon).items()}
        assert states == {"primary": "sound", "secondary": "sound", "emergency": "later"}, states
        (daemon.home / "second").rename(daemon.home / "away")
        (daemon.home / "second").write_text("in its place")
        (daemon.home / "data/two").write_text("second\n")
        daemon.ctl("backup", "create", "etc")
        behind = members(daemon)["secondary"]
        assert behind["state"] == "behind" and behind["why"] and behind["since"], behind
        assert not behind["too_long"] and status(daemon)["made"]["state"] == "healthy", behind
        page = ctl(daemon, "backup", "status")
        assert "secondary" in page.stdout and "behind" in page.stdout, page
        # An hour later than it may.
        state = daemon.home / "state/backups/mirrors/main.json"
        known = json.loads(state.read_text())
        known["members"]["secondary"]["since"] -= 25 * 3600
        state.write_text(json.dumps(known))
        assert status(daemon)["made"]["code"] == "MEMBER_BEHIND", status(daemon)
        wait_for("an incident", lambda: daemon.incidents("backup:etc"))
        (daemon.home / "second").unlink()
        (daemon.home / "away").rename(daemon.home / "second")
        daemon.ctl("backup", "create", "etc")
        assert members(daemon)["secondary"]["state"] == "sound", members(daemon)
        daemon.until("backup:etc", "healthy")
        # One that has rotted is named and mended.
        pack = next(one for one in (daemon.home / "second/data").rglob("*") if one.is_file())
        pack.chmod(0o600)
        good = pack.read_bytes()
        pack.write_bytes(b"rotten" + good[6:])
        verified = daemon.ctl("backup", "verify", "--all")["runs"][0]["result"]["verified_members"]
        assert [one["mended"] for one in verified] == [0, 1, 0], verified
        assert pack.read_bytes() == good
        # From the first that is healthy.
        (daemon.home / "first").rename(daemon.home / "lost")
        drilled = daemon.ctl("backup", "drill", "etc")["runs"][0]
        assert drilled["state"] == "succeeded", drilled


def people_need_no_password():
    """Whoever may read the configuration lists, restores and looks; nobody else gets anything."""
    types = (backup_type("etc", "{paths: [@HOME@/data/below]}, {paths: [@HOME@/data/one]}", YEARLY) +
             backup_type("dump", "{command: [seq, '3'], name: seq.txt}", YEARLY))
    with mirrored(types) as daemon:
        assert ctl(daemon, "backup", "init").returncode == 0
        daemon.ctl("backup", "create")
        listed = json.loads(ctl(daemon, "--json", "backup", "list").stdout)["snapshots"]
        assert len(listed) == 3, listed
        own = json.loads(ctl(daemon, "--json", "backup", "list", "--type", "etc").stdout)["snapshots"]
        assert len(own) == 2, own
        to = daemon.home / "out"
        done = ctl(daemon, "backup", "restore", "latest", "--type", "etc", "--to", str(to))
        assert done.returncode == 0, done
        restored = to / str(daemon.home).lstrip("/") / "data/one"
        assert restored.read_text() == "first\n", "both sources of the type"
        assert ctl(daemon, "backup", "dump", "latest", "/seq.txt").stdout == "1\n2\n3\n"
        several = ctl(daemon, "backup", "verify", "latest", "--type", "etc")
        assert several.returncode == 2 and "several snapshots" in several.stderr, several
        assert "seq.txt" in ctl(daemon, "backup", "find", "seq*").stdout
        assert ctl(daemon, "backup", "list", "--name", "mian").returncode == 4
        page = ctl(daemon, "backup", "list", "--config", str(daemon.home / "none.yaml"))
        assert page.returncode != 0 and "none.yaml" in page.stderr, page
        for answer in (done, several, page):
            assert KEY not in answer.stdout + answer.stderr
        if os.geteuid() == 0:
            stranger_gets_nothing(daemon)


def stranger_gets_nothing(daemon):
    """The file is readable for all here; what it names of the daemon's environment is not."""
    try:
        done = ctl(daemon, "backup", "list", "--config", str(daemon.config), user=65534)
    except PermissionError:
        print("skipped: others may not run this recoverctl")
        return
    assert done.returncode != 0 and "BACKUP_KEY" in done.stderr, done
    assert KEY not in done.stdout + done.stderr
    daemon.config.chmod(0o600)
    done = ctl(daemon, "backup", "list", "--config", str(daemon.config), user=65534)
    assert done.returncode != 0 and "Permission denied" in done.stderr, done


if __name__ == "__main__":
    run(every_member_has_a_state, people_need_no_password)
