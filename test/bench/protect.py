#!/usr/bin/env python3
"""Continuous protection of a large tree, beside `restic backup` of the same; one JSON object a line.

usage: protect.py RECOVERD_BACKUP

Makes FILES (1,000,000) small files in folders of PER_FOLDER (100) in FOLDER (/dev/shm, which needs 5 KiB
for each), follows them with a worker, lets it idle for IDLE (30) seconds, changes CHANGED (100) files in
as many folders, ROUNDS (3) times, and measures what the snapshot costs: seconds and processor seconds as
the worker tells them, the seconds from the last change to its being on the store, and of the process its
processor time in all while it idled and its peak memory. FEED=inotify takes the other feed. RESTIC=0
leaves out restic, which goes on from the same snapshots in the same repository.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

FILES = int(os.environ.get("FILES", "1000000"))
PER_FOLDER = int(os.environ.get("PER_FOLDER", "100"))
CHANGED = int(os.environ.get("CHANGED", "100"))
ROUNDS = int(os.environ.get("ROUNDS", "3"))
IDLE = float(os.environ.get("IDLE", "30"))
RPO_MS = int(os.environ.get("RPO_MS", "3000"))
TICK = os.sysconf("SC_CLK_TCK")


def say(**fields):
    print(json.dumps(fields), flush=True)


def make_tree(root):
    for folder in range(0, FILES // PER_FOLDER):
        path = f"{root}/{folder // 100:04}/{folder % 100:02}"
        os.makedirs(path)
        for number in range(PER_FOLDER):
            fd = os.open(f"{path}/file-{number:03}.txt", os.O_CREAT | os.O_WRONLY, 0o644)
            os.write(fd, f"{folder}/{number}\n".encode())
            os.close(fd)


def change(root, turn):
    for number in range(CHANGED):
        folder = (number * 97 + turn * 13) % (FILES // PER_FOLDER)
        path = f"{root}/{folder // 100:04}/{folder % 100:02}/file-{turn:03}.txt"
        with open(path, "a") as file:
            file.write(f"changed {turn}\n")


def cpu_of(pid):
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def peak_mib(pid, which="VmHWM"):
    for line in pathlib.Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(which):
            return int(line.split()[1]) / 1024
    return 0


class Worker:
    def __init__(self, program, home):
        job = {"task": "protect", "type": "bench", "rpo_ms": RPO_MS, "feed": os.environ.get("FEED", "any"),
               "repository": {"location": str(home / "repo"), "password": "secret"},
               "sources": [{"paths": [str(home / "data")]}]}
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        env=dict(os.environ, CACHE_DIRECTORY=str(home / "cache")))
        self.process.stdin.write(json.dumps(job).encode())
        self.process.stdin.close()

    def snapshot(self):
        for line in self.process.stdout:
            message = json.loads(line)
            if message["message_type"] == "snapshot":
                return message
        sys.exit("the worker ended")


def restic(home, *arguments):
    environment = dict(os.environ, RESTIC_PASSWORD="secret", RESTIC_REPOSITORY=str(home / "repo"),
                       RESTIC_CACHE_DIR=str(home / "restic-cache"))
    begin = time.monotonic()
    child = subprocess.Popen(["restic", "-q", *arguments], env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0, arguments
    return {"seconds": round(time.monotonic() - begin, 3),
            "cpu_seconds": round(usage.ru_utime + usage.ru_stime, 3),
            "peak_mib": round(usage.ru_maxrss / 1024, 1)}


def main(program):
    home = pathlib.Path(tempfile.mkdtemp(prefix="protect-", dir=os.environ.get("FOLDER", "/dev/shm")))
    worker = None
    try:
        (home / "data").mkdir()
        make_tree(home / "data")
        restic(home, "init")
        worker = Worker(program, home)
        first = worker.snapshot()
        pid = worker.process.pid
        say(what="first walk", files=FILES, feed=first["feed"], seconds=round(first["seconds"], 3),
            cpu_seconds=round(first["cpu_seconds"], 3), peak_mib=round(peak_mib(pid), 1))
        before = cpu_of(pid)
        time.sleep(IDLE)
        say(what="idle", seconds=IDLE, cpu_percent=round(100 * (cpu_of(pid) - before) / IDLE, 3))
        for turn in range(ROUNDS):
            change(home / "data", turn)
            told = worker.snapshot()
            say(what="protect", changed=told["files_changed"], everything=told["everything"],
                seconds=round(told["seconds"], 3), cpu_seconds=round(told["cpu_seconds"], 3),
                rpo_seconds=round(told["rpo_seconds"], 3), resident_mib=round(peak_mib(pid, "VmRSS"), 1))
        worker.process.terminate()
        worker.process.wait()
        if os.environ.get("RESTIC", "1") == "1":
            for turn in range(2):  # The first fills its cache.
                change(home / "data", ROUNDS + turn)
                say(what="restic", cache="cold" if turn == 0 else "warm", **restic(home, "backup", home / "data"))
    finally:
        if worker and worker.process.poll() is None:
            worker.process.kill()
            worker.process.wait()
        shutil.rmtree(home)


main(sys.argv[1])
