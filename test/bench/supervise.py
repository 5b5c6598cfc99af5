#!/usr/bin/env python3
"""recoverd with many services beside the machine's own limit and beside its peers; one JSON object a line.

usage: supervise.py RECOVERD BENCH_RESTART [SERVICES...]      (1 100 1000)

For each number of services and each supervisor: time until all run; kill -9 to the replacement's
main(), each kill of a service followed by one of a child that a bare loop keeps (pidfd wake-up, reap,
posix_spawn), so that both see the same machine; memory (PSS) of all that supervises; processor time
while nothing happens; fifty killed at once; the stop of everything. Of recoverd also: the engine killed
together with a service, until that service is back; and a line of 200 bytes a second from each.

A service is killed when it has run for MIN_AGE seconds (1.1): runit and s6 hold back what ended
sooner. KILLS (100; a third for peers and for one service), IDLE_SECONDS (10) and PEERS ("all", or
names with commas, "" for none) change what is measured.
"""
import json
import os
import pathlib
import random
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

import peers

KILLS = int(os.environ.get("KILLS", "100"))
IDLE_SECONDS = float(os.environ.get("IDLE_SECONDS", "10"))
MIN_AGE = float(os.environ.get("MIN_AGE", "1.1"))
SETTLE = 0.12  # Longer than the validation of the recovery before.
AT_ONCE = 50
PLAYBOOK = """playbook: again
name: Again
triggers: [{failure: service_failure}]
steps: [{name: Start, action: start, timeout: 5s}]
validation: {within: 5s, stable_for: 50ms, success_criteria: ["service_running == true"]}
"""
CONFIGURATION = """version: 1
state_dir: HOME/state
api: {socket: HOME/api.sock}
auto_recovery:
  recovery: {mode: automatic, max_concurrent_recoveries: 1000}
  safety: {cooldown: 1ms, max_recoveries_per_hour: 100000,
           circuit_breaker: {failure_threshold: 1000}}
playbooks: [HOME/playbook.yaml]
services:
"""


