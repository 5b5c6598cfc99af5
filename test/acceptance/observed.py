"""Acceptance: `observe:` services, somebody else's processes, and `recoverd import` of real files."""
import glob
import os
import pathlib
import shutil
import subprocess
import tempfile

from harness import BIN, Daemon, kill, run, wait_for
from processes import settings

PLAYBOOK = """
playbook: call_its_owner
triggers: [{failure: service_failure}]
steps:
  - {name: Start, action: exec, with: {command: ["/bin/sh", "-c", "echo go >> @HOME@/asked"]}, timeout: 5s, irreversible: true}
validation: {within: 20s, stable_for: 200ms, success_criteria: ["service_running == true"]}
"""


def observed(spec, playbook="call_its_owner"):
    return settings(attempts=2) + f"""
services:
  theirs:
    observe: {spec}
    playbooks: [{playbook}]
"""


def daemon_with(spec, playbook=PLAYBOOK):
    made = Daemon(observed(spec))
    made.write(observed(spec), playbook.replace("@HOME@", str(made.home)))
    return made


def start(mark):
    return subprocess.Popen(["/bin/sleep", mark], stdin=subprocess.DEVNULL)


def found_by_match_and_found_again():
    mark = f"10{os.getpid()}"
    first = start(mark)
    second = None
    try:
        with daemon_with(f'{{match: "sleep {mark}$", name: "^sleep$", exe: "/s?bin/"}}') as daemon:
            daemon.until("theirs", "healthy")
            assert daemon.pid("theirs") == first.pid
            first.kill()
            first.wait()
            wait_for("the owner to be asked", lambda: (daemon.home / "asked").exists())
            second = start(mark)
            daemon.until_recovered("theirs")
            assert daemon.pid("theirs") == second.pid
            refused = daemon.exit_code("restart", "theirs")
            assert refused.returncode == 6, refused
        assert second.poll() is None, "recoverd's end leaves it alone"
    finally:
        for process in (first, second):
            if process:
                process.kill()
                process.wait()


def found_by_pid_file():
    mark = f"20{os.getpid()}"
    process = start(mark)
    try:
        daemon = daemon_with("{pid_file: @HOME@/their.pid, name: sleep}")
        (daemon.home / "their.pid").write_text(f"{process.pid}\n")
        with daemon:
            daemon.until("theirs", "healthy")
            assert daemon.pid("theirs") == process.pid
            # A pid file that names a stranger names nobody.
            (daemon.home / "their.pid").write_text(f"{os.getpid()}\n")
            process.kill()
            process.wait()
            wait_for("the owner to be asked", lambda: (daemon.home / "asked").exists())
            process = start(mark)
            (daemon.home / "their.pid").write_text(f"{process.pid}\n")
            daemon.until("theirs", "healthy")
            assert daemon.pid("theirs") == process.pid
    finally:
        process.kill()
        process.wait()


def can_be_signalled():
    playbook = """
playbook: call_its_owner
triggers: [{symptom: probe_failed}]
steps: [{name: Tell it, action: signal, with: {signal: USR1}, timeout: 5s, irreversible: true}]
validation: {within: 10s, stable_for: 200ms, success_criteria: ["health_check_passing == true"]}
"""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="recoverd-observed-"))
    script = f"trap 'touch {folder}/well' USR1; echo $$ > {folder}/pid; while :; do sleep 0.1; done"
    process = subprocess.Popen(["/bin/sh", "-c", script], stdin=subprocess.DEVNULL)
    try:
        wait_for("the pid file", lambda: (folder / "pid").exists())
        made = Daemon(observed(f"{{pid_file: {folder}/pid}}") + f"""
    probes:
      - exec: {{command: ["/usr/bin/test", "-e", "{folder}/well"]}}
        interval: 200ms
        timeout: 5s
""", playbook)
        with made as daemon:
            daemon.until_recovered("theirs")
            assert (folder / "well").exists()
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


def imported(*files):
    return subprocess.run([BIN / "recoverd", "import", *files], capture_output=True, text=True)


def import_passes_the_check():
    corpus = [f for pattern in ("/etc/monit/monitrc", "/etc/monit/conf-available/*",
                                "/etc/supervisor/supervisord.conf",
                                "/usr/share/doc/supervisor/examples/sample.conf",
                                "/lib/systemd/system/*.service") for f in glob.glob(pattern)]
    golden = pathlib.Path(__file__).resolve().parent.parent / "golden/import"
    corpus += [str(golden / name) for name in ("shop.monitrc", "shop.supervisord.conf",
                                               "shop.service")]
    with tempfile.TemporaryDirectory(prefix="recoverd-import-") as folder:
        output = pathlib.Path(folder) / "recoverd.yaml"

        def check(name):
            done = subprocess.run([BIN / "recoverd", "check", "--config", output],
                                  capture_output=True, text=True)
            assert done.returncode == 0, (name, done.stdout, output.read_text())
        for file in corpus:
            done = imported(file)
            assert done.returncode == 0, (file, done.stderr)
            output.write_text(done.stdout)
            check(file)
        done = imported(*corpus, "--output", output)
        assert done.returncode == 0, done.stderr
        check("all of them")
    print(f"  {len(corpus)} files")


def import_refuses_what_it_does_not_know():
    assert imported("/etc/hostname").returncode == 2
    assert imported("/no/such/file").returncode == 2
    assert imported().returncode == 2


if __name__ == "__main__":
    run(found_by_match_and_found_again, found_by_pid_file, can_be_signalled,
        import_passes_the_check, import_refuses_what_it_does_not_know)
