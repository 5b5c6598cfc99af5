#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <vector>

#include <recover/time_limiter.h>

#include "test/allocations.h"
#include "test/on_threads.h"

namespace recover::timelimiter {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Instant at(int ms) {
  return Instant{milliseconds{ms}};
}

struct TimeLimiterTest : testing::Test {
  ManualClock clock;
  ManualTimer timer{clock};
  TimeLimiter limiter{{.timeout_duration = milliseconds{100}}, clock, timer};
};

TEST(TimeLimiterConfig, DefaultIsThatOfResilience4j) {
  EXPECT_EQ(TimeLimiterConfig{}.timeout_duration, seconds{1});
  EXPECT_TRUE(TimeLimiterConfig{}.validate().has_value());
}

TEST(TimeLimiterConfig, NamesTheBadField) {
  const Result<void> verdict = TimeLimiterConfig{.timeout_duration = Duration{0}}.validate();
  ASSERT_FALSE(verdict.has_value());
  EXPECT_EQ(verdict.error().kind(), ErrorKind::InvalidConfig);
  EXPECT_EQ(verdict.error().message(),
            "time_limiter.timeout_duration: must be more than 0 ns, got 0");
}

TEST(Judge, DecisionTable) {
  struct Row {
    bool late, failed, fired, stopped;
    Verdict verdict;
  };
  constexpr auto kIn = Verdict::InTime;
  constexpr auto kOut = Verdict::TimedOut;
  constexpr auto kGone = Verdict::Cancelled;
  const std::vector<Row> rows = {
      {false, false, false, false, kIn}, {false, false, false, true, kIn},
      {false, true, false, false, kIn},  {false, true, false, true, kGone},
      {false, false, true, false, kOut}, {false, false, true, true, kGone},
      {false, true, true, false, kOut},  {false, true, true, true, kGone},
      {true, false, false, false, kOut}, {true, false, false, true, kGone},
      {true, true, false, false, kOut},  {true, true, false, true, kGone},
      {true, false, true, false, kOut},  {true, false, true, true, kGone},
      {true, true, true, false, kOut},   {true, true, true, true, kGone},
  };
  for (const Row& row : rows) {
    EXPECT_EQ(judge({.deadline = at(10),
                     .finished_at = row.late ? at(10) + Duration{1} : at(10),
                     .failed = row.failed,
                     .stop_fired = row.fired,
                     .caller_stopped = row.stopped}),
              row.verdict);
  }
}

RC_GTEST_PROP(DeadlineFor, IsTheEarlierOfTheTwo, (std::uint32_t now, std::uint32_t callers)) {
  const Duration timeout = milliseconds{*rc::gen::inRange(0, 100'000)};
  const Instant start{Duration{now}};
  const Instant limit{Duration{callers}};
  const Instant deadline = deadline_for(timeout, start, limit);
  RC_ASSERT(deadline <= limit);
  RC_ASSERT(deadline <= start + timeout);
  RC_ASSERT(deadline == limit || deadline == start + timeout);
}

TEST(DeadlineFor, NeverOverflows) {
  EXPECT_EQ(deadline_for(Duration::max(), at(5), kNever), kNever);
}

TEST_F(TimeLimiterTest, PassesTheEarlierDeadline) {
  clock.advance(milliseconds{5});
  const auto deadline = [](const CallContext& context) { return context.deadline; };
  EXPECT_EQ(*limiter.execute(deadline), at(105));
  EXPECT_EQ(*limiter.execute(deadline, CallContext{.deadline = at(50)}), at(50));
  EXPECT_EQ(*limiter.execute(deadline, CallContext{}, at(7)), at(107));
}

TEST_F(TimeLimiterTest, SuccessAtTheDeadlineStandsAndOneAfterItDoesNot) {
  const auto takes = [&](int ms) {
    return limiter.execute([&] {
      clock.advance(milliseconds{ms});
      return 7;
    });
  };
  EXPECT_EQ(*takes(100), 7);
  const Result<int> late = takes(101);
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_EQ(late.error().classification().error_class, ErrorClass::Timeout);
  EXPECT_EQ(late.error().classification().delivery, Delivery::Unknown);
  EXPECT_EQ(limiter.metrics().successful, 1U);
  EXPECT_EQ(limiter.metrics().timed_out, 1U);
}

TEST_F(TimeLimiterTest, DoesNotStartAfterTheDeadlineOrTheStop) {
  clock.advance(milliseconds{10});
  bool called = false;
  const auto operation = [&] { called = true; };
  const Result<void> late = limiter.execute(operation, CallContext{.deadline = at(9)});
  EXPECT_EQ(late.error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_EQ(late.error().classification().delivery, Delivery::NotSent);
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(limiter.execute(operation, stop.get_token()).error().kind(), ErrorKind::Cancelled);
  EXPECT_FALSE(called);
  EXPECT_EQ(limiter.metrics().cancelled, 1U);
}

TEST_F(TimeLimiterTest, TokenFiresAtTheDeadline) {
  std::vector<Duration> elapsed;
  limiter.on_event([&](const CallTimedOut& event) { elapsed.push_back(event.elapsed); });
  const Result<bool> result = limiter.execute([&](const std::stop_token& stop) {
    clock.advance(milliseconds{99});
    timer.run_due();
    EXPECT_FALSE(stop.stop_requested());
    clock.advance(milliseconds{1});
    timer.run_due();
    return stop.stop_requested();
  });
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_EQ(elapsed, std::vector<Duration>{milliseconds{100}});
}

TEST_F(TimeLimiterTest, ForwardsTheCallersStop) {
  std::stop_source caller;
  const Result<bool> failed = limiter.execute(
      [&](const CallContext&, const std::stop_token& stop) -> Result<bool> {
        caller.request_stop();
        if (stop.stop_requested()) return Unexpected(Error::timeout_exceeded());
        return false;
      },
      caller.get_token());
  EXPECT_EQ(failed.error().kind(), ErrorKind::Cancelled);
}

TEST_F(TimeLimiterTest, WorkDoneInTimeStandsThoughTheCallerGaveUp) {
  std::stop_source caller;
  const auto operation = [&](const std::stop_token&) {
    caller.request_stop();
    return 3;
  };
  EXPECT_EQ(*limiter.execute(operation, caller.get_token()), 3);
}

TEST_F(TimeLimiterTest, UsedUpTokensAreNotHandedOutAgain) {
  for (int i = 0; i < 3; ++i) {
    const Result<void> result = limiter.execute([&](const std::stop_token& stop) {
      EXPECT_FALSE(stop.stop_requested());
      clock.advance(milliseconds{100});
      timer.run_due();
      EXPECT_TRUE(stop.stop_requested());
    });
    EXPECT_FALSE(result.has_value());
  }
}

// What a limiter's operations see of a token that the first of them keeps, against the rules.
struct Kept {
  std::stop_token token;
  bool fired_by_its_own = false;
  bool fired_by_a_later = false;
  bool later_was_fired_early = false;
};
Kept keep_a_token(TimeLimiter& limiter, ManualClock& clock, ManualTimer& timer) {
  Kept kept;
  EXPECT_TRUE(limiter.execute([&](const std::stop_token& stop) { kept.token = stop; }));
  clock.advance(milliseconds{500});
  timer.run_due();
  kept.fired_by_its_own = kept.token.stop_requested();
  EXPECT_FALSE(limiter.execute([&](const std::stop_token& stop) {
    kept.later_was_fired_early = stop.stop_requested();
    clock.advance(milliseconds{100});
    timer.run_due();
  }));
  kept.fired_by_a_later = kept.token.stop_requested();
  return kept;
}

TEST_F(TimeLimiterTest, AKeptTokenFiresForALaterCallOfTheThread) {
  const Kept kept = keep_a_token(limiter, clock, timer);
  EXPECT_FALSE(kept.fired_by_its_own);
  EXPECT_TRUE(kept.fired_by_a_later);
  EXPECT_FALSE(kept.later_was_fired_early);
}

TEST_F(TimeLimiterTest, ARetainableTokenFiresForItsOwnCallOnly) {
  TimeLimiter retainable({.timeout_duration = milliseconds{100}, .retainable_tokens = true}, clock,
                         timer);
  const Kept kept = keep_a_token(retainable, clock, timer);
  EXPECT_FALSE(kept.fired_by_its_own);
  EXPECT_FALSE(kept.fired_by_a_later);
  EXPECT_FALSE(kept.token.stop_possible());
  std::stop_token fired;
  EXPECT_FALSE(retainable.execute([&](const std::stop_token& stop) {
    fired = stop;
    clock.advance(milliseconds{100});
    timer.run_due();
  }));
  EXPECT_TRUE(fired.stop_requested());
}

TEST_F(TimeLimiterTest, ARetainableTokenCostsOneAllocation) {
  TimeLimiter retainable({.retainable_tokens = true}, clock, timer);
  const auto stoppable = [](const std::stop_token& stop) { return stop.stop_requested(); };
  ASSERT_TRUE(retainable.execute(stoppable).has_value());
  const std::size_t before = test::allocations();
  ASSERT_TRUE(retainable.execute(stoppable).has_value());
  EXPECT_LE(test::allocations() - before, 1U);  // 0 with sanitizers, which do not count.
}

TEST_F(TimeLimiterTest, NestedLimitsFireEachItsOwn) {
  TimeLimiter inner({.timeout_duration = milliseconds{10}}, clock, timer);
  const Result<ErrorKind> result = limiter.execute([&](const std::stop_token& outer_stop) {
    const Result<void> attempt = inner.execute(
        [&](const std::stop_token& stop) {
          clock.advance(milliseconds{10});
          timer.run_due();
          EXPECT_TRUE(stop.stop_requested());
        },
        outer_stop);
    EXPECT_FALSE(outer_stop.stop_requested());
    return attempt.error().kind();
  });
  EXPECT_EQ(*result, ErrorKind::TimeoutExceeded);
}

TEST_F(TimeLimiterTest, FailuresAndExceptionsPassThrough) {
  const Result<void> failed =
      limiter.execute([]() -> void { throw std::runtime_error("connection reset"); });
  EXPECT_EQ(failed.error().kind(), ErrorKind::OperationFailed);
  EXPECT_EQ(limiter.metrics().failed, 1U);
}

TEST_F(TimeLimiterTest, SuccessAndRefusalAllocateNothing) {
  const auto plain = [](const CallContext& context) { return context.attempt; };
  const auto stoppable = [](const std::stop_token& stop) { return stop.stop_requested(); };
  std::stop_source caller;
  const CallContext stopped{.stop = caller.get_token()};
  const CallContext late{.deadline = at(-1)};
  ASSERT_TRUE(limiter.execute(stoppable, stopped).has_value());  // Fills the stores.
  ASSERT_TRUE(limiter.execute(plain).has_value());
  const std::size_t before = test::allocations();
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(limiter.execute(plain).has_value());
    ASSERT_TRUE(limiter.execute(stoppable, stopped).has_value());
    ASSERT_FALSE(limiter.execute(plain, late).has_value());
  }
  EXPECT_EQ(test::allocations() - before, 0U);
}

TEST(TimeLimiterThreads, StopsAWaitingOperation) {
  TimeLimiter limiter({.timeout_duration = milliseconds{2}});
  const Result<void> result = limiter.execute(
      [](const std::stop_token& stop) { SteadyClock::instance().wait_until(kNever, stop); });
  EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
}

// A call that ends at once, or one that ends only when its deadline stops it.
void call_once(TimeLimiter& limiter, bool waits) {
  const Result<void> result = limiter.execute([waits](const std::stop_token& stop) {
    if (waits) SteadyClock::instance().wait_until(kNever, stop);
  });
  EXPECT_TRUE(!waits || !result.has_value());
}

TEST(TimeLimiterStress, EveryCallIsCountedOnce) {
  constexpr unsigned kThreads = 8;
  constexpr std::uint64_t kCalls = 200;
  TimeLimiter limiter({.timeout_duration = std::chrono::microseconds{50}});
  test::on_threads(kThreads, [&](unsigned index) {
    for (std::uint64_t i = 0; i < kCalls; ++i) call_once(limiter, (i + index) % 4 == 0);
  });
  const Metrics metrics = limiter.metrics();
  EXPECT_EQ(metrics.successful + metrics.timed_out, kThreads * kCalls);
  EXPECT_GE(metrics.timed_out, kThreads * kCalls / 4);
}

}  // namespace
}  // namespace recover::timelimiter
