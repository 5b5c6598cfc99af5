#!/usr/bin/env python3
"""Histories a minute through `recoverd sim` on one core; one JSON object.

usage: sim.py RECOVERD [SEEDS]      (2000)

`a_minute` counts seeds; what is run again to be compared (one in 64, four times) is in the time and
not in the count. Histories differ in length, so the same is told for histories of 200 events.
"""
import json
import resource
import subprocess
import sys

EVENTS = 200


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    seeds = int(sys.argv[2]) if len(sys.argv) > 2 else 2000
    done = subprocess.run([sys.argv[1], "sim", "--seeds", f"1..{seeds}", "--json"], check=True,
                          stdout=subprocess.PIPE)
    events = json.loads(done.stdout)["events"]
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = used.ru_utime + used.ru_stime
    print(json.dumps({"figure": "histories", "seeds": seeds, "cpu_s": round(seconds, 2),
                      "events_a_history": round(events / seeds),
                      "a_minute": round(60 * seeds / seconds),
                      "a_minute_of_200_events": round(60 * events / EVENTS / seconds)}))


if __name__ == "__main__":
    main()
