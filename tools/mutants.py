#!/usr/bin/env python3
"""Breaks the rules of the library one at a time; the tests must notice each.

usage: mutants.py [SUITE...]    Suites are tools/mutants/*.json; all of them by default.

A suite names the sources that make up a primitive, its tests, and the mutants: in `file`, `old`,
which must occur exactly once, is replaced by `new`, which breaks `rule`. `tests`, the gtest `filter`
and `seconds`, after which a test that hangs has noticed, may be set for one mutant. The sources are copied to
build/mutants first, so the tree is never touched and may be edited meanwhile. A mutant is `killed`
when a test fails, does not end, or does not even compile; `SURVIVED` when all pass; `does not apply`
when its text is gone from the file. Exit 1 unless all are killed, 2 when the tests fail unbroken.
"""
import concurrent.futures
import json
import os
import pathlib
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
FLAGS = ["-std=c++20", "-O0", "-pthread"]
LIBRARIES = ["-lgtest_main", "-lgtest", "-lrapidcheck", "-pthread"]
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


def compile_object(source, target, overlay=None):
    """Headers in the overlay come before those of the tree."""
    roots = ([overlay] if overlay else []) + [TREE]
    includes = [f"-I{root / folder}" for root in roots for folder in ("include", "src", ".")]
    target.parent.mkdir(parents=True, exist_ok=True)
    return run(CXX + FLAGS + includes + ["-MMD", "-c", str(source), "-o", str(target)])


def object_of(name, folder=WORK / "objects"):
    return folder / f"{name}.o"


def source_of(name):
    return TREE / "src" / "resilience" / f"{name}.cc"


def depends_on(name, header):
    """Whether the unbroken object was compiled from that header."""
    return f"tree/{header}" in object_of(name).with_suffix(".d").read_text()


def in_parallel(work, items):
    with concurrent.futures.ThreadPoolExecutor(JOBS) as pool:
        return list(pool.map(work, items))


def link(test, objects, target):
    return run(CXX[-1:] + [str(o) for o in objects] + [str(WORK / "rest.a"), *LIBRARIES,
                                                       "-o", str(target)])


def run_test(binary, filters, seconds=TEST_SECONDS_MAX):
    return run([str(binary), "--gtest_fail_fast", "--gtest_brief=1",
                f"--gtest_filter={filters}"], seconds)


class Suite:
    def __init__(self, path):
        data = json.loads(path.read_text())
        self.name = path.stem
        self.sources = data["sources"]
        self.tests = data["tests"]
        self.filter = data.get("filter", "*")
        self.mutants = [dict(m, suite=self) for m in data["mutants"]]

    def all_tests(self):
        named = [test for mutant in self.mutants for test in mutant.get("tests", [])]
        return list(dict.fromkeys(self.tests + named))


def prepare(suites):
    """Copies the tree, builds every object and runs the tests unbroken. Returns an error or None."""
    shutil.rmtree(WORK, ignore_errors=True)
    for folder in ("include", "src/resilience", "test"):
        shutil.copytree(ROOT / folder, TREE / folder)
    tests = list(dict.fromkeys(test for suite in suites for test in suite.all_tests()))
    sources = sorted(p.stem for p in (TREE / "src" / "resilience").glob("*.cc")
                     if not p.stem.endswith("_test"))
    names = sources + [f"{test}_test" for test in tests]
    built = in_parallel(lambda name: compile_object(source_of(name), object_of(name)), names)
    built.append(compile_object(TREE / "test" / "allocations.cc", object_of("allocations")))
    built.append(run(["ar", "rcs", "rest.a", str(object_of("allocations"))] +
                     [str(object_of(name)) for name in sources]))
    for code, output in built:
        if code != 0:
            return output
    for suite in suites:
        for test in suite.all_tests():
            binary = WORK / f"{test}_test"
            code, output = link(test, [object_of(f"{test}_test")], binary)
            if code == 0:
                code, output = run_test(binary, suite.filter)
            if code != 0:
                return f"{test}_test without any mutant:\n{output}"
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


def rebuild(mutant, tests, overlay):
    """Compiles what the broken file is part of. Returns the objects and whether all compiled."""
    changed = mutant["file"]
    if changed.endswith(".cc"):
        target = overlay / "broken.o"
        return [target], compile_object(overlay / changed, target, overlay)[0] == 0
    names = [n for n in mutant["suite"].sources + [f"{t}_test" for t in tests]
             if depends_on(n, changed)]
    assert names, f"nothing in {mutant['suite'].name} includes {changed}"
    results = [compile_object(source_of(n), object_of(n, overlay), overlay) for n in names]
    return [object_of(n, overlay) for n in names], all(code == 0 for code, _ in results)


def judge(numbered):
    """The verdict on one mutant, and the test that passed it."""
    number, mutant = numbered
    overlay = WORK / f"mutant_{number}"
    tests = mutant.get("tests", mutant["suite"].tests)
    if not apply(mutant, overlay):
        return "does not apply", ""
    verdict = "SURVIVED", ""
    for test in tests:
        objects, compiled = rebuild(mutant, [test], overlay)
        if not compiled:
            verdict = "killed", "the compiler"
            break
        own = object_of(f"{test}_test", overlay)
        objects = [o for o in objects if not o.name.endswith("_test.o")]
        objects.insert(0, own if own.exists() else object_of(f"{test}_test"))
        binary = overlay / f"{test}_test"
        code, output = link(test, objects, binary)
        if code != 0:
            verdict = "does not link", output
            break
        if run_test(binary, mutant.get("filter", mutant["suite"].filter),
                    mutant.get("seconds", TEST_SECONDS_MAX))[0] != 0:
            verdict = "killed", f"{test}_test"
            break
    shutil.rmtree(overlay)
    return verdict


def report(numbered):
    mutant = numbered[1]
    verdict, by = judge(numbered)
    print(f"{verdict:14}  {mutant['suite'].name}: {mutant['rule']}" + (f"  ({by})" if by else ""),
          flush=True)
    return verdict


def main(names):
    started = time.monotonic()
    folder = ROOT / "tools" / "mutants"
    paths = [folder / f"{name}.json" for name in names] or sorted(folder.glob("*.json"))
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
