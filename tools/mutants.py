#!/usr/bin/env python3
"""Breaks the rules of the library and of the engine one at a time; the tests must notice each.

usage: mutants.py [SUITE...]    Suites are tools/mutants/**/*.json; all of them by default.

A suite names the sources that make up a primitive, its tests, and the mutants: in `file`, `old`,
which must occur exactly once, is replaced by `new`, which breaks `rule`. Names are those of a room's
files without their ending, `room/name`, of the library `name`. `rooms` in place of `sources` means
all of theirs, `library` what they need of it. A `campaign` is a program beside the tests: the file
of its main() and its arguments; it fails with exit 1.
`tests`, the gtest `filter` and `seconds`, after which a test that hangs has noticed, may be set for
one mutant, the latter two for a suite; a test that needs more than a fifth of that time unbroken is
refused. The sources are copied to build/mutants first, so the tree is never touched and may be edited meanwhile. A mutant is `killed`
when a test fails, does not end, or does not even compile; `SURVIVED` when all pass; `does not apply`
when its text is gone from the file. Exit 1 unless all are killed, 2 when the tests fail unbroken.
"""
import concurrent.futures
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
WORK = ROOT / "build" / "mutants"
TREE = WORK / "tree"
JOBS = 2
TEST_SECONDS_MAX = 60
CXX = ([shutil.which("ccache")] if shutil.which("ccache") else []) + [os.environ.get("CXX", "g++")]
FLAGS = ["-std=c++20", "-pthread"]
LIBRARIES = ["-lgtest_main", "-lgtest", "-lrapidcheck", "-lboost_json", "-pthread"]
# Where a room's folder is copied from; the library is what names without a room mean.
FOLDERS = ("include", "src/resilience", "src/base", "src/core", "src/ports", "src/runtime", "src/sim",
           "test")
SLOWEST_SHARE = 5
# The seed is fixed so that a verdict is the same tomorrow; shrinking an example helps nobody here.
ENVIRONMENT = dict(os.environ, RC_PARAMS="seed=1 noshrink=1", CCACHE_NOHASHDIR="1",
                   CCACHE_BASEDIR=str(WORK))


