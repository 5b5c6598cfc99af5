#!/usr/bin/env python3
"""recoverctl's backups beside restic's and borg's; one JSON object a line, then a table of ratios.

usage: backup.py RECOVERCTL BENCH_CORPUS [CORPUS...]      (small large db; for memory many and flat: a million files, in one folder)

Of each corpus (corpus.cc): the first backup, one with nothing changed, one with 1 % changed, a check
that reads all data, a restore, forget and prune of all but the newest snapshot. Wall seconds and peak
memory (the child's rusage) of each, and the repository's size after each backup; the cache is warm.
Seconds are those of the whole command; `open` lists the snapshots, which is hardly more than opening
the key (scrypt, by design about 0.5 s), and dominates the cells where little is to be done.
SCALE (0.25; the figures of docs/backup.md are of SCALE=1) shrinks the corpora, FOLDER says where,
TOOLS (recoverctl,restic,borg) who takes part; of `many` and `flat` recoverctl only, unless TOOLS is given.
At the end a table as docs/backup.md has it: of restic's seconds, and the goal.
"""
import json
import mmap
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

SCALE = float(os.environ.get("SCALE", "0.25"))
TOOLS = os.environ.get("TOOLS", "recoverctl,restic,borg").split(",")
ALONE = ["many", "flat"] if "TOOLS" not in os.environ else []  # Too long for the others.
CELLS = ["open", "initial", "unchanged", "changed", "check", "restore", "prune"]
GOALS = {  # Of restic's seconds.
    "small": {"initial": 0.30, "unchanged": 0.08, "changed": 0.12, "check": 0.4, "restore": 0.45, "prune": 0.3},
    "large": {"initial": 0.50, "unchanged": 0.3, "changed": 0.5, "check": 0.5, "restore": 0.5, "prune": 0.5},
    "db": {"initial": 0.45, "unchanged": 0.3, "changed": 0.25, "check": 0.5, "restore": 0.6, "prune": 0.3},
}


