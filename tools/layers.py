#!/usr/bin/env python3
"""Fails when a source file reaches for something its place in the house may not see.

usage: layers.py [ROOT] | layers.py --self-test
The tables below are the whole policy. Change one only together with an ADR.
"""
import pathlib
import re
import sys

# Each room and the rooms it may include besides itself, bottom to top.
# Every room may include <recover/...>, the public headers of `resilience`.
SEES = {
    "base": [],
    "resilience": [],
    "posix": ["base"],
    "clients": ["base", "posix"],
    "core": ["base", "resilience"],
    "backup": ["base", "resilience", "posix"],
    "config": ["base", "core"],
    "ports": ["base", "core"],
    "import": ["base"],
    "effects": ["base", "core", "ports"],
    "journal": ["base", "posix", "core", "ports"],
    "adapters": ["base", "resilience", "posix", "clients", "core", "ports", "effects"],
    "runtime": ["base", "core", "ports"],
    "api": ["base", "core", "ports"],
    "sim": ["base", "resilience", "core", "backup", "config", "ports", "journal", "runtime"],
    "apps": ["base", "resilience", "posix", "clients", "core", "backup", "config", "ports", "effects",
             "journal", "adapters", "runtime", "api", "sim", "import"],
}

# Rooms whose code computes, and those among them without threads on top. `resilience` is not among
# the latter: its wrappers are thread-safe.
PURE_ROOMS = ["base", "resilience", "core", "config", "import"]
THREADLESS_ROOMS = ["base", "core", "config", "import"]

# The pure machines of librecover: time and randomness are parameters, and one thread owns them.
PURE_HEADERS = [
    "backoff.h", "circuit_breaker_config.h", "circuit_breaker_machine.h", "classification.h",
    "error.h", "fixed_window.h", "gcra.h", "meter.h", "outlier_detector.h", "pace.h", "random.h",
    "result.h", "sliding_window.h", "token_bucket.h",
]
# Headers that may include one foreign library, and how its paths begin.
ADAPTER_HEADERS = {"asio.h": "boost/asio"}

