// What the thread-safe breaker adds to the state machine: permits, clocks, events, metrics,
// execute(). Its rules are tested in circuit_breaker_machine_test.cc, that it keeps them in
// circuit_breaker_property_test.cc.
#include <gtest/gtest.h>

#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <recover/circuit_breaker.h>

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{1000s};

// Two calls are enough, half of them failed are too many; open and half-open for 60 s.
CircuitBreakerConfig small_config() {
  return {.sliding_window = {.size = 2}, .minimum_calls = 2, .permitted_calls_in_half_open = 2};
}

// Counts how often it is read.
class CountingClock final : public Clock {
 public:
  Instant now() noexcept override {
    ++readings;
    return time;
  }
  bool wait_until(Instant, const std::stop_token&) override { return true; }

  Instant time = kStart;
  int readings = 0;
};

class CircuitBreakerTest : public testing::Test {
 protected:
  static void fail(CircuitBreaker& breaker, int calls) {
    for (int i = 0; i < calls; ++i) breaker.try_acquire()->failure();
  }

  ManualClock clock_{kStart};
};

TEST_F(CircuitBreakerTest, OpensRefusesProbesAndCloses) {
  CircuitBreaker breaker(small_config(), clock_);
  std::vector<Event> events;
  breaker.on_event([&](const Event& event) { events.push_back(event); });
  fail(breaker, 2);
  EXPECT_EQ(breaker.state(), State::Open);
  clock_.advance(20s);
  const Result<Permit, Rejection> refused = breaker.try_acquire();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error(),
            (Rejection{.kind = ErrorKind::CallNotPermitted, .retry_after = Duration{40s}}));
  clock_.advance(40s);
  Result<Permit, Rejection> probe = breaker.try_acquire();
  ASSERT_TRUE(probe.has_value());
  EXPECT_TRUE(probe->is_probe());
  probe->success();
  EXPECT_EQ(breaker.state(), State::HalfOpen);
  breaker.try_acquire()->success();
  EXPECT_EQ(breaker.state(), State::Closed);
  ASSERT_EQ(events.size(), 3U);
  EXPECT_EQ(events[0], (Event{.to = State::Open,
                              .cause = Cause::FailureRate,
                              .generation = 2,
                              .at = kStart,
                              .open_wait = 60s}));
  EXPECT_EQ(events[1], (Event{.from = State::Open,
                              .to = State::HalfOpen,
                              .cause = Cause::WaitElapsed,
                              .generation = 3,
                              .at = kStart + 60s}));
  EXPECT_EQ(events[2], (Event{.from = State::HalfOpen,
                              .to = State::Closed,
                              .cause = Cause::ProbesSucceeded,
                              .generation = 4,
                              .at = kStart + 60s}));
}

// ---- permits

TEST_F(CircuitBreakerTest, ADroppedPermitIsARelease) {
  CircuitBreaker breaker(small_config(), clock_);
  breaker.transition_to(State::HalfOpen);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(breaker.try_acquire().has_value());
  EXPECT_EQ(breaker.metrics().released, 5U);
  const Result<Permit, Rejection> first = breaker.try_acquire();
  const Result<Permit, Rejection> second = breaker.try_acquire();
  EXPECT_FALSE(breaker.try_acquire().has_value());
}

TEST_F(CircuitBreakerTest, AMovedPermitEndsOnce) {
  CircuitBreaker breaker(small_config(), clock_);
  {
    Result<Permit, Rejection> permit = breaker.try_acquire();
    Permit moved = std::move(*permit);
    moved.failure();
  }
  EXPECT_EQ(breaker.metrics().failed, 1U);
  EXPECT_EQ(breaker.metrics().released, 0U);
}