def measure(arguments, folder, environment):
    """(wall seconds, processor seconds, peak KiB) of a command that must succeed."""
    with open(folder / "log", "wb") as log:
        begin = time.monotonic()
        child = subprocess.Popen(arguments, stdout=log, stderr=log, cwd=folder, env=environment)
        _, status, usage = os.wait4(child.pid, 0)
        seconds = time.monotonic() - begin
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        sys.exit(f"{arguments} ended with {child.returncode}:\n{(folder / 'log').read_text()[-2000:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss


def size_of(folder):
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


class Tool:
    """One program's commands for the cells, on a repository of its own."""

    def __init__(self, name, program, home):
        self.name, self.home = name, home
        self.repository, self.out = home / "repo", home / "out"
        self.environment = dict(
            os.environ, RESTIC_PASSWORD="secret", RESTIC_REPOSITORY=str(self.repository),
            RESTIC_CACHE_DIR=str(home / "cache"), XDG_CACHE_HOME=str(home / "cache"), BORG_PASSPHRASE="secret", BORG_BASE_DIR=str(home / "borg"),
            BORG_REPO=str(self.repository), BORG_RELOCATED_REPO_ACCESS_IS_OK="yes")
        self.program = program
        self.archives = 0

    def command(self, cell, data):
        restore = [str(self.out)]
        if self.name == "recoverctl":
            return [self.program, "backup"] + {
                "init": ["init"], "open": ["list"], "check": ["verify", "--all"],
                "restore": ["restore", "latest", "--to", *restore],
                "prune": ["prune", "--keep-last", "1"]}.get(cell, ["create", data])
        if self.name == "restic":
            return [self.program, "-q"] + {
                "init": ["init"], "open": ["snapshots"], "check": ["check", "--read-data"],
                "restore": ["restore", "latest", "--target", *restore],
                "prune": ["forget", "--keep-last", "1", "--prune"]}.get(cell, ["backup", data])
        self.archives += cell in ("initial", "unchanged", "changed")
        shell = {"init": "borg init -e repokey", "open": "borg list", "check": "borg check --verify-data",
                 "restore": f"mkdir -p {self.out} && cd {self.out} && borg extract ::a{self.archives}",
                 "prune": "borg prune --keep-last 1 && borg compact"}
        return ["sh", "-c", shell.get(cell, f"borg create -C zstd ::a{self.archives} {data}")]

    def run(self, cell, data):
        return measure(self.command(cell, str(data)), self.home, self.environment)


def corpus(generator, kind, folder, change):
    million = ["--files", str(int(1_000_000 * SCALE))]
    size = {"many": million, "flat": million, "small": ["--files", str(int(200_000 * SCALE))], "large": ["--bytes", str(int(2**31 * SCALE))],
            "db": ["--bytes", str(int(2**30 * SCALE) // 8192 * 8192)]}[kind]
    folder.mkdir(exist_ok=True)
    subprocess.run([generator, kind, folder, *size, *(["--change"] if change else [])], check=True)
    os.sync()


def warm(folder):
    subprocess.run(["tar", "-cf", "/dev/null", "--ignore-failed-read", folder], stderr=subprocess.DEVNULL, check=False)
    for file in folder.rglob("*"):
        if file.is_file():
            file.read_bytes() if file.stat().st_size < 2**20 else subprocess.run(["cat", file], stdout=subprocess.DEVNULL, check=True)


def wake_memory(data):
    """What a virtual machine has given back to its host comes back slowly, and who runs first would pay for all."""
    wanted = 3 * sum(file.stat().st_size for file in data.rglob("*") if file.is_file())
    free = os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    size = min(wanted, free // 2) // mmap.PAGESIZE * mmap.PAGESIZE
    # In a process of its own: the peak of a child counts what its parent had at its birth.
    if size > 0:
        subprocess.run([sys.executable, "-c", f"import mmap; mmap.mmap(-1, {size}, flags=mmap.MAP_PRIVATE | "
                        "mmap.MAP_ANONYMOUS | mmap.MAP_POPULATE)"], check=True)


def bench(kind, tools, generator, folder):
    data = folder / "data"
    corpus(generator, kind, data, False)
    warm(data)
    found = {}
    for tool in tools:
        shutil.rmtree(tool.home, ignore_errors=True)
        tool.home.mkdir()
        tool.run("init", data)
    for cell in CELLS:
        if cell == "changed":
            corpus(generator, kind, data, True)
        for tool in tools:
            shutil.rmtree(tool.out, ignore_errors=True)
            os.sync()
            wake_memory(data)
            seconds, busy, peak = tool.run(cell, data)
            found[tool.name, cell] = seconds, busy, peak
            print(json.dumps({"corpus": kind, "scale": SCALE, "tool": tool.name, "cell": cell,
                              "seconds": round(seconds, 3), "cpu_seconds": round(busy, 3), "peak_kib": peak,
                              "repository_bytes": size_of(tool.repository)}), flush=True)
    return found


def show_memory(kind, found):
    peaks = [f"{cell} {peak / 1024:.0f}" for (tool, cell), (_, _, peak) in found.items() if tool == "recoverctl"]
    print(f"# {kind:6} peak MiB of recoverctl (goal 64): {', '.join(peaks)}", flush=True)


def row(cell, results):
    """One line of the table: what each corpus took of restic's seconds, and the goal."""
    text = f"| {cell} |"
    for kind, found in results.items():
        ours, theirs = (found.get((tool, cell)) for tool in ("recoverctl", "restic"))
        if ours and theirs and kind in GOALS:
            text += f" {ours[0]:.2f} of {theirs[0]:.2f} s = {ours[0] / theirs[0]:.2f} (goal {GOALS[kind][cell]}), {ours[2] / 1024:.0f} MiB |"
    return text


def show(kind, found):
    """Ours against restic's: seconds, seconds without those of opening the key, processor seconds."""
    def ratio(cell, of):
        ours, theirs = ([found[tool, cell][of], found[tool, "open"][of]] for tool in ("recoverctl", "restic"))
        return ours[0] / theirs[0], max(ours[0] - ours[1], 0.001) / max(theirs[0] - theirs[1], 0.001)

    for cell in CELLS[1:]:
        if ("restic", cell) in found and ("recoverctl", cell) in found:
            (wall, net), (busy, _) = ratio(cell, 0), ratio(cell, 1)
            goal, peak = GOALS[kind][cell], found["recoverctl", cell][2] / 1024
            print(f"# {kind:6} {cell:10} {wall:5.2f} x restic, {net:5.2f} without opening, {busy:5.2f} of its processor"
                  f" time (goal {goal:4.2f}); {peak:4.0f} MiB (goal 64)"
                  + ("" if wall <= goal and peak <= 64 else "   <-- not reached"), flush=True)


def main():
    program, generator, *kinds = sys.argv[1:]
    where = os.environ.get("FOLDER")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="backup-bench-", dir=where))
    programs = {"recoverctl": os.path.abspath(program), "restic": shutil.which("restic"), "borg": shutil.which("borg")}
    try:
        results = {}
        for kind in kinds or GOALS:
            names = ["recoverctl"] if kind in ALONE else TOOLS
            tools = [Tool(name, programs[name], folder / name) for name in names if programs[name]]
            results[kind] = bench(kind, tools, os.path.abspath(generator), folder)
            show(kind, results[kind]) if kind in GOALS else show_memory(kind, results[kind])
            shutil.rmtree(folder / "data")
        print("\n".join(row(cell, results) for cell in CELLS[1:]))
    finally:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    main()
