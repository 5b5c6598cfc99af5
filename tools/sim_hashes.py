#!/usr/bin/env python3
"""Fails unless every compiler and optimisation level gives the simulator's same trace hash.

usage: sim_hashes.py [LAST]    Seeds 1..LAST, 40 by default.

Builds test/sim/campaign.cc with the rooms it needs, a few files at a time in one, with g++ and
clang++-14 at -O0 and -O2, into build/sim_hashes; nothing of CMake's. An object is kept while no
file of the tree is newer. Exit 0, 1 when hashes differ, 2 when something does not compile or run.
"""
import json
import pathlib
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "sim_hashes"
ROOMS = ["base", "core", "runtime", "sim"]
LIBRARY = ["backoff", "check", "time", "error", "classification"]
# Names in its anonymous namespace are those of another file of the room.
ALONE = ["core/expression.cc"]
BUILDS = [(compiler, level) for compiler in ("g++", "clang++-14") for level in ("-O0", "-O2")]


def units():
    """Name and included files of each translation unit."""
    source = ROOT / "src"
    for room in ROOMS:
        files = [str(file.relative_to(source)) for file in sorted((source / room).rglob("*.cc"))
                 if not file.stem.endswith("_test")]
        yield room, [file for file in files if file not in ALONE]
    for file in ALONE:
        yield file.replace("/", "_").removesuffix(".cc"), [file]
    yield "library", [f"resilience/{name}.cc" for name in LIBRARY]
    yield "main", ["../test/sim/campaign.cc"]


def newest():
    folders = [ROOT / "src", ROOT / "include", ROOT / "test" / "sim"]
    return max(file.stat().st_mtime for folder in folders for file in folder.rglob("*.[ch]*"))


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
    if done.returncode != 0:
        print(" ".join(map(str, command)), done.stdout, done.stderr, sep="\n", file=sys.stderr)
        sys.exit(2)
    return done.stdout


def build(compiler, level):
    folder = WORK / f"{compiler}{level}"
    folder.mkdir(parents=True, exist_ok=True)
    objects, changed = [], newest()
    cache = [shutil.which("ccache")] if shutil.which("ccache") else []
    for name, files in units():
        unit, target = folder / f"{name}.cc", folder / f"{name}.o"
        objects.append(target)
        if target.exists() and target.stat().st_mtime > changed:
            continue
        unit.write_text("".join(f'#include "{file}"\n' for file in files))
        run([*cache, compiler, "-std=c++20", level, "-Isrc", "-Iinclude", "-I.", "-c", unit,
             "-o", target])
    program = folder / "sim_campaign"
    run([compiler, *objects, "-lboost_json", "-o", program])
    return program


def main(last):
    hashes = {}
    for compiler, level in BUILDS:
        report = json.loads(run([build(compiler, level), "1", last, "--json"]))
        hashes[f"{compiler} {level}"] = report["trace_hash"]
        print(f"{compiler:12} {level}  {report['trace_hash']}  {report['histories']} histories",
              flush=True)
    return 0 if len(set(hashes.values())) == 1 else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1] if len(sys.argv) > 1 else "40"))
