#!/usr/bin/env python3
"""The functions of recoverd that run when a service fails, for cmake/hot_functions.txt.

usage: hot_functions.py RECOVERD BENCH_RESTART > cmake/hot_functions.txt      (release build, as root)

Steps the engine's first thread instruction by instruction while services are killed, and prints the
symbols it came by, in the order of their addresses. A list that is out of date costs memory, nothing
else. Run it on a program that was linked by the list it had: a second run finds what the first moved.
"""
import bisect
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "test" / "bench"))
import supervise

SERVICES = 5
KILLS = 4
PAUSE = 2   # From one kill to the next: until it is validated, under the eyes of whoever steps it.
SECONDS = 25


def names(program, offsets):
    listing = subprocess.run(["nm", "-S", "--defined-only", program], capture_output=True, text=True, check=True)
    fields = [line.split() for line in listing.stdout.splitlines()]
    symbols = sorted((int(f[0], 16), int(f[1], 16), f[3]) for f in fields if len(f) == 4 and f[2] in "tTwWuVv")
    starts = [symbol[0] for symbol in symbols]
    found = {}
    for offset in offsets:
        begin, size, name = symbols[max(bisect.bisect_right(starts, offset) - 1, 0)]
        if begin <= offset < begin + size:
            found[name] = begin
    return sorted(found, key=found.get)


def kill_some(peer):
    for slot in peer.slots[:KILLS]:
        old = slot.pid()
        os.kill(old, signal.SIGKILL)
        supervise.until(lambda slot=slot, old=old: slot.pid() not in (0, old), SECONDS)
        time.sleep(PAUSE)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, child = map(os.path.realpath, sys.argv[1:])
    supervise.Recoverd.recoverd = program
    home = pathlib.Path(tempfile.mkdtemp(prefix="hot-functions-"))
    stepper = home / "stepper"
    subprocess.run(["cc", "-O2", "-o", stepper, HERE / "hot_functions.c"], check=True)
    peer = supervise.Recoverd(child, home, [supervise.Slot(home / f"s{i}") for i in range(SERVICES)])
    try:
        peer.start()
        supervise.wait_up(peer, 0)
        time.sleep(4)  # Until it is at rest.
        stepping = subprocess.Popen([stepper, str(peer.engine()), str(SECONDS)], stdout=subprocess.PIPE, text=True)
        time.sleep(1)
        kill_some(peer)
        offsets = [int(line, 16) for line in stepping.communicate()[0].split()]
        print("\n".join(names(program, offsets)))
    finally:
        peer.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
