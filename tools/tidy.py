#!/usr/bin/env python3
"""Runs clang-tidy over the .cc files of a compilation database; remembers which were clean.

usage: tidy.py BUILD_DIR [library|all]
"library" (the default, and what `make test` demands) is src/resilience without its tests.
A file is checked again when it, a project header it includes (however deep), its compile flags,
.clang-tidy or this script changed. The memory is BUILD_DIR/tidy/, one empty file per clean check.
"""
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess
import sys

TIDY = "clang-tidy-14"
ROOT = pathlib.Path(__file__).resolve().parent.parent
SEARCH = [ROOT / "include", ROOT / "src", ROOT]
# The path-sensitive analyzer takes up to 40 s on a RapidCheck test, and ASan runs those tests anyway.
NO_ANALYZER = re.compile(r"_test\.cc$|/test/")
# Paths the analyzer walks per function: the default of 225000 costs three times as long.
ANALYZER = ["-Xclang", "-analyzer-config", "-Xclang", "max-nodes=30000"]
# Chains of recursion through our types are reported at the library's lines too: not ours to mark.
FINDING = re.compile(r"^(?!/usr/).*error: ", re.MULTILINE)
INCLUDE = re.compile(r'^\s*#\s*include\s*[<"]([^>"]+)[>"]', re.MULTILINE)


@functools.cache
def project_includes(path):
    folders = [*SEARCH, path.parent]
    names = INCLUDE.findall(path.read_text())
    return [f / name for name in names for f in folders if (f / name).is_file()]


def sources(entry):
    """The files the entry compiles: itself, or what its unity file includes."""
    path = pathlib.Path(entry["file"])
    if not path.name.startswith("unity_"):
        return [path]
    return [pathlib.Path(name) for name in INCLUDE.findall(path.read_text())]


def closure(path):
    """The file and every project header it can see."""
    seen, waiting = set(), [path]
    while waiting:
        file = waiting.pop()
        if file not in seen:
            seen.add(file)
            waiting += project_includes(file)
    return sorted(seen)


def flags_of(entry):
    """Compiler arguments alone: no launcher, no output, no input, no dependency files."""
    words = shlex.split(entry["command"])
    compiler = next(i for i, word in enumerate(words) if re.search(r"\+\+(-\d+)?$", word))
    words = words[compiler + 1:]
    return words[:words.index("-o")]


def key_of(entry):
    digest = hashlib.sha256(" ".join(flags_of(entry)).encode())
    rules = [ROOT / ".clang-tidy", pathlib.Path(__file__)]
    seen = {path for source in sources(entry) for path in closure(source)}
    for path in rules + sorted(seen):
        digest.update(path.read_bytes())
    return digest.hexdigest()


def check(entry, memory):
    mark = memory / key_of(entry)
    if mark.exists():
        return "known", ""
    checks = ["--checks=-clang-analyzer-*"] if NO_ANALYZER.search(entry["file"].removeprefix(str(ROOT))) else []
    command = [TIDY, "--quiet", *checks, entry["file"], "--", *flags_of(entry), *ANALYZER]
    run = subprocess.run(command, cwd=entry["directory"], capture_output=True, text=True)
    output = run.stdout + run.stderr
    crashed = run.returncode != 0 and "error: " not in output  # Or it was killed.
    if run.returncode != 0 and (crashed or FINDING.search(output)):
        return "failed", output or f"{entry['file']}: clang-tidy ended with {run.returncode}\n"
    mark.touch()
    return "clean", ""


def ours(entry):
    """Sources of this tree, or unity files of them; not what the build generated."""
    return all(path.suffix == ".cc" and path.is_relative_to(ROOT) and
               not path.is_relative_to(pathlib.Path(entry["directory"])) for path in sources(entry))


def in_library(entry):
    return all(path.is_relative_to(ROOT / "src/resilience") and not path.name.endswith("_test.cc")
               for path in sources(entry))


def main(build, scope):
    memory = build / "tidy"
    memory.mkdir(exist_ok=True)
    database = json.loads((build / "compile_commands.json").read_text())
    entries = {entry["file"]: entry for entry in database
               if ours(entry) and (scope == "all" or in_library(entry))}
    counts = {"clean": 0, "known": 0, "failed": 0}
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for verdict, output in pool.map(lambda entry: check(entry, memory), entries.values()):
            counts[verdict] += 1
            print(output, end="")
    print(f"clang-tidy: {counts['clean'] + counts['known']} clean "
          f"({counts['known']} unchanged), {counts['failed']} failed")
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main(pathlib.Path(sys.argv[1]).resolve(),
                  sys.argv[2] if len(sys.argv) > 2 else "library"))
