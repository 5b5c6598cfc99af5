// The breaker's rules and their boundaries, one by one. The whole transition table is in
// circuit_breaker_table_test.cc; what random sequences of calls do in
// circuit_breaker_property_test.cc.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include <recover/circuit_breaker_machine.h>

#include "test/breaker_states.h"

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

// ---- waits

TEST(StateMachineWait, BoundaryIsInclusiveOrOneTickLater) {
  for (const Boundary boundary : {Boundary::Inclusive, Boundary::Exclusive}) {
    CircuitBreakerConfig config = table_config();
    config.boundary = boundary;
    StateMachine machine = machine_in(State::Open, config);
    const Instant over = kStart + 60s + (boundary == Boundary::Inclusive ? 0ns : 1ns);
    EXPECT_EQ(machine.retry_at(), over);
    EXPECT_EQ(machine.try_acquire(over - 1ns).retry_after, 1ns);
    EXPECT_TRUE(machine.try_acquire(over).permitted);
    EXPECT_EQ(machine.state(), State::HalfOpen);
  }
}

TEST(StateMachineWait, RetryAfterSaysWhenItPays) {
  StateMachine machine = machine_in(State::Open, table_config());
  EXPECT_EQ(machine.try_acquire(kStart + 20s).retry_after, 40s);
  EXPECT_EQ(machine.snapshot(kStart + 20s).open_remaining, 40s);
  machine.transition_to(State::ForcedOpen, kStart + 20s);
  EXPECT_EQ(machine.try_acquire(kStart + 20s).retry_after, std::nullopt);
  machine.transition_to(State::HalfOpen, kStart + 20s);  // Another wait, but half-open ends first.
  machine.try_acquire(kStart + 20s);
  machine.try_acquire(kStart + 20s);
  EXPECT_EQ(machine.try_acquire(kStart + 21s).retry_after, 29s);
}

TEST(StateMachineWait, ALostProbeNeverWedges) {
  for (const State then : {State::Open, State::Closed}) {
    CircuitBreakerConfig config = table_config();
    config.half_open_max_wait_then = then;
    StateMachine machine(config, kStart);
    machine.transition_to(State::HalfOpen, kStart);
    machine.try_acquire(kStart);
    machine.try_acquire(kStart);  // Neither is ever heard of again.
    EXPECT_EQ(machine.next_timer(), kStart + 30s);
    EXPECT_FALSE(machine.fire_due_timer(kStart + 30s - 1ns).has_value());
    const std::optional<Event> event = machine.fire_due_timer(kStart + 45s);
    ASSERT_TRUE(event.has_value());
    EXPECT_EQ(event->to, then);
    EXPECT_EQ(event->cause, Cause::HalfOpenTimedOut);
    EXPECT_EQ(event->at, kStart + 30s) << "as of the instant it was due";
    EXPECT_FALSE(machine.fire_due_timer(kStart + 45s).has_value());
    EXPECT_TRUE(machine.try_acquire(kStart + 90s).permitted);
  }
}

TEST(StateMachineWait, HalfOpenWithoutALimitWaitsForEver) {
  CircuitBreakerConfig config = table_config();
  config.half_open_max_wait = 0s;
  StateMachine machine = machine_in(State::HalfOpen, config);
  EXPECT_EQ(machine.next_timer(), kNever);
  EXPECT_FALSE(machine.fire_due_timer(kStart + 10000h).has_value());
}

TEST(StateMachineWait, ATimerMayFireLaterThanItWasDue) {
  CircuitBreakerConfig config = table_config();
  config.open_transition = OpenTransition::Timer;
  StateMachine machine = machine_in(State::Open, config);
  const Instant now = kStart + 1h;
  EXPECT_EQ(machine.fire_due_timer(now, now)->at, now);
  EXPECT_FALSE(machine.fire_due_timer(now, now).has_value());
}

// The waits of `opens` openings in a row, half-opening and failing in between.
std::vector<Duration> waits_of(StateMachine& machine, Instant& now, int opens) {
  std::vector<Duration> waits;
  for (int i = 0; i < opens; ++i) {
    const Events events = machine.transition_to(State::Open, now);
    waits.push_back(events.begin()->open_wait);
    now += events.begin()->open_wait;
    EXPECT_TRUE(machine.try_acquire(now).permitted);
  }
  return waits;
}

