"""Acceptance of the journal in a running recoverd: a full disk, damage, and the built-in playbook."""
import os

from harness import Daemon, kill, run, small_disk, wait_for
from processes import RESTART, settings, sleeper


def a_full_disk_does_not_keep_it_from_healing():
    daemon = Daemon(settings() + sleeper(), RESTART)
    state = daemon.home / "state"
    state.mkdir(mode=0o700)
    with small_disk(state, "size=12m,mode=0700") as mounted:
        if not mounted:
            return
        with daemon:
            daemon.until("web", "healthy")
            with open(state / "filler", "wb", buffering=0) as filler:
                try:
                    while True:
                        filler.write(b"f" * 65536)
                except OSError:
                    pass
            # Enough recoveries that the reserve is used up, too.
            for count in range(1, 41):
                kill(daemon.pid("web"))
                daemon.until_recovered("web", count)
            (state / "filler").unlink()
            kill(daemon.pid("web"))
            daemon.until_recovered("web", 41)
            wait_for("the journal to be whole again",
                     lambda: daemon.exit_code("journal", "verify").returncode == 0)
            stored = daemon.ctl("events", "--type", "recovery:succeeded")["events"]
            assert len(stored) >= 41, f"{len(stored)} recoveries in the journal, 41 happened"


def a_damaged_journal_is_noticed_and_set_aside():
    with Daemon(settings() + sleeper(), RESTART) as daemon:
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        daemon.until_recovered("web")
        assert daemon.exit_code("journal", "verify").returncode == 0
        daemon.keeper.terminate()
        daemon.keeper.wait()
        path = daemon.home / "state/journal.db"
        data = bytearray(path.read_bytes())
        middle = data.find(b"process_crash")
        assert middle > 0, "the journal holds no such text"
        data[middle] ^= 1
        path.write_bytes(data)
        daemon.start()
        verdict = daemon.exit_code("journal", "verify")
        assert verdict.returncode == 1, (verdict.stdout, verdict.stderr)
        path.write_bytes(b"no database at all" * 1000)
        os.kill(daemon.engine(), 9)
        wait_for("recoverd to answer again", lambda: daemon.ctl("status", ok=None))
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        daemon.until_recovered("web")


def the_built_in_playbook_heals_without_any_configuration():
    configuration = """
auto_recovery: {recovery: {mode: automatic}}
services:
  web: {run: {command: [/bin/sleep, "1000"]}}
"""
    with Daemon(configuration) as daemon:
        daemon.until("web", "healthy")
        kill(daemon.pid("web"))
        recovery = daemon.until_recovered("web")
        assert recovery["playbook"] == "service_recovery_001", recovery
        assert recovery["checkpoint"], recovery


if __name__ == "__main__":
    run(a_full_disk_does_not_keep_it_from_healing, a_damaged_journal_is_noticed_and_set_aside,
        the_built_in_playbook_heals_without_any_configuration)