STD_HEADER = re.compile(r"[a-z0-9_]+")
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]+)[>"]')
COMMENT = re.compile(r"//.*")
THREADS = re.compile(
    r"#\s*include\s*<(thread|mutex|shared_mutex|atomic|condition_variable|future|semaphore)>")
ANY_CLOCK = re.compile(r"\bClock\s*(&|::)|::now\s*\(|\bnow\s*\(\s*\)")

# What rooms must not contain: (rooms, pattern, the files that are the one place for it, the fault).
BANS = [
    (PURE_ROOMS,
     re.compile(r"#\s*include\s*<(fstream|filesystem|iostream|unistd\.h|fcntl\.h|sys/.*|sqlite3\.h)>"
                r"|\bgetenv\s*\("),
     [], "no I/O and no environment here"),
    (PURE_ROOMS,
     re.compile(r"_clock::now\s*\(|\bclock_gettime\s*\(|\btime\s*\(\s*(nullptr|NULL|0)\s*\)"),
     ["include/recover/time.h", "src/resilience/time.cc"],
     "time is a parameter or an injected Clock"),
    (PURE_ROOMS, re.compile(r"#\s*include\s*<random>"), ["src/resilience/shared_random.cc"],
     "random numbers come from <recover/random.h>, seeded"),
    (["resilience"], re.compile(r"#\s*include\s*<(?!recover/|sys/)[^>]+/"),
     ["include/recover/asio.h"], "librecover needs the standard library only"),
    (THREADLESS_ROOMS, THREADS, [], "no threads and no locks here"),
]


def is_test(path):
    return path.stem.endswith("_test")


def room_faults(path, kind, target):
    """What is wrong with an include of a room's file: SEES, and siblings in adapters."""
    room, folder, test = path.parts[1], path.parts[2], is_test(path)
    parts = target.split("/")
    if kind != '"' or (test and parts[0] == "test"):
        return
    if parts[0] == "recover":
        yield "write <recover/...>, like every user of the library"
    elif len(parts) < 2 or parts[0] not in SEES:
        yield f'"{target}": name the file by its room, "room/file.h"'
    elif parts[0] != room and parts[0] not in SEES[room]:
        yield f"{room} must not include {parts[0]}"
    elif room == parts[0] == "adapters" and parts[1] != folder:
        yield f"adapter {folder} must not include adapter {parts[1]}"


def public_include_faults(name, kind, target):
    foreign = ADAPTER_HEADERS.get(name)
    allowed = kind == "<" and (STD_HEADER.fullmatch(target) or target.startswith("recover/") or
                               (foreign and target.startswith(foreign)))
    if not allowed:
        yield f"{target}: public headers include only <std> and <recover/...>"
    if target.removeprefix("recover/") in ADAPTER_HEADERS:
        yield f"{target}: nothing in the library may depend on an adapter header"


def line_faults(path, line):
    """Every fault of one line; `path` is relative to the root."""
    public = path.parts[0] == "include"
    room = "resilience" if public else path.parts[1]
    include = INCLUDE.match(line)
    if include and public:
        yield from public_include_faults(path.name, include[1], include[2])
    elif include:
        yield from room_faults(path, include[1], include[2])
    if is_test(path):
        return
    for rooms, pattern, exempt, fault in BANS:
        if room in rooms and path.as_posix() not in exempt and pattern.search(line):
            yield fault
    if public and path.name in PURE_HEADERS and (THREADS.search(line) or ANY_CLOCK.search(line)):
        yield f"{path.name} is pure: `now` is a parameter; no clock, lock, thread or atomic"


def first_include_faults(path, text, own_header):
    """Compiling x.cc proves that x.h stands on its own, if nothing comes before it."""
    if path.suffix != ".cc" or not own_header:
        return
    name = path.with_suffix(".h").relative_to("src").as_posix()
    first = next(filter(None, map(INCLUDE.match, text.splitlines())), None)
    if not first or first[2] != name:
        yield f'{path}: "{name}" must be the first include'


def file_faults(path, text, own_header=False):
    """`own_header`: whether there is a header beside the file, of the same name."""
    if path.parts[0] == "src" and (len(path.parts) < 3 or path.parts[1] not in SEES):
        yield f"{path}: belongs to no room of tools/layers.py"
        return
    yield from first_include_faults(path, text, own_header)
    for number, line in enumerate(text.splitlines(), 1):
        code = COMMENT.sub("", line)
        yield from (f"{path}:{number}: {fault}" for fault in line_faults(path, code))


def tree_faults(root):
    for folder in ("include", "src"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".h", ".cc"):
                yield from file_faults(path.relative_to(root), path.read_text(),
                                       path.with_suffix(".h").exists())
    for name in PURE_HEADERS:
        if not (root / "include/recover" / name).exists():
            yield f"tools/layers.py: PURE_HEADERS names {name}, which does not exist"


# (file, line, the fault it must raise, or None)
SELF_TEST = [
    ("src/core/engine.cc", '#include "base/time.h"', None),
    ("src/core/engine.cc", '#include "adapters/process/spawn.h"', "must not include adapters"),
    ("src/core/engine.cc", "#include <mutex>", "no threads"),
    ("src/core/engine.cc", "#include <recover/retry.h>", None),
    ("src/core/engine.cc", '#include "engine.h"', "name the file by its room"),
    ("src/adapters/log/tail.cc", '#include "adapters/probe/http.h"', "must not include adapter"),
    ("src/core/engine_test.cc", '#include "test/allocations.h"', None),
    ("src/core/engine.cc", '#include "test/allocations.h"', "name the file by its room"),
    ("src/attic/old.cc", "int x;", "no room"),
    ("src/resilience/retry.cc", "#include <fstream>", "no I/O"),
    ("src/resilience/retry.cc", "#include <mutex>", None),
    ("src/resilience/retry.cc", "auto t = std::chrono::steady_clock::now();", "time is a parameter"),
    ("src/resilience/retry.cc", "#include <random>", "seeded"),
    ("src/resilience/retry.cc", "#include <boost/json.hpp>", "standard library only"),
    ("src/resilience/retry_test.cc", "#include <fstream>", None),
    ("src/resilience/time.cc", "return std::chrono::steady_clock::now();", None),
    ("include/recover/retry.h", '#include "recover/error.h"', "only <std>"),
    ("include/recover/retry.h", "#include <boost/asio/post.hpp>", "only <std>"),
    ("include/recover/retry.h", "#include <recover/asio.h>", "adapter header"),
    ("include/recover/asio.h", "#include <boost/asio/post.hpp>", None),
    ("include/recover/asio.h", "#include <boost/json.hpp>", "only <std>"),
    ("include/recover/random.h", "#include <atomic>", "is pure"),
    ("include/recover/random.h", "Machine(Clock& clock);", "is pure"),
    ("include/recover/random.h", "const Instant t = clock.now();", "is pure"),
    ("include/recover/random.h", "// no Clock& here, no clock.now()", None),
]

# (file beside which there is a header of its name, text, the fault it must raise, or None)
FIRST_INCLUDE_SELF_TEST = [
    ("src/core/engine.cc", '// What.\n#include "core/engine.h"\n#include <map>', None),
    ("src/core/engine.cc", '#include <map>\n#include "core/engine.h"', "must be the first"),
    ("src/core/engine.cc", '#include "core/plan.h"\n#include "core/engine.h"', "must be the first"),
    ("src/core/engine.cc", "int x;", "must be the first"),
    ("src/adapters/log/tail.cc", '#include "adapters/log/tail.h"', None),
    ("src/core/engine.h", "#include <map>", None),
]


def self_test():
    failed = 0
    cases = [(*case, False) for case in SELF_TEST] + [(*case, True) for case in FIRST_INCLUDE_SELF_TEST]
    for name, text, expected, own_header in cases:
        found = " ".join(file_faults(pathlib.PurePosixPath(name), text, own_header))
        if (expected or "") not in found or (expected is None and found):
            failed += 1
            print(f"self-test: {name}: {text}\n  expected {expected}, got {found or None}")
    print(f"layers self-test: {len(cases) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main(arguments):
    if arguments == ["--self-test"]:
        return self_test()
    faults = list(tree_faults(pathlib.Path(arguments[0] if arguments else ".")))
    print("\n".join(faults) or "layers: ok")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