TEST(StateMachineWait, GrowsExponentiallyAndResetsOnClose) {
  CircuitBreakerConfig config = table_config();
  config.wait_in_open = {.initial = 1s, .multiplier = 2.0, .max = 5s};
  StateMachine machine(config, kStart);
  Instant now = kStart;
  using Waits = std::vector<Duration>;
  EXPECT_EQ(waits_of(machine, now, 5), (Waits{1s, 2s, 4s, 5s, 5s}));
  machine.transition_to(State::Closed, now);
  EXPECT_EQ(waits_of(machine, now, 2), (Waits{1s, 2s}));
  machine.reset(now);
  EXPECT_EQ(waits_of(machine, now, 2), (Waits{1s, 2s}));
  // Once, by hand, and not counted as an opening.
  EXPECT_EQ(machine.transition_to(State::Open, now, 7s).begin()->open_wait, 7s);
  EXPECT_FALSE(machine.try_acquire(now + 7s - 1ns).permitted);
  EXPECT_TRUE(machine.try_acquire(now + 7s).permitted);
  EXPECT_EQ(machine.transition_to(State::Open, now + 7s).begin()->open_wait, 4s);
}

TEST(StateMachineWait, JitterSpreadsBothWaysAndStaysInBounds) {
  CircuitBreakerConfig config = table_config();
  config.wait_in_open = {.initial = 100s, .jitter = 0.2};
  config.seed = 7;
  StateMachine machine(config, kStart);
  Instant now = kStart;
  const std::vector<Duration> waits = waits_of(machine, now, 1000);
  const auto [least, most] = std::minmax_element(waits.begin(), waits.end());
  EXPECT_GE(*least, 80s);
  EXPECT_LT(*least, 81s);
  EXPECT_GT(*most, 119s);
  EXPECT_LT(*most, 120s);
  StateMachine again(config, kStart);
  now = kStart;
  EXPECT_EQ(waits_of(again, now, 1000), waits) << "the seed decides";
}

TEST(StateMachineWait, TableGoesByHalfOpensAndRepeatsItsEnd) {
  CircuitBreakerConfig config = table_config();
  config.wait_in_open.table = {3s, 1s, 2s};
  StateMachine machine(config, kStart);
  Instant now = kStart;
  using Waits = std::vector<Duration>;
  EXPECT_EQ(waits_of(machine, now, 5), (Waits{3s, 1s, 2s, 2s, 2s}));
  machine.reset(now);
  EXPECT_EQ(waits_of(machine, now, 1), (Waits{3s}));
}

TEST(StateMachineWait, ExtremesNeitherOverflowNorTurnNegative) {
  CircuitBreakerConfig config = table_config();
  config.boundary = Boundary::Exclusive;
  config.wait_in_open = {.initial = 0s, .multiplier = 1e6, .max = Duration::max(), .jitter = 1.0};
  StateMachine machine(config, kStart);
  for (int i = 0; i < 200; ++i) {
    EXPECT_EQ(machine.transition_to(State::HalfOpen, kStart).size(), 1U);
    EXPECT_EQ(machine.transition_to(State::Open, kStart).begin()->open_wait, 0s);
  }
  machine.transition_to(State::HalfOpen, kStart);
  machine.transition_to(State::Open, kStart, Duration::max());
  EXPECT_EQ(machine.retry_at(), kNever);
  EXPECT_FALSE(machine.try_acquire(kStart + 100000h).permitted);
  machine.transition_to(State::HalfOpen, kStart);
  EXPECT_EQ(machine.transition_to(State::Open, kStart, -1s).begin()->open_wait, 0s);
  config.wait_in_open.initial = Duration::max();
  StateMachine endless(config, kStart);
  EXPECT_GT(endless.transition_to(State::Open, kStart).begin()->open_wait, Duration::zero());
}

// ---- thresholds

// Records `failures` failures and then successes up to `total`; the cause of the opening, if any.
std::optional<Cause> cause_after(const CircuitBreakerConfig& config, unsigned failures,
                                 unsigned total) {
  StateMachine machine(config, kStart);
  for (unsigned i = 0; i < total; ++i) {
    const Outcome outcome = i < failures ? Outcome::Failure : Outcome::Success;
    const Recorded recorded = machine.record(machine.generation(), outcome, 0s, kStart);
    if (recorded.events.size() > 0) return recorded.events.begin()->cause;
  }
  return std::nullopt;
}

