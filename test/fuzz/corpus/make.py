#!/usr/bin/env python3
"""Writes the seeds of the fuzz targets beside itself: corpus/<target>/<story>.

usage: test/fuzz/corpus/make.py [--check]      --check changes nothing and fails on a difference.
A seed is a script as the target reads it (test/fuzz/script.h): one byte a choice, and where the
bytes end every choice is the first one. The functions below name the bytes; each story is one that
random bytes are slow to find. Inputs that once crashed a target are put beside these by hand.
"""
import pathlib
import sys

HERE = pathlib.Path(__file__).parent


# ---- circuit_breaker_fuzz: read_config() and read_step() of breaker_script.h

COUNT, TIME, TUMBLING, NONE = 0, 1, 4, 5
RATE, CONSECUTIVE, SUCCESSES, FAILURES = range(4)
NO_COMPATIBILITY = [0]


def window(kind=COUNT, size=4, bucket=0, buckets=5, alignment=0):
    return [kind, size - 1, bucket, buckets - 1, alignment]


def waits(initial=2, multiplier=0, at_most=0, jitter=0, table=None, half_open=0, then=0):
    return [initial, multiplier, at_most, jitter, 0, *([0] if table is None else [1, table]),
            half_open, then]


def breaker(window=window(), minimum=2, rate=0, slow_rate=0, slow=0, count=None, waits=waits(),
            rule=(RATE, 0, 0), concurrent=0, probes=0, compatibility=NO_COMPATIBILITY):
    return [*window, minimum, rate, slow_rate, slow, *([0] if count is None else [1, count - 1]),
            *waits, *rule, concurrent, probes, *compatibility]


ACQUIRE, LOOK, TICK, RESET = [0, 0, 0], [10, 0, 0], [11, 0, 0], [15, 0, 0]
SUCCESS, FAILURE, IGNORED, CANCELLED = 0, 1, 5, 6
OPEN, HALF_OPEN, DISABLED, METRICS_ONLY, FORCED_OPEN = range(1, 6)


def finish(outcome, elapsed=0, call=0):  # elapsed: 0, 10 ms, 10 ms and 1 ns, 30 ms
    return [1, call, outcome + 8 * elapsed]


def release(call=0):
    return [9, call, 0]


def advance(index):  # 1 ns, 1 ms, 5 ms less 1 ns, 5, 10, 25 ms, 10 ms less 1 ns, 400 ms
    return [4, 0, index]


def move_to(state):
    return [13, 0, state]


def open_for(index):  # as advance()
    return [14, 0, index]


def calls(*outcomes, elapsed=0):
    return [byte for outcome in outcomes for byte in ACQUIRE + finish(outcome, elapsed)]


FAIL2 = calls(FAILURE, FAILURE)

