#!/usr/bin/env python3
"""recoverd with many services, beside the machine's own limit; one JSON object a line.

usage: supervise.py RECOVERD BENCH_RESTART [SERVICES...]      (1 100 1000)

For each number of services: time until all run; kill -9 to the replacement's main(), each kill of a
service followed by one of a child that a bare loop keeps (pidfd wake-up, reap, posix_spawn), so that
both see the same machine; memory (PSS) of keeper and engine; processor time while nothing happens;
fifty killed at once; the engine killed together with a service, until that service is back; the
stop of everything. Needs /dev/shm. KILLS (100) and IDLE_SECONDS (10) change how much is measured.
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

KILLS = int(os.environ.get("KILLS", "100"))
IDLE_SECONDS = float(os.environ.get("IDLE_SECONDS", "10"))
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

    def read(self):
        try:
            data = self.path.read_bytes()
        except OSError:
            return 0, 0
        return struct.unpack("qq", data) if len(data) == 16 else (0, 0)

    def pid(self):
        return self.read()[1]

    def kill_and_wait(self):
        """Milliseconds from the kill to the replacement's main()."""
        old = self.pid()
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


class Daemon:
    def __init__(self, recoverd, child, home, services):
        text = CONFIGURATION.replace("HOME", str(home))
        for i in range(services):
            text += f"  s{i}: {{run: {{command: [{child}, child, {home}/slot{i}]}}, playbooks: [again]}}\n"
        (home / "recoverd.yaml").write_text(text)
        (home / "playbook.yaml").write_text(PLAYBOOK)
        self.slots = [Slot(home / f"slot{i}") for i in range(services)]
        self.log = open(home / "log", "w")
        self.begun = time.monotonic_ns()
        self.keeper = subprocess.Popen([recoverd, "run", "--config", str(home / "recoverd.yaml")],
                                       stderr=self.log)

    def wait_up(self):
        missing = list(self.slots)

        def all_up():
            while missing and missing[-1].pid():
                missing.pop()
            return not missing

        until(all_up, 120)
        return (max(slot.read()[0] for slot in self.slots) - self.begun) / 1e9

    def engine(self):
        path = pathlib.Path(f"/proc/{self.keeper.pid}/task/{self.keeper.pid}/children")
        for pid in path.read_text().split():
            if pathlib.Path(f"/proc/{pid}/comm").read_text().strip() == "recoverd":
                return int(pid)
        raise RuntimeError("no engine")

    def memory(self):
        return {"keeper_pss_kib": pss_kib(self.keeper.pid), "engine_pss_kib": pss_kib(self.engine())}

    def idle_percent(self):
        pids = [self.keeper.pid, self.engine()]
        before = sum(map(cpu_seconds, pids))
        begun = time.monotonic()
        time.sleep(IDLE_SECONDS)
        return round(100 * (sum(map(cpu_seconds, pids)) - before) / (time.monotonic() - begun), 4)

    def kill_many(self):
        hit = self.slots[:AT_ONCE]
        old = [slot.pid() for slot in hit]
        begun = time.monotonic_ns()
        for pid in old:
            os.kill(pid, signal.SIGKILL)
        until(lambda: all(slot.pid() not in (0, was) for slot, was in zip(hit, old)))
        return (max(slot.read()[0] for slot in hit) - begun) / 1e6

    def kill_engine(self):
        """Until a service that died with it runs again."""
        slot = self.slots[0]
        engine, old = self.engine(), slot.pid()
        begun = time.monotonic_ns()
        os.kill(engine, signal.SIGKILL)
        os.kill(old, signal.SIGKILL)
        until(lambda: slot.pid() not in (0, old))
        return (slot.read()[0] - begun) / 1e6

    def stop(self):
        begun = time.monotonic_ns()
        self.keeper.send_signal(signal.SIGTERM)
        self.keeper.wait(120)
        return (time.monotonic_ns() - begun) / 1e9


def measure(recoverd, child, services):
    home = pathlib.Path(tempfile.mkdtemp(prefix="recoverd-bench-", dir=os.environ.get("BENCH_DIR")))
    bare = Slot(home / "bare")
    limit = subprocess.Popen([child, "limit", str(bare.path)])
    daemon = Daemon(recoverd, child, home, services)
    result = {"figure": "supervise", "services": services}
    try:
        result["start_s"] = round(daemon.wait_up(), 3)
        until(bare.pid)
        time.sleep(2)
        result["idle_cpu_percent"] = daemon.idle_percent()
        result["memory"] = daemon.memory()
        order = random.Random(1)
        ours, limits = [], []
        for _ in range(KILLS):
            time.sleep(SETTLE)
            ours.append(order.choice(daemon.slots).kill_and_wait())
            time.sleep(0.01)
            limits.append(bare.kill_and_wait())
        result["kill_to_main_ms"] = {"p50": percentile(ours, 0.5), "p90": percentile(ours, 0.9),
                                     "limit_p50": percentile(limits, 0.5),
                                     "limit_p90": percentile(limits, 0.9),
                                     "ratio_p50": round(percentile(ours, 0.5) / percentile(limits, 0.5), 2)}
        time.sleep(1)
        if services >= AT_ONCE:
            result["fifty_at_once_ms"] = round(daemon.kill_many(), 1)
        time.sleep(1)
        result["memory_after"] = daemon.memory()
        result["engine_killed_ms"] = round(daemon.kill_engine(), 1)
        time.sleep(1)
        pids = [slot.pid() for slot in daemon.slots]
        result["stop_s"] = round(daemon.stop(), 3)
        result["left"] = sum(pathlib.Path(f"/proc/{pid}").exists() for pid in pids)
    finally:
        print(json.dumps(result), flush=True)
        limit.kill()
        limit.wait()
        if bare.pid():
            os.kill(bare.pid(), signal.SIGKILL)
        if daemon.keeper.poll() is None:
            daemon.keeper.terminate()
        daemon.log.close()
        if not os.environ.get("KEEP"):
            shutil.rmtree(home, ignore_errors=True)


def main():
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    recoverd, child = (os.path.realpath(path) for path in sys.argv[1:3])
    for services in [int(word) for word in sys.argv[3:]] or [1, 100, 1000]:
        measure(recoverd, child, services)


if __name__ == "__main__":
    main()
