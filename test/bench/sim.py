#!/usr/bin/env python3
"""Histories a minute through `recoverd sim` on one core; one JSON object.

usage: sim.py RECOVERD [SEEDS]      (200)
"""
import json
import resource
import subprocess
import sys


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    subprocess.run([sys.argv[1], "sim", "--seeds", f"1..{seeds}"], check=True,
                   stdout=subprocess.DEVNULL)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    print(json.dumps({"figure": "histories", "seeds": seeds, "cpu_s": round(seconds, 2),
                      "a_minute": round(60 * seeds / seconds)}))


if __name__ == "__main__":
    main()