BREAKER = {
    "opens_probes_close": breaker(rule=(CONSECUTIVE, 1, 0), probes=1) + FAIL2 + LOOK + ACQUIRE
    + advance(6) + ACQUIRE + advance(0) + calls(SUCCESS, SUCCESS) + LOOK + calls(FAILURE),
    "a_failed_probe_opens_for_longer": breaker(waits=waits(1, 1, 59), rule=(CONSECUTIVE, 0, 0))
    + FAIL2 + advance(3) + calls(FAILURE) + LOOK + advance(3) + ACQUIRE + advance(3)
    + calls(SUCCESS) + LOOK,
    "a_count_window_forgets": breaker(window(size=3), minimum=3, rate=3)
    + calls(FAILURE, SUCCESS, SUCCESS, SUCCESS, FAILURE, SUCCESS, FAILURE) + LOOK,
    "a_time_window_ages": breaker(window(TIME, buckets=2), minimum=3, rate=1)
    + FAIL2 + LOOK + advance(4) + LOOK + calls(FAILURE, SUCCESS) + advance(3)
    + calls(FAILURE, FAILURE) + LOOK + advance(3) + calls(FAILURE, FAILURE) + LOOK,
    "slow_calls_open": breaker(slow=1, slow_rate=1) + calls(SUCCESS, elapsed=1)
    + calls(SUCCESS, SUCCESS, elapsed=2) + LOOK,
    "half_open_times_out": breaker(waits=waits(half_open=2, then=0)) + FAIL2 + advance(4) + ACQUIRE
    + advance(4) + LOOK + TICK + finish(SUCCESS) + advance(4) + ACQUIRE + LOOK,
    "a_late_outcome": breaker() + ACQUIRE + ACQUIRE + FAIL2 + finish(SUCCESS) + RESET
    + finish(FAILURE) + LOOK,
    "a_dropped_probe_is_free_again": breaker(rule=(CONSECUTIVE, 0, 0)) + FAIL2 + advance(4)
    + ACQUIRE + ACQUIRE + release() + ACQUIRE + finish(IGNORED) + ACQUIRE + finish(CANCELLED)
    + calls(SUCCESS) + LOOK,
    "by_hand": breaker(minimum=1, rate=1) + move_to(FORCED_OPEN) + ACQUIRE + move_to(DISABLED)
    + FAIL2 + move_to(METRICS_ONLY) + FAIL2 + LOOK + open_for(3) + ACQUIRE + advance(3)
    + calls(SUCCESS) + RESET,
    "like_gobreaker": breaker(window(NONE), minimum=0, rule=(CONSECUTIVE, 1, 0), probes=1,
                              compatibility=[1, 1, 1, 1, 0, 1, 1]) + calls(FAILURE, SUCCESS) + FAIL2
    + LOOK + advance(4) + LOOK + advance(0) + LOOK + calls(SUCCESS, SUCCESS) + LOOK,
    "like_polly": breaker(window(TIME, alignment=2), minimum=2, waits=waits(jitter=2), rate=4,
                          compatibility=[1, 1, 0, 0, 1, 0, 0]) + FAIL2 + LOOK + advance(5)
    + calls(SUCCESS) + LOOK,
    "a_timer_and_a_table": breaker(waits=waits(table=1, half_open=1), rule=(SUCCESSES, 0, 1),
                                   compatibility=[1, 0, 0, 1, 0, 0, 0]) + FAIL2 + advance(7) + TICK
    + LOOK + advance(4) + calls(SUCCESS, FAILURE) + LOOK,
    "a_tumbling_window": breaker(window(TUMBLING, buckets=2), rule=(FAILURES, 0, 1),
                                 compatibility=[1, 2, 0, 0, 0, 0, 0]) + calls(FAILURE) + advance(4)
    + calls(FAILURE) + TICK + calls(FAILURE) + TICK + LOOK,
}


# ---- bulkhead_fuzz: Model of bulkhead_fuzz.cc

def leave(caller):  # gives the permit back
    return [0, caller]


def enqueue(caller):  # in the queue: gives up because its time is over
    return [1, caller]


def try_acquire(caller):  # in the queue: gives up
    return [2, caller]


expire, cancel = enqueue, try_acquire

BULKHEAD = {
    "first_come_first_served": [0, 3] + enqueue(0) + enqueue(1) + enqueue(2) + enqueue(3) + leave(0)
    + leave(1) + leave(2) + leave(3),
    "nobody_overtakes": [0, 1] + try_acquire(0) + enqueue(1) + try_acquire(2) + leave(0)
    + try_acquire(2) + leave(1) + try_acquire(2),
    "the_first_and_the_middle_give_up": [0, 3] + try_acquire(0) + enqueue(1) + enqueue(2)
    + enqueue(3) + cancel(2) + expire(1) + leave(0) + leave(3),
    "full": [1, 0] + try_acquire(0) + try_acquire(1) + try_acquire(2) + enqueue(3) + leave(1)
    + enqueue(3),
    "granted_is_too_late_to_cancel": [0, 1] + try_acquire(0) + enqueue(1) + leave(0) + [2, 1]
    + leave(1),
    "left_waiting": [0, 3] + try_acquire(0) + enqueue(1) + enqueue(2),
}


# ---- rate_limiter_fuzz: read_config() and run() of rate_limiter_fuzz.cc

BUCKET, GCRA, FIXED = range(3)


def limiter(algorithm, limit, period=0, patience=0, burst=0):  # period: 1 s, 7 ns, 1 us, prime, …
    return [algorithm, limit - 1, period, patience, *([] if algorithm == FIXED else [burst])]


def take(permits=1, waits=False, periods=0, divided_by=1):  # after periods / divided_by
    return [periods + 16 * permits + (128 if waits else 0), divided_by - 1]


