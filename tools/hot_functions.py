#!/usr/bin/env python3
"""The functions of recoverd that run when a service fails, for cmake/hot_functions.txt.

usage: hot_functions.py RECOVERD BENCH_RESTART > cmake/hot_functions.txt      (release build, as root)

Steps the engine's first thread instruction by instruction while services are killed, and prints the
symbols it came by, in the order of their addresses. A list that is out of date costs memory, nothing else.
"""
import bisect
import ctypes
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "test" / "bench"))
import supervise

SERVICES = 5
SEIZE, INTERRUPT, SINGLESTEP, GETREGS, DETACH = 0x4206, 0x4207, 9, 12, 17
RIP = 16  # Of user_regs_struct, in words.
SECONDS = 40
libc = ctypes.CDLL(None, use_errno=True)


def ptrace(request, pid, data=None):
    if libc.ptrace(ctypes.c_long(request), ctypes.c_int(pid), ctypes.c_void_p(0), data) < 0:
        raise OSError(ctypes.get_errno(), "ptrace")


def image(pid):
    ends = [line.split()[0].split("-") for line in pathlib.Path(f"/proc/{pid}/maps").read_text().splitlines()
            if line.endswith("/recoverd")]
    return int(ends[0][0], 16), int(ends[-1][1], 16)


def addresses(pid, done):
    """Offsets in the program that the thread executes until `done` is set."""
    first, last = image(pid)
    ptrace(SEIZE, pid)
    ptrace(INTERRUPT, pid)
    _, status = os.waitpid(pid, 0x40000000)
    seen, registers = set(), (ctypes.c_ulong * 27)()
    while not done.is_set():
        ptrace(GETREGS, pid, ctypes.byref(registers))
        if first <= registers[RIP] < last:
            seen.add(registers[RIP] - first)
        number = 0 if status >> 16 or os.WSTOPSIG(status) == signal.SIGTRAP else os.WSTOPSIG(status)
        ptrace(SINGLESTEP, pid, ctypes.c_void_p(number))
        _, status = os.waitpid(pid, 0x40000000)
    ptrace(DETACH, pid)
    return seen


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


def kill_each(peer, done):
    for slot in peer.slots:
        old = slot.pid()
        os.kill(old, signal.SIGKILL)
        supervise.until(lambda slot=slot, old=old: slot.pid() not in (0, old), SECONDS)
        time.sleep(2)  # Until it is validated, under the eyes of whoever steps it.
    done.set()
    os.kill(peer.slots[0].pid(), signal.SIGKILL)  # So that a last step comes.


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    program, child = map(os.path.realpath, sys.argv[1:])
    supervise.Recoverd.recoverd = program
    home = pathlib.Path(tempfile.mkdtemp(prefix="hot-functions-"))
    peer = supervise.Recoverd(child, home, [supervise.Slot(home / f"s{i}") for i in range(SERVICES)])
    try:
        peer.start()
        supervise.wait_up(peer, 0)
        time.sleep(4)
        done = threading.Event()
        killer = threading.Thread(target=kill_each, args=(peer, done))
        killer.start()
        offsets = addresses(peer.engine(), done)
        killer.join()
        print("\n".join(names(program, offsets)))
    finally:
        peer.stop()
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main()