def until(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError("the services did not come up")
        time.sleep(0.001)


class Slot:
    """What a child wrote of itself: when it began, and its pid."""

    def __init__(self, path):
        self.path = path
        self.name = path.name

    def __str__(self):
        return str(self.path)

    def read(self):
        try:
            data = self.path.read_bytes()
        except OSError:
            return 0, 0
        return struct.unpack("qq", data) if len(data) == 16 else (0, 0)

    def pid(self):
        return self.read()[1]

    def kill_and_wait(self, age=MIN_AGE):
        """Milliseconds from the kill to the replacement's main(). Killed when it has run so long."""
        began, old = self.read()
        time.sleep(max(0, began / 1e9 + age - time.monotonic()))
        killed = time.monotonic_ns()
        os.kill(old, signal.SIGKILL)
        until(lambda: self.pid() not in (0, old))
        return (self.read()[0] - killed) / 1e6


def pss_kib(pid):
    for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    return 0


def cpu_seconds(pid):
    """To the nanosecond where the kernel counts so, else in ticks; of all threads."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        try:
            total += int((task / "schedstat").read_text().split()[0]) / 1e9
        except OSError:
            fields = (task / "stat").read_text().rsplit(")", 1)[1].split()
            total += (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return total


def percentile(values, share):
    values = sorted(values)
    return round(values[min(len(values) - 1, int(share * len(values)))], 3)


class Recoverd(peers.Peer):
    name = "recoverd"
    recoverd = ""
    mode = "child"

    def start(self):
        text = CONFIGURATION.replace("HOME", str(self.home))
        for slot in self.slots:
            text += (f"  {slot.name}: {{run: {{command: [{self.child}, {self.mode}, {slot}]}}, "
                     "playbooks: [again]}\n")
        (self.home / "recoverd.yaml").write_text(text)
        (self.home / "playbook.yaml").write_text(PLAYBOOK)
        with open(self.home / "log", "w") as log:
            self.process = subprocess.Popen(
                [self.recoverd, "run", "--config", str(self.home / "recoverd.yaml")], stderr=log)

    def engine(self):
        return next(pid for pid in self.pids() if pid != self.process.pid)

    def pids(self):
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [self.process.pid] + [
            int(pid) for pid in children.read_text().split()
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "recoverd"]

    def kill_engine(self):
        """Until a service that died with it runs again."""
        slot = self.slots[0]
        engine, old = self.engine(), slot.pid()
        begun = time.monotonic_ns()
        os.kill(engine, signal.SIGKILL)
        os.kill(old, signal.SIGKILL)
        until(lambda: slot.pid() not in (0, old))
        return (slot.read()[0] - begun) / 1e6


class Talking(Recoverd):
    name = "recoverd, a line of 200 bytes a second from each"
    mode = "talk"


def memory(peer):
    return {"processes": len(peer.pids()), "pss_kib": sum(map(pss_kib, peer.pids()))}


def busy_percent(peer):
    pids = peer.pids()
    before = sum(map(cpu_seconds, pids))
    begun = time.monotonic()
    time.sleep(IDLE_SECONDS)
    return round(100 * (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - begun), 4)


def wait_up(peer, begun):
    missing = list(peer.slots)

    def all_up():
        while missing and missing[-1].pid():
            missing.pop()
        return not missing

    until(all_up, 120)
    return round((max(slot.read()[0] for slot in peer.slots) - begun) / 1e9, 3)


def kill_singly(peer, bare):
    ours_first = isinstance(peer, Recoverd) and len(peer.slots) > 1
    kills = KILLS if ours_first else max(KILLS // 3, 3)
    order = random.Random(1)
    many = len(peer.slots) >= kills
    chosen = order.sample(peer.slots, kills) if many else order.choices(peer.slots, k=kills)
    ours, limits = [], []
    for slot in chosen:
        time.sleep(SETTLE)
        ours.append(slot.kill_and_wait())
        time.sleep(0.01)
        limits.append(bare.kill_and_wait(age=0))
    return {"p50": percentile(ours, 0.5), "p90": percentile(ours, 0.9),
            "limit_p50": percentile(limits, 0.5), "limit_p90": percentile(limits, 0.9),
            "ratio_p50": round(percentile(ours, 0.5) / percentile(limits, 0.5), 2)}


def kill_many(peer):
    hit = peer.slots[:AT_ONCE]
    old = [slot.pid() for slot in hit]
    begun = time.monotonic_ns()
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(slot.pid() not in (0, was) for slot, was in zip(hit, old)))
    return round((max(slot.read()[0] for slot in hit) - begun) / 1e6, 1)


def figures(peer, bare, result):
    begun = time.monotonic_ns()
    peer.start()
    result["start_s"] = wait_up(peer, getattr(peer, "begun", begun))
    time.sleep(2)
    result["idle_cpu_percent"] = busy_percent(peer)
    result["memory"] = memory(peer)
    if isinstance(peer, Talking):
        return
    until(bare.pid)
    result["kill_to_main_ms"] = kill_singly(peer, bare)
    time.sleep(1.2)
    if len(peer.slots) >= AT_ONCE:
        result["fifty_at_once_ms"] = kill_many(peer)
        time.sleep(1)
    if isinstance(peer, Recoverd):
        result["memory_after"] = memory(peer)
        result["engine_killed_ms"] = round(peer.kill_engine(), 1)
        time.sleep(1)


def measure(kind, child, services):
    home = pathlib.Path(tempfile.mkdtemp(prefix="supervise-bench-", dir=os.environ.get("BENCH_DIR")))
    bare = Slot(home / "bare")
    limit = subprocess.Popen([child, "limit", str(bare)])
    peer = kind(child, home, [Slot(home / f"s{i}") for i in range(services)])
    result = {"figure": "supervise", "subject": kind.name, "services": services}
    try:
        figures(peer, bare, result)
    except (TimeoutError, OSError, subprocess.SubprocessError) as problem:
        result["problem"] = str(problem)
    finally:
        pids = [slot.pid() for slot in peer.slots]
        begun = time.monotonic_ns()
        peer.stop()
        result["stop_s"] = round((time.monotonic_ns() - begun) / 1e9, 3)
        result["left"] = sum(pathlib.Path(f"/proc/{pid}").exists() for pid in pids if pid)
        print(json.dumps(result), flush=True)
        limit.kill()
        limit.wait()
        if bare.pid():
            os.kill(bare.pid(), signal.SIGKILL)
        for pid in pids:
            if pid and os.path.exists(f"/proc/{pid}") and peer.is_child(pid):
                os.kill(pid, signal.SIGKILL)
        if not os.environ.get("KEEP"):
            shutil.rmtree(home, ignore_errors=True)


def measure_peer(kind, child, services):
    line = {"figure": "supervise", "subject": kind.name, "services": services}
    why = kind.missing()
    if why is None and services > kind.most and not os.environ.get("SLOW"):
        why = "takes minutes; SLOW=1 measures it"
    if why:
        print(json.dumps(line | {"skipped": why}), flush=True)
    elif kind is peers.Systemd:
        subprocess.run([peers.WITH_SYSTEMD, sys.executable, "-B", __file__, "--within", child,
                        str(services)], check=False)
    else:
        measure(kind, child, services)


def main():
    if len(sys.argv) == 4 and sys.argv[1] == "--within":
        return measure(peers.Systemd, sys.argv[2], int(sys.argv[3]))
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    Recoverd.recoverd, child = (os.path.realpath(path) for path in sys.argv[1:3])
    wanted = os.environ.get("PEERS", "all")
    chosen = [kind for kind in peers.ALL if wanted == "all" or kind.name in wanted.split(",")]
    for services in [int(word) for word in sys.argv[3:]] or [1, 100, 1000]:
        measure(Recoverd, child, services)
        for kind in chosen:
            measure_peer(kind, child, services)
        if services == 1000:
            measure(Talking, child, services)


if __name__ == "__main__":
    main()