RATE_LIMITER = {
    "burst_then_one_by_one": limiter(BUCKET, 2, burst=4) + take() * 5 + take(periods=1, divided_by=2)
    + take(),
    "gcra_spaces": limiter(GCRA, 3, burst=1) + take() * 2 + take(periods=1, divided_by=3) * 2,
    "waits_in_line": limiter(BUCKET, 1, patience=3) + take(waits=True) * 5 + take(periods=2)
    + take(waits=True),
    "a_window_refills_at_once": limiter(FIXED, 3, patience=1) + take(3) + take() + take(periods=1)
    + take(2) + take(3, waits=True) + take(periods=15),
    "no_permits_cost_nothing": limiter(GCRA, 1) + take(0) * 3 + take() + take(0) + take(),
    "more_than_ever_fits": limiter(BUCKET, 1) + take(3, waits=True) + take(2) + take(),
    "periods_that_do_not_divide": limiter(BUCKET, 7, period=3, patience=2, burst=2)
    + take(3, True, 1, 7) * 4 + take(3, False, 3, 16) * 3,
    "a_period_of_nanoseconds": limiter(GCRA, 7, period=1, patience=1) + take(1, True, 1, 7) * 8,
}


# ---- retry_fuzz: read_config() and run() of retry_fuzz.cc

CONSTANT, LINEAR, EXPONENTIAL = range(3)
TRANSIENT, THROTTLED, PERMANENT, RETRY_CANCELLED = range(4)
CLAMP, IGNORE, REPLACE = range(3)


def retry(attempts=4, kind=CONSTANT, initial=50, multiplier=16, at_most=None, jitter=0,
          idempotent=1, rule=CLAMP, hint_max=100, deadline=None):  # ms; multiplier - 1 in 16ths
    return [attempts - 1, kind, *([0] if initial is None else [1, initial]), multiplier,
            *([0] if at_most is None else [1, at_most]), jitter, 128, 0, 0, idempotent, rule,
            hint_max, *([0] if deadline is None else [1, deadline // 4])]


def failed(persistence=TRANSIENT, sent=1, hint=None, u=128, budget=0, then=1):
    return [persistence, sent, *([0] if hint is None else [1, hint + 8]), u, budget, then]


RETRY = {
    "attempts_run_out": retry(3) + failed() * 3,
    "exponential_up_to_its_cap": retry(8, EXPONENTIAL, at_most=200) + failed() * 8,
    "full_jitter": retry(8, EXPONENTIAL, jitter=1) + failed(u=0) + failed(u=255) * 3,
    "decorrelated_jitter": retry(8, LINEAR, jitter=3, at_most=255) + failed(u=0) + failed(u=255) * 5,
    "smooth_jitter": retry(8, EXPONENTIAL, jitter=5) + failed(u=1) * 6,
    "the_deadline_would_pass": retry(8, deadline=120) + failed() * 3,
    "not_idempotent_but_not_sent": retry(idempotent=0) + failed(sent=0) * 2 + failed(sent=1),
    "a_hint_is_clamped": retry(hint_max=100) + failed(THROTTLED, hint=80) + failed(hint=240),
    "a_hint_replaces": retry(kind=EXPONENTIAL, rule=REPLACE) + failed(hint=5) + failed(hint=-8)
    + failed(),
    "no_budget": retry() + failed() + failed(budget=1),
    "permanent": retry() + failed() + failed(PERMANENT),
    "cancelled": retry() + failed(RETRY_CANCELLED),
    "a_delay_without_end": retry(8, EXPONENTIAL, initial=None, multiplier=255) + failed() * 4,
}


CORPUS = {
    "circuit_breaker_fuzz": BREAKER,
    "bulkhead_fuzz": BULKHEAD,
    "rate_limiter_fuzz": RATE_LIMITER,
    "retry_fuzz": RETRY,
}


def main(arguments):
    differing = []
    for target, stories in CORPUS.items():
        for story, script in stories.items():
            path = HERE / target / story
            if "--check" not in arguments:
                path.parent.mkdir(exist_ok=True)
                path.write_bytes(bytes(script))
            elif not path.is_file() or path.read_bytes() != bytes(script):
                differing.append(f"{path}: not what make.py writes")
    print("\n".join(differing), end="\n" if differing else "")
    return 1 if differing else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
