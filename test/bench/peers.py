"""Other supervisors, each keeping the same children, for supervise.py: how it is set up, which processes
of it supervise, how it ends. A peer that is not installed says so; nothing is installed here.
"""
import os
import pathlib
import shutil
import signal
import subprocess
import time

FOLDER = pathlib.Path(__file__).resolve().parent
WITH_SYSTEMD = FOLDER.parent / "acceptance" / "with_systemd"
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}


def descendants(pid):
    found = [pid]
    for each in found:
        try:
            for task in pathlib.Path(f"/proc/{each}/task").iterdir():
                found += [int(word) for word in (task / "children").read_text().split()]
        except OSError:
            pass
    return found


class Peer:
    """`slots`: paths the children stamp. REQUIRES: stop() at the end, also after a failure."""
    program = ""
    package = ""
    most = 1000  # Services, of which it is not yet a matter of minutes.
    process = None

    def __init__(self, child, home, slots):
        self.child, self.home, self.slots = child, home, slots

    @classmethod
    def missing(cls):
        if shutil.which(cls.program, path=os.environ["PATH"] + ":/usr/sbin:/sbin"):
            return None
        return f"{cls.program} is not installed: apt-get install {cls.package}"

    def command(self, slot):
        return f"{self.child} child {slot}"

    def pids(self):
        """Of everything that supervises."""
        ours = set(descendants(self.process.pid))
        return [pid for pid in ours if not self.is_child(pid)]

    def is_child(self, pid):
        try:
            return os.path.realpath(f"/proc/{pid}/exe") == self.child
        except OSError:
            return True

    def stop(self):
        self.process.terminate()
        self.process.wait(120)


class ScannedFolders(Peer):
    """What runit and s6 share: a folder with a `run` for each service."""

    def folders(self):
        root = self.home / "scan"
        for slot in self.slots:
            folder = root / slot.name
            folder.mkdir(parents=True)
            (folder / "run").write_text(f"#!/bin/sh\nexec {self.command(slot)}\n")
            (folder / "run").chmod(0o755)
        return str(root)


class Runit(ScannedFolders):
    name, program, package = "runit", "runsvdir", "runit"

    def start(self):
        self.process = subprocess.Popen(["runsvdir", "-P", self.folders()], **QUIET)

    def stop(self):
        self.process.send_signal(signal.SIGHUP)  # To all its services: TERM.
        self.process.wait(120)


class S6(ScannedFolders):
    name, program, package = "s6", "s6-svscan", "s6"

    def start(self):
        self.process = subprocess.Popen(["s6-svscan", "-c", str(len(self.slots) + 10), self.folders()],
                                        **QUIET)


class Supervisord(Peer):
    name, program, package = "supervisord", "supervisord", "supervisor"

    def start(self):
        text = (f"[supervisord]\nnodaemon=true\nlogfile=/dev/null\nlogfile_maxbytes=0\n"
                f"pidfile={self.home}/pid\nchildlogdir={self.home}\nminfds=4096\n")
        for slot in self.slots:
            text += (f"[program:{slot.name}]\ncommand={self.command(slot)}\nautorestart=true\n"
                     "stdout_logfile=NONE\nstderr_logfile=NONE\n")
        path = self.home / "supervisord.conf"
        path.write_text(text)
        self.process = subprocess.Popen(["supervisord", "-n", "-c", str(path)], **QUIET)


class Monit(Peer):
    name, program, package = "monit", "monit", "monit"
    most = 100

    def start(self):
        text = (f"set daemon 1\nset pidfile {self.home}/pid\nset idfile {self.home}/id\n"
                f"set statefile {self.home}/state\nset logfile {self.home}/log\n")
        for slot in self.slots:
            script = self.home / f"{slot.name}.sh"
            script.write_text(f"#!/bin/sh\nsetsid {self.command(slot)} </dev/null >/dev/null 2>&1 &\n"
                              f"echo $! > {self.home}/{slot.name}.pid\n")
            script.chmod(0o755)
            text += (f"check process {slot.name} with pidfile {self.home}/{slot.name}.pid\n"
                     f"  start program = \"{script}\"\n")
        path = self.home / "monitrc"
        path.write_text(text)
        path.chmod(0o600)
        self.process = subprocess.Popen(["monit", "-I", "-c", str(path)], **QUIET)

    def pids(self):
        return [self.process.pid]

    def stop(self):  # It leaves its services running.
        super().stop()
        for path in self.home.glob("*.pid"):
            try:
                os.kill(int(path.read_text()), signal.SIGKILL)
            except (OSError, ValueError):
                pass


class Systemd(Peer):
    """Within with_systemd: PID 1 is systemd."""
    name, program, package = "systemd", "systemctl", "systemd dbus"

    @classmethod
    def missing(cls):
        if os.geteuid() != 0:
            return "needs root for namespaces of its own"
        if subprocess.run([WITH_SYSTEMD, "true"], **QUIET).returncode != 0:
            return "systemd does not boot in namespaces here"
        return None

    def start(self):
        for slot in self.slots:
            pathlib.Path(f"/run/systemd/system/{slot.name}.service").write_text(
                "[Unit]\nStartLimitIntervalSec=0\nDefaultDependencies=no\n"
                f"[Service]\nExecStart={self.command(slot)}\nRestart=always\nRestartSec=0\n"
                "StandardOutput=null\nStandardError=null\n")
        subprocess.run(["systemctl", "daemon-reload"], check=True, **QUIET)
        self.begun = time.monotonic_ns()
        names = [f"{slot.name}.service" for slot in self.slots]
        subprocess.run(["systemctl", "start", "--no-block", *names], check=True, **QUIET)

    def pids(self):
        return [1]

    def stop(self):
        subprocess.run(["systemctl", "stop", *(f"{slot.name}.service" for slot in self.slots)],
                       check=True, **QUIET)


ALL = (Runit, S6, Systemd, Supervisord, Monit)