// The permit that is assigned to gives its own place back, not that of the new one.
TEST_F(CircuitBreakerTest, AssigningReleasesTheOldPermit) {
  CircuitBreaker probed(small_config(), clock_);
  CircuitBreaker closed(small_config(), clock_);
  probed.transition_to(State::HalfOpen);
  Result<Permit, Rejection> permit = probed.try_acquire();
  const Result<Permit, Rejection> other = probed.try_acquire();
  EXPECT_FALSE(probed.try_acquire().has_value());
  *permit = std::move(*closed.try_acquire());
  EXPECT_EQ(probed.metrics().released, 1U);
  EXPECT_TRUE(probed.try_acquire().has_value()) << "the probe is available again";
  permit->success();
  EXPECT_EQ(closed.metrics().successful, 1U);
}

TEST_F(CircuitBreakerTest, LateOutcomesAreCountedApart) {
  CircuitBreaker breaker(small_config(), clock_);
  Result<Permit, Rejection> failing = breaker.try_acquire();
  Result<Permit, Rejection> ignored = breaker.try_acquire();
  breaker.reset();
  failing->failure();
  ignored->record(Outcome::Ignored);
  EXPECT_EQ(breaker.metrics().late, 2U);
  EXPECT_EQ(breaker.metrics().failed, 0U);
  EXPECT_EQ(breaker.snapshot().counts, Counts{});
}

TEST_F(CircuitBreakerTest, IgnoredAndCancelledLeaveTheWindowAlone) {
  CircuitBreaker breaker(small_config(), clock_);
  breaker.try_acquire()->record(Outcome::Ignored);
  breaker.try_acquire()->record(Outcome::Cancelled);
  breaker.try_acquire()->failure();
  EXPECT_EQ(breaker.state(), State::Closed);
  const CircuitBreakerMetrics metrics = breaker.metrics();
  EXPECT_EQ(metrics.ignored, 1U);
  EXPECT_EQ(metrics.cancelled, 1U);
  EXPECT_EQ(breaker.snapshot().counts.total, 1U);
}

TEST_F(CircuitBreakerTest, DisabledPassesAndCountsTotalsOnly) {
  CircuitBreaker breaker(small_config(), clock_);
  breaker.transition_to(State::Disabled);
  fail(breaker, 10);
  EXPECT_EQ(breaker.state(), State::Disabled);
  EXPECT_EQ(breaker.metrics().failed, 10U);
  EXPECT_EQ(breaker.snapshot().counts, Counts{});
}

TEST_F(CircuitBreakerTest, ForcedOpenGivesNoHope) {
  CircuitBreaker breaker(small_config(), clock_);
  breaker.transition_to(State::ForcedOpen);
  clock_.advance(1000h);
  const Result<Permit, Rejection> refused = breaker.try_acquire();
  ASSERT_FALSE(refused.has_value());
  EXPECT_FALSE(refused.error().retry_after.has_value());
}

TEST_F(CircuitBreakerTest, MetricsOnlyAnnouncesOnce) {
  CircuitBreaker breaker(small_config(), clock_);
  breaker.transition_to(State::MetricsOnly);
  int announced = 0;
  breaker.on_event([&](const Event& event) {
    announced += event.kind == Event::Kind::FailureRateExceeded ? 1 : 0;
  });
  fail(breaker, 10);
  EXPECT_EQ(announced, 1);
  EXPECT_EQ(breaker.state(), State::MetricsOnly);
}

// ---- snapshots

TEST_F(CircuitBreakerTest, ASnapshotCountsRefusalsSinceTheStateWasEntered) {
  CircuitBreaker breaker(small_config(), clock_);
  for (int round = 0; round < 2; ++round) {
    breaker.transition_to(State::Open);
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(breaker.try_acquire().has_value());
    EXPECT_EQ(breaker.snapshot().not_permitted, 3U);
    breaker.reset();
    EXPECT_EQ(breaker.snapshot().not_permitted, 0U);
  }
  EXPECT_EQ(breaker.metrics().not_permitted, 6U);
}

TEST_F(CircuitBreakerTest, AnOpenBreakerShowsWhatOpenedIt) {
  for (const WindowKind kind : {WindowKind::Count, WindowKind::Time}) {
    CircuitBreakerConfig config = small_config();
    config.sliding_window.kind = kind;
    CircuitBreaker breaker(config, clock_);
    breaker.try_acquire()->success();
    breaker.try_acquire()->failure();
    const Snapshot snapshot = breaker.snapshot();
    EXPECT_EQ(snapshot.state, State::Open);
    EXPECT_EQ(snapshot.failure_rate(), 50.0);
    EXPECT_EQ(snapshot.open_remaining, 60s);
  }
}