TEST(StateMachineThreshold, ComparesExactly) {
  struct Case {
    double threshold;
    unsigned failures, total;
    bool opens;
  };
  const Case cases[] = {{50, 1, 2, true},
                        {50, 49, 99, false},
                        {33.3333, 1, 3, true},
                        {33.3334, 1, 3, false},
                        {66.6666, 2, 3, true},
                        {66.6667, 2, 3, false},
                        {100, 8191, 8191, true},
                        {100, 8190, 8191, false},
                        {99.9877, 8190, 8191, true},  // 8190/8191 is 99.98779…
                        {99.9878, 8190, 8191, false},
                        {0.0122, 1, 8191, true},
                        {0.0123, 1, 8191, false},
                        {0.0001, 1, 8191, true}};
  for (const Case& c : cases) {
    const CircuitBreakerConfig config{.sliding_window = {.size = c.total},
                                      .minimum_calls = c.total,
                                      .failure_rate_threshold = c.threshold};
    EXPECT_EQ(cause_after(config, c.failures, c.total).has_value(), c.opens)
        << c.failures << " of " << c.total << " at " << c.threshold;
  }
}

TEST(StateMachineThreshold, MinimumCallsIsCappedByACountWindowOnly) {
  CircuitBreakerConfig config{.sliding_window = {.size = 3}, .minimum_calls = 10};
  EXPECT_EQ(required_calls(config), 3U);
  EXPECT_EQ(cause_after(config, 2, 2), std::nullopt);
  EXPECT_EQ(cause_after(config, 3, 3), Cause::FailureRate);
  config.sliding_window.kind = WindowKind::Time;
  EXPECT_EQ(required_calls(config), 10U);
  EXPECT_EQ(cause_after(config, 9, 9), std::nullopt);
  EXPECT_EQ(cause_after(config, 10, 10), Cause::FailureRate);
  config.minimum_calls = 0;
  EXPECT_EQ(required_calls(config), 1U);
}

TEST(StateMachineThreshold, CountsAndStreaks) {
  CircuitBreakerConfig config{.minimum_calls = 1, .failure_count_threshold = 3};
  EXPECT_EQ(cause_after(config, 2, 2), std::nullopt);
  EXPECT_EQ(cause_after(config, 3, 3), Cause::FailureCount);
  config.failure_count_threshold = 0;
  config.consecutive_failures_threshold = 3;
  EXPECT_EQ(cause_after(config, 2, 50), std::nullopt);
  EXPECT_EQ(cause_after(config, 3, 3), Cause::ConsecutiveFailures);
  StateMachine machine(config, kStart);
  for (const Outcome outcome : {Outcome::Failure, Outcome::Failure, Outcome::Success,
                                Outcome::Failure, Outcome::Ignored, Outcome::Failure}) {
    EXPECT_EQ(machine.record(1, outcome, 0s, kStart).events.size(), 0U);
  }
  EXPECT_EQ(machine.tally().consecutive_failures, 2U);
  EXPECT_EQ(machine.record(1, Outcome::Failure, 0s, kStart).events.begin()->cause,
            Cause::ConsecutiveFailures);
}

TEST(StateMachineThreshold, SlowMeansStrictlyLonger) {
  CircuitBreakerConfig config = table_config();
  config.slow_call_duration_threshold = 1s;
  StateMachine machine(config, kStart);
  machine.record(1, Outcome::Success, 1s, kStart);
  EXPECT_EQ(machine.snapshot(kStart).counts.slow, 0U);
  machine.record(1, Outcome::Success, 1s + 1ns, kStart);
  EXPECT_EQ(machine.snapshot(kStart).slow_call_rate(), 50.0);
  EXPECT_EQ(machine.record(1, Outcome::Success, 2s, kStart).events.begin()->cause,
            Cause::SlowCallRate);
}

TEST(StateMachineThreshold, EvaluateOnFailureLooksAtFailuresOnly) {
  CircuitBreakerConfig config{.minimum_calls = 3, .evaluate_on = EvaluateOn::Failure};
  EXPECT_EQ(cause_after(config, 2, 5), std::nullopt) << "2 of 3 failed, but the last succeeded";
  config.minimum_calls = 2;
  EXPECT_EQ(cause_after(config, 2, 5), Cause::FailureRate);
}

TEST(StateMachineThreshold, MetricsOnlyAnnouncesEachThresholdOncePerStay) {
  CircuitBreakerConfig config = table_config();
  config.slow_call_duration_threshold = 1s;
  StateMachine machine(config, kStart);
  for (int stay = 0; stay < 2; ++stay) {
    machine.transition_to(State::MetricsOnly, kStart);
    const auto record = [&] {
      return text_of(machine.record(machine.generation(), Outcome::Failure, 2s, kStart).events);
    };
    EXPECT_EQ(record(), "");
    EXPECT_EQ(record(), " !failure_rate !slow_call_rate");
    EXPECT_EQ(record(), "");
    EXPECT_EQ(machine.state(), State::MetricsOnly);
  }
}

