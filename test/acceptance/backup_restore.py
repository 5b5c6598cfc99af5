"""Acceptance: a playbook restores from the backup, and takes it back when that does not help."""
import json
import os
import pathlib
import subprocess

from harness import GIVE_UP, Daemon, run, wait_for

KEY = "correct-horse-battery-7391"
EXAMPLE = pathlib.Path(__file__).parents[2] / "examples/playbooks/emergency_restore.yaml"
CONFIGURATION = """
auto_recovery: {recovery: {mode: automatic}}
backup:
  repositories: {main: {location: @HOME@/repo, password: "${env:BACKUP_KEY}"}}
  verification: never
  restore_test: never
  types:
    site-data:
      sources: [{paths: [@HOME@/site]}, {paths: [@HOME@/more]}]
      schedule: {full: never, incremental: '0 0 1 1 *'}
services:
  site:
    run: {command: [/bin/sleep, "1000"]}
    probes: [{exec: {command: [grep, -q, welcome, @HOME@/site/index.html]}, interval: 500ms, failure_threshold: 2}]
    playbooks: [emergency_restore]
"""


def restic(daemon, *arguments):
    done = subprocess.run(["restic", "--no-cache", "-r", daemon.home / "repo", *arguments],
                          capture_output=True, text=True, timeout=GIVE_UP,
                          env=dict(os.environ, RESTIC_PASSWORD=KEY))
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def site(validation_passes=True):
    """The example as it is shipped, but for its paths and times."""
    playbook = EXAMPLE.read_text().replace("/srv/site", "@HOME@/site")
    playbook = playbook.replace("within: 2m", "within: 3s").replace("stable_for: 30s", "stable_for: 1s")
    if not validation_passes:
        playbook = playbook.replace('"health_check_passing == true"]', '"restart_count > 1000"]')
    daemon = Daemon(CONFIGURATION, environment={"BACKUP_KEY": KEY})
    daemon.write(CONFIGURATION, playbook.replace("@HOME@", str(daemon.home)))
    for folder in ("site", "more"):
        (daemon.home / folder).mkdir()
    (daemon.home / "site/index.html").write_text("welcome\n")
    (daemon.home / "more/file").write_text("more\n")
    restic(daemon, "init")
    return daemon


def break_it(daemon):
    (daemon.home / "site/index.html").write_text("hacked\n")
    (daemon.home / "site/backdoor").write_text("added\n")
    (daemon.home / "more/file").unlink()


def back_up(daemon):
    made = daemon.ctl("backup", "create", "site-data")["runs"][0]
    assert made["state"] == "succeeded", made
    return made["result"]["snapshots"]


def restored_in_eight_steps():
    """The newest backup is damaged: the one before it is taken, for all sources; what stood is kept."""
    with site() as daemon:
        daemon.until("site", "healthy")
        back_up(daemon)
        (daemon.home / "site/index.html").write_text("welcome, damaged later\n")
        before = {one for one in (daemon.home / "repo/data").rglob("*") if one.is_file()}
        back_up(daemon)
        for pack in {one for one in (daemon.home / "repo/data").rglob("*") if one.is_file()} - before:
            content = bytearray(pack.read_bytes())
            content[20] ^= 1  # The first blob: the file's content.
            pack.chmod(0o600)
            pack.write_bytes(content)
        break_it(daemon)
        recovery = daemon.until_recovered("site")
        assert recovery["playbook"] == "emergency_restore", recovery
        assert (daemon.home / "site/index.html").read_text() == "welcome\n"
        assert not (daemon.home / "site/backdoor").exists()
        assert (daemon.home / "more/file").read_text() == "more\n"
        done = {one["name"][0]: one["state"] for one in recovery["steps"]}
        assert done == {str(number): "done" for number in range(1, 7)}, recovery["steps"]
        told = json.dumps(recovery["steps"])
        assert "what stood there is snapshot" in told, told
        kept = [one for one in json.loads(restic(daemon, "snapshots", "--json"))
                if one.get("tags") == ["before-restore"]]
        hacked = [one for one in kept if one["paths"] == [str(daemon.home / "site")]][0]
        assert restic(daemon, "dump", hacked["id"], daemon.home / "site/index.html") == "hacked\n"


def taken_back_when_it_did_not_help():
    """Validation fails: what stood there before is back, and people are told."""
    with site(validation_passes=False) as daemon:
        daemon.until("site", "healthy")
        back_up(daemon)
        break_it(daemon)
        wait_for("people to be told", lambda: [
            one for one in daemon.recoveries("site") if one["state"] == "rolled_back"])
        assert (daemon.home / "site/index.html").read_text() == "hacked\n"
        assert (daemon.home / "site/backdoor").exists()
        assert not (daemon.home / "more/file").exists(), "it was not there before"


run(restored_in_eight_steps, taken_back_when_it_did_not_help)