def run(command, seconds=600):
    """The exit code and output; 124 when it took too long."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace",
                              timeout=seconds, env=ENVIRONMENT, cwd=WORK)
    except subprocess.TimeoutExpired:
        return 124, f"no end after {seconds} s"
    return done.returncode, done.stdout + done.stderr


def compile_object(source, target, overlay=None, flags=("-O0",)):
    """Headers in the overlay come before those of the tree."""
    roots = ([overlay] if overlay else []) + [TREE]
    includes = [f"-I{root / folder}" for root in roots for folder in ("include", "src", ".")]
    target.parent.mkdir(parents=True, exist_ok=True)
    return run(CXX + FLAGS + list(flags) + includes + ["-MMD", "-c", str(source), "-o", str(target)])


def object_of(name, folder=WORK / "objects"):
    return folder / f"{name}.o"


def source_of(name):
    return TREE / "src" / f"{name}.cc"


def depends_on(name, header):
    """Whether the unbroken object was compiled from that header."""
    return f"tree/{header}" in object_of(name).with_suffix(".d").read_text()


def in_parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(work, items))


def in_room(name):
    return name if "/" in name else f"resilience/{name}"


class Killer:
    """A program that must fail: a file of tests, or a campaign with its own main()."""

    def __init__(self, suite, name, arguments=()):
        self.suite, self.name, self.arguments = suite, name, list(arguments)
        self.is_campaign = bool(arguments)
        self.object_name = f"campaign/{name}" if self.is_campaign else f"{name}_test"
        self.source = TREE / name if self.is_campaign else source_of(self.object_name)
        self.seconds = 0.0

    def compile(self):
        return compile_object(self.source, object_of(self.object_name), None, self.suite.flags)

    def link(self, objects, target):
        libraries = LIBRARIES[2:] if self.is_campaign else LIBRARIES
        return run(CXX[-1:] + [str(o) for o in objects] + [str(self.suite.archive), *libraries,
                                                           "-o", str(target)])

    def run(self, binary, filters, seconds=TEST_SECONDS_MAX):
        if self.is_campaign:
            return run([str(binary), *self.arguments], seconds)
        return run([str(binary), "--gtest_fail_fast", "--gtest_brief=1",
                    f"--gtest_filter={filters}"], seconds)


class Suite:
    def __init__(self, path):
        data = json.loads(path.read_text())
        self.name = path.stem
        self.flags = data.get("flags", ["-O0"])
        self.archive = WORK / f"{self.name}.a"
        rooms = data.get("rooms", ["resilience"])
        self.sources = [str(file.relative_to(ROOT / "src").with_suffix(""))
                        for room in rooms for file in sorted((ROOT / "src" / room).rglob("*.cc"))
                        if not file.stem.endswith("_test")]
        self.sources += [in_room(name) for name in data.get("library", [])]
        self.touched = [in_room(name) for name in data.get("sources", self.sources)]
        self.killers = [Killer(self, in_room(name)) for name in data["tests"]]
        if "campaign" in data:
            self.killers.insert(0, Killer(self, data["campaign"][0], data["campaign"][1:]))
        self.filter = data.get("filter", "*")
        self.seconds = data.get("seconds", TEST_SECONDS_MAX)
        self.mutants = [dict(m, suite=self) for m in data["mutants"]]
        for mutant in self.mutants:
            mutant["killers"] = self.killers
            if "tests" in mutant:
                mutant["killers"] = [self.killer_of(in_room(name)) for name in mutant["tests"]]

    def killer_of(self, name):
        known = [killer for killer in self.killers_all() if killer.name == name]
        if not known:
            known = [Killer(self, name)]
            self.others = getattr(self, "others", []) + known
        return known[0]

    def killers_all(self):
        return self.killers + getattr(self, "others", [])


def check_unbroken(suite, killer):
    """Links and runs a test as it is. Returns an error or None."""
    binary = WORK / suite.name / killer.object_name.replace("/", "_")
    binary.parent.mkdir(parents=True, exist_ok=True)
    code, output = killer.link([object_of(killer.object_name)], binary)
    started = time.monotonic()
    if code == 0:
        code, output = killer.run(binary, suite.filter)
    killer.seconds = time.monotonic() - started
    if code != 0:
        return f"{killer.object_name} without any mutant:\n{output}"
    if killer.seconds * SLOWEST_SHARE > suite.seconds:
        return f"{killer.object_name} takes {killer.seconds:.0f} s: no end would say nothing"
    return None


def prepare(suites):
    """Copies the tree, builds every object and runs the tests unbroken. Returns an error or None."""
    shutil.rmtree(WORK, ignore_errors=True)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, TREE / folder)
    work = {}
    for suite in suites:
        for name in suite.sources:
            work[name] = lambda name=name, suite=suite: compile_object(
                source_of(name), object_of(name), None, suite.flags)
        for killer in suite.killers_all():
            work[killer.object_name] = killer.compile
    built = in_parallel(lambda each: each(), work.values())
    built.append(compile_object(TREE / "test" / "allocations.cc", object_of("allocations")))
    for suite in suites:
        built.append(run(["ar", "rcs", str(suite.archive), str(object_of("allocations"))] +
                         [str(object_of(name)) for name in suite.sources]))
    for code, output in built:
        if code != 0:
            return output
    for suite in suites:
        for killer in suite.killers_all():
            if problem := check_unbroken(suite, killer):
                return problem
    return None


def apply(mutant, overlay):
    """Writes the broken file into the overlay; False when the text is not there exactly once."""
    text = (TREE / mutant["file"]).read_text()
    if text.count(mutant["old"]) != 1 or mutant["old"] == mutant["new"]:
        return False
    target = overlay / mutant["file"]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(text.replace(mutant["old"], mutant["new"]))
    return True


def rebuild(mutant, killer, overlay):
    """Compiles what the broken file is part of. Returns the objects and whether all compiled."""
    changed, flags = mutant["file"], mutant["suite"].flags
    if changed.endswith(".cc"):
        target = overlay / "broken.o"
        if target.exists():
            return [target], True
        return [target], compile_object(overlay / changed, target, overlay, flags)[0] == 0
    names = [n for n in mutant["suite"].touched + [killer.object_name] if depends_on(n, changed)]
    assert names, f"nothing in {mutant['suite'].name} includes {changed}"
    results = [compile_object(source_of(n), object_of(n, overlay), overlay, flags) for n in names]
    return [object_of(n, overlay) for n in names], all(code == 0 for code, _ in results)


def judge(numbered):
    """The verdict on one mutant, and the test that passed it."""
    number, mutant = numbered
    overlay = WORK / f"mutant_{number}"
    if not apply(mutant, overlay):
        return "does not apply", ""
    verdict = "SURVIVED", ""
    for killer in mutant["killers"]:
        objects, compiled = rebuild(mutant, killer, overlay)
        if not compiled:
            verdict = "killed", "the compiler"
            break
        own = object_of(killer.object_name, overlay)
        objects = [o for o in objects if o != own]
        objects.insert(0, own if own.exists() else object_of(killer.object_name))
        binary = overlay / "killer"
        code, output = killer.link(objects, binary)
        if code != 0:
            verdict = "does not link", output
            break
        code, output = killer.run(binary, mutant.get("filter", mutant["suite"].filter),
                                  mutant.get("seconds", mutant["suite"].seconds))
        if code != 0:
            verdict = "killed", cause_of(killer, code, output)
            break
    shutil.rmtree(overlay)
    return verdict


def cause_of(killer, code, output):
    """What a test said: the invariant or goal of a campaign."""
    if code == 124:
        return f"{killer.name}: no end"
    found = re.search(r"VIOLATION of (\w+)|(never seen: .*)", output) if killer.is_campaign else None
    return f"{killer.name}: {found.group(1) or found.group(2)}" if found else killer.name


def report(numbered):
    mutant = numbered[1]
    verdict, by = judge(numbered)
    print(f"{verdict:14}  {mutant['suite'].name}: {mutant['rule']}" + (f"  ({by})" if by else ""),
          flush=True)
    return verdict


def main(names):
    started = time.monotonic()
    folder = ROOT / "tools" / "mutants"
    paths = sorted(path for path in folder.rglob("*.json") if not names or path.stem in names)
    suites = [Suite(path) for path in paths]
    if problem := prepare(suites):
        print(problem, file=sys.stderr)
        return 2
    mutants = [mutant for suite in suites for mutant in suite.mutants]
    verdicts = in_parallel(report, list(enumerate(mutants)))
    killed = verdicts.count("killed")
    print(f"{killed} of {len(mutants)} mutants killed, {time.monotonic() - started:.0f} s")
    return 0 if killed == len(mutants) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