// ---- time

TEST(CircuitBreakerClock, IsReadOnceForACallWithoutSlowCallDetection) {
  CountingClock clock;
  CircuitBreakerConfig config = small_config();
  config.slow_call_duration_threshold = 0s;
  CircuitBreaker breaker(config, clock);
  clock.readings = 0;
  breaker.try_acquire()->success();
  EXPECT_EQ(clock.readings, 1);
  breaker.try_acquire(clock.time)->success();
  EXPECT_EQ(clock.readings, 1);
}

// Even then the open wait begins when the failure is known, not when the call began.
TEST(CircuitBreakerClock, TheWaitBeginsWhenTheFailureIsKnown) {
  CountingClock clock;
  CircuitBreakerConfig config = small_config();
  config.slow_call_duration_threshold = 0s;
  CircuitBreaker breaker(config, clock);
  breaker.try_acquire()->success();
  Result<Permit, Rejection> hanging = breaker.try_acquire();
  clock.time += 90s;
  hanging->failure();
  ASSERT_EQ(breaker.state(), State::Open);
  EXPECT_EQ(breaker.snapshot().entered_at, kStart + 90s);
  EXPECT_EQ(breaker.try_acquire().error().retry_after, MaybeDuration(60s));
}

TEST_F(CircuitBreakerTest, ElapsedTimeIsMeasuredByTheClock) {
  CircuitBreakerConfig config = small_config();
  config.slow_call_duration_threshold = 1s;
  CircuitBreaker breaker(config, clock_);
  for (const Duration elapsed : {Duration{1s}, Duration{1s + 1ns}}) {
    Result<Permit, Rejection> permit = breaker.try_acquire();
    clock_.advance(elapsed);
    permit->success();
  }
  EXPECT_EQ(breaker.metrics().slow, 1U);
  EXPECT_EQ(breaker.state(), State::Closed);
}

TEST_F(CircuitBreakerTest, EntryBucketsBeginWhenTheStateBegan) {
  CircuitBreakerConfig config = small_config();
  config.sliding_window = {
      .kind = WindowKind::Time, .duration = 2s, .bucket = 1s, .alignment = Alignment::StateEntry};
  config.minimum_calls = 10;
  config.half_open_max_wait = 10s;
  config.half_open_max_wait_then = State::Closed;
  CircuitBreaker breaker(config, clock_);
  breaker.transition_to(State::HalfOpen);
  clock_.advance(10s + 900ms);
  breaker.tick();  // Closed since 900 ms.
  fail(breaker, 1);
  clock_.advance(1s);
  EXPECT_EQ(breaker.snapshot().counts.failed, 1U);
  clock_.advance(100ms);
  EXPECT_EQ(breaker.snapshot().counts.failed, 0U);
}

// Without a call for long, a breaker that moves by timers owes many transitions: it makes some as
// of when they were due, then it is up to date, however short the stays are.
TEST_F(CircuitBreakerTest, TimersThatFellBehindCatchUp) {
  CircuitBreakerConfig config = small_config();
  config.open_transition = OpenTransition::Timer;
  config.wait_in_open.initial = 1ms;
  config.half_open_max_wait = 1ms;
  CircuitBreaker breaker(config, clock_);
  int transitions = 0;
  Instant latest = kStart;
  breaker.on_event([&](const Event& event) {
    ++transitions;
    EXPECT_GE(event.at, latest);
    latest = event.at;
  });
  breaker.transition_to(State::Open);
  clock_.advance(1h);
  breaker.tick();
  EXPECT_LE(transitions, 9);
  EXPECT_GT(breaker.next_timer(), clock_.now());
  for (int i = 0; i < 3; ++i) {
    clock_.advance_to(breaker.next_timer());
    Result<Permit, Rejection> permit = breaker.try_acquire();
    if (permit.has_value()) permit->success();
  }
  EXPECT_EQ(breaker.metrics().late, 0U) << "no probe is lost to a timer that was overdue";
}