// ---- windows and generations

TEST(StateMachineWindow, ATumblingPeriodIsAGeneration) {
  CircuitBreakerConfig config{.sliding_window = {.kind = WindowKind::Tumbling, .duration = 10s},
                              .minimum_calls = 2};
  StateMachine machine(config, kStart);
  const std::uint64_t first = machine.try_acquire(kStart).generation;
  EXPECT_EQ(machine.try_acquire(kStart + 10s - 1ns).generation, first);
  machine.record(first, Outcome::Failure, 0s, kStart + 5s);
  EXPECT_EQ(machine.try_acquire(kStart + 10s).generation, first + 1);
  EXPECT_TRUE(machine.record(first, Outcome::Failure, 0s, kStart + 10s).late);
  EXPECT_EQ(machine.snapshot(kStart + 10s).counts.total, 0U);
  EXPECT_EQ(machine.state(), State::Closed);
  config.boundary = Boundary::Exclusive;
  StateMachine exclusive(config, kStart);
  EXPECT_EQ(exclusive.try_acquire(kStart + 10s).generation, 1U);
  EXPECT_EQ(exclusive.try_acquire(kStart + 10s + 1ns).generation, 2U);
}

TEST(StateMachineWindow, EventAlignedBucketsOpenAtTheFirstTouch) {
  CircuitBreakerConfig config{.sliding_window = {.kind = WindowKind::Time,
                                                 .duration = 10s,
                                                 .bucket = 5s,
                                                 .alignment = Alignment::Event},
                              .minimum_calls = 100};
  StateMachine machine(config, kStart);
  const auto total_at = [&](Duration after) {
    return machine.snapshot(kStart + after).counts.total;
  };
  machine.record(1, Outcome::Failure, 0s, kStart + 3s);  // The bucket [3, 8).
  machine.record(1, Outcome::Failure, 0s, kStart + 8s - 1ns);
  EXPECT_EQ(total_at(8s), 2U);  // Reading opens the bucket [8, 13).
  machine.record(1, Outcome::Failure, 0s, kStart + 12s);
  EXPECT_EQ(total_at(13s - 1ns), 3U);
  EXPECT_EQ(total_at(13s), 1U);
  EXPECT_EQ(total_at(18s), 0U);
}

TEST(StateMachineWindow, LateOutcomesMayBeAppliedToTheCurrentState) {
  CircuitBreakerConfig config = table_config();
  config.late_outcomes = LateOutcomes::CurrentState;
  StateMachine machine = machine_in(State::HalfOpen, config);
  const Recorded recorded = machine.record(1, Outcome::Failure, 0s, kStart);
  EXPECT_TRUE(recorded.late);
  EXPECT_EQ(text_of(recorded.events), " -> open: probes_failed");
  EXPECT_EQ(machine.record(1, Outcome::Success, 0s, kStart).events.size(), 0U);
  EXPECT_EQ(machine.snapshot(kStart).counts.total, 3U) << "on show while open";
}

TEST(StateMachineWindow, WhatAWrapperCounted) {
  StateMachine machine(table_config(), kStart);
  EXPECT_EQ(text_of(machine.trip(Cause::SlowCallRate, kStart)), " -> open: slow_call_rate");
  machine.hold({.total = 4, .failed = 1, .slow = 3});
  EXPECT_EQ(machine.snapshot(kStart).failure_rate(), 25.0);
  machine.transition_to(State::Open, kStart);  // By hand, once more: the same counts are on show.
  EXPECT_EQ(machine.snapshot(kStart).slow_call_rate(), 75.0);
}

TEST(StateMachineDeathTest, ChecksWhatItRequires) {
  EXPECT_DEATH(StateMachine({.sliding_window = {.size = 0}}, kStart), "CHECK failed: [a-z_]+\\.");
  const SlidingWindow no_bucket{.kind = WindowKind::Time, .bucket = 0s};
  EXPECT_DEATH(StateMachine({.sliding_window = no_bucket}, kStart), "CHECK failed: [a-z_]+\\.");
  StateMachine machine(table_config(), kStart);
  EXPECT_DEATH(machine.hold({}), "Open");
  machine.transition_to(State::Open, kStart);
  EXPECT_DEATH(machine.trip(Cause::FailureRate, kStart), "Closed");
}

}  // namespace
}  // namespace recover::circuitbreaker