TEST_F(CircuitBreakerTest, JitterDiffersBetweenBreakersUnlessSeeded) {
  CircuitBreakerConfig config = small_config();
  config.wait_in_open.jitter = 0.5;
  const auto wait = [&](std::optional<std::uint64_t> seed) {
    config.seed = seed;
    CircuitBreaker breaker(config, clock_);
    breaker.transition_to(State::Open);
    return *breaker.snapshot().open_remaining;
  };
  EXPECT_NE(wait({}), wait({}));
  EXPECT_EQ(wait(0), wait(0));
  EXPECT_EQ(wait(1), wait(1));
}

// ---- what a reader gets

TEST_F(CircuitBreakerTest, TallyCountsWhereCallsPassThroughTheMutex) {
  const auto tally_after_a_call = [&](const CircuitBreakerConfig& config, State in) {
    CircuitBreaker breaker(config, clock_);
    if (in == State::HalfOpen) breaker.transition_to(State::HalfOpen);
    breaker.try_acquire()->failure();
    EXPECT_EQ(breaker.metrics().failed, 1U);
    return breaker.tally();
  };
  CircuitBreakerConfig config = small_config();
  config.half_open_rule = {.n = 2};
  config.permitted_calls_in_half_open = 2;
  EXPECT_EQ(tally_after_a_call(config, State::Closed).requests, 0U);
  EXPECT_EQ(tally_after_a_call(config, State::Closed).failures, 0U);
  EXPECT_EQ(tally_after_a_call(config, State::HalfOpen).requests, 1U);
  EXPECT_EQ(tally_after_a_call(config, State::HalfOpen).failures, 1U);
  config.open_transition = OpenTransition::OnAccess;
  EXPECT_EQ(tally_after_a_call(config, State::Closed).failures, 1U);
}

// ---- events

TEST_F(CircuitBreakerTest, AListenerMayCallTheBreaker) {
  CircuitBreaker breaker(small_config(), clock_);
  std::vector<State> seen;
  breaker.on_event([&](const Event& event) {
    seen.push_back(breaker.state());
    if (event.to == State::Open) breaker.transition_to(State::Disabled);
  });
  fail(breaker, 2);
  EXPECT_EQ(seen, (std::vector{State::Open, State::Disabled}));
}

TEST_F(CircuitBreakerTest, ResetIsATransitionAndAnEventOfItsOwn) {
  CircuitBreaker breaker(small_config(), clock_);
  breaker.transition_to(State::ForcedOpen);
  std::vector<Event::Kind> kinds;
  breaker.on_event([&](const Event& event) { kinds.push_back(event.kind); });
  breaker.reset();
  EXPECT_EQ(kinds, (std::vector{Event::Kind::StateTransition, Event::Kind::Reset}));
  EXPECT_EQ(breaker.state(), State::Closed);
}

// ---- execute

TEST_F(CircuitBreakerTest, ExecuteReturnsWhatTheOperationDoes) {
  CircuitBreaker breaker(small_config(), clock_);
  EXPECT_EQ(*breaker.execute([] { return 7; }), 7);
  const auto failed = breaker.execute(
      []() -> int { throw std::system_error(std::make_error_code(std::errc::timed_out)); });
  EXPECT_EQ(failed.error().kind(), ErrorKind::OperationFailed);
  EXPECT_EQ(breaker.state(), State::Open);
  bool called = false;
  const auto refused = breaker.execute([&] { called = true; });
  EXPECT_FALSE(called);
  EXPECT_EQ(refused.error().kind(), ErrorKind::CallNotPermitted);
  EXPECT_EQ(refused.error().retry_after(), 60s);
}

TEST_F(CircuitBreakerTest, ExecuteKnowsCancellationFromFailure) {
  CircuitBreaker breaker(small_config(), clock_);
  for (int i = 0; i < 5; ++i) {
    EXPECT_FALSE(breaker.execute([]() -> Result<int> { return Unexpected(Error::cancelled()); })
                     .has_value());
  }
  EXPECT_EQ(breaker.metrics().cancelled, 5U);
  EXPECT_EQ(breaker.state(), State::Closed);
}

TEST_F(CircuitBreakerTest, PredicatesDecideWhatAFailureMeans) {
  CircuitBreakerConfig config = small_config();
  config.ignore_failure = [](const Classification& failure) {
    return failure.error_class == ErrorClass::Permission;
  };
  config.record_failure = [](const Classification& failure) {
    return failure.error_class == ErrorClass::Connection;
  };
  CircuitBreaker breaker(config, clock_);
  const auto fail_with = [&](std::errc code) {
    return breaker.execute([code]() -> Result<void, std::error_code> {
      return Unexpected(std::make_error_code(code));
    });
  };
  EXPECT_FALSE(fail_with(std::errc::permission_denied).has_value());
  EXPECT_FALSE(fail_with(std::errc::no_space_on_device).has_value());
  EXPECT_FALSE(fail_with(std::errc::connection_refused).has_value());
  const CircuitBreakerMetrics metrics = breaker.metrics();
  EXPECT_EQ(metrics.ignored, 1U);
  EXPECT_EQ(metrics.successful, 1U) << "neither ignored nor recorded";
  EXPECT_EQ(metrics.failed, 1U);
}

TEST_F(CircuitBreakerTest, APredicateThatThrowsGivesThePermitBack) {
  CircuitBreakerConfig config = small_config();
  config.ignore_failure = [](const Classification&) -> bool { throw std::runtime_error("mine"); };
  CircuitBreaker breaker(config, clock_);
  const auto fail = [] { throw std::runtime_error("theirs"); };
  EXPECT_THROW(static_cast<void>(breaker.execute(fail)), std::runtime_error);
  EXPECT_EQ(breaker.metrics().released, 1U);
}

using CircuitBreakerDeathTest = CircuitBreakerTest;

TEST_F(CircuitBreakerDeathTest, APermitIsUsedOnce) {
  CircuitBreaker breaker(small_config(), clock_);
  Result<Permit, Rejection> permit = breaker.try_acquire();
  permit->success();
  EXPECT_DEATH(permit->success(), "breaker_ != nullptr");
  EXPECT_DEATH(permit->release(), "breaker_ != nullptr");
  EXPECT_DEATH(static_cast<void>(CircuitBreaker({.half_open_max_wait = -1s})),
               "CHECK failed: [a-z_]+\\.");
}

TEST(CircuitBreakerExtremes, AConstantWaitIsNotCapped) {
  ManualClock clock;
  CircuitBreaker breaker({.wait_in_open = {.initial = 15min}}, clock);
  breaker.transition_to(State::Open);
  EXPECT_EQ(*breaker.try_acquire().error().retry_after, 15min);
}

// A period that never ends is none.
TEST(CircuitBreakerExtremes, ATumblingPeriodMayLastForEver) {
  ManualClock clock(Instant{1h});
  CircuitBreaker breaker(
      {.sliding_window = {.kind = WindowKind::Tumbling, .duration = Duration::max()},
       .minimum_calls = 2},
      clock);
  for (int i = 0; i < 2; ++i) breaker.try_acquire()->failure();
  EXPECT_EQ(breaker.state(), State::Open);
}

// Within a window's length of the end of time a bucket's end does not fit: it never ends.
TEST(CircuitBreakerExtremes, RecordsUntilTheEndOfTime) {
  ManualClock clock(Instant::max() - 500ms);
  CircuitBreaker breaker(
      {.sliding_window = {.kind = WindowKind::Time, .duration = 5s}, .minimum_calls = 2}, clock);
  for (int i = 0; i < 2; ++i) breaker.try_acquire()->failure();
  EXPECT_EQ(breaker.state(), State::Open);
}

}  // namespace
}  // namespace recover::circuitbreaker
