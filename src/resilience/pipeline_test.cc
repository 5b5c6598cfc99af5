#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <recover/pipeline.h>

#include "test/allocations.h"

namespace recover {
namespace {

using namespace std::chrono_literals;

Error broken() {
  return Error(ErrorKind::OperationFailed, {}, "broken");
}

// All policies on one clock that only the test, and the waits of the policies, move.
class PipelineTest : public testing::Test {
 protected:
  Policies everything() {
    return {.total_timeout = &total_timeout,
            .retry = &retry,
            .circuit_breaker = &breaker,
            .bulkhead = &bulkhead,
            .adaptive_limiter = &adaptive,
            .rate_limiter = &limiter,
            .attempt_timeout = &attempt_timeout,
            .clock = &clock};
  }
  Duration elapsed() { return clock.now() - Instant{}; }
  // The permits that come back are all back.
  void expect_all_returned() {
    EXPECT_EQ(bulkhead.metrics().in_use, 0U);
    EXPECT_EQ(adaptive.metrics().in_flight, 0U);
  }

  ManualClock clock;
  ManualTimer timer{clock};
  TimeLimiter total_timeout{{.timeout_duration = 10s}, clock, timer};
  Retry retry{{.max_attempts = 4, .backoff = {.initial_interval = 1s}, .idempotent = true}, clock};
  CircuitBreaker breaker{{.sliding_window = {.size = 4},
                          .minimum_calls = 2,
                          .wait_in_open = {.initial = 3s},
                          .permitted_calls_in_half_open = 1},
                         clock};
  Bulkhead bulkhead{{.max_concurrent_calls = 1}, clock};
  AdaptiveLimiter adaptive{{.initial_limit = 1, .limit_max = 1}, clock};
  RateLimiter limiter{{.limit_for_period = 100, .limit_refresh_period = 1s}, clock};
  TimeLimiter attempt_timeout{{.timeout_duration = 2s}, clock, timer};
};

// ---- the order

TEST_F(PipelineTest, AnEmptyPipelineIsACall) {
  const Pipeline pipeline({});
  EXPECT_EQ(*pipeline.execute([] { return 7; }), 7);
  const auto failed = pipeline.execute([]() -> Result<int> { return Unexpected(broken()); });
  EXPECT_EQ(failed.error().message(), "broken");
}

TEST_F(PipelineTest, TheRetryComesBackWhenTheBreakerSaysSo) {
  const Pipeline pipeline(everything());
  int calls = 0;
  const auto result = pipeline.execute([&]() -> Result<int> {
    if (++calls <= 2) return Unexpected(broken());
    return 7;
  });
  EXPECT_EQ(*result, 7);
  EXPECT_EQ(calls, 3);  // The third attempt was refused without a call.
  EXPECT_EQ(breaker.metrics().not_permitted, 1U);
  EXPECT_EQ(retry.metrics().retries, 3U);
  EXPECT_EQ(elapsed(), 1s + 1s + 2s);  // The breaker opened at 1 s, for 3 s.
  expect_all_returned();
}

TEST_F(PipelineTest, EachAttemptAsksTheBreakerAndIsCountedByIt) {
  const Pipeline pipeline({.retry = &retry, .circuit_breaker = &breaker, .clock = &clock});
  breaker.transition_to(circuitbreaker::State::MetricsOnly);
  EXPECT_FALSE(pipeline.execute([]() -> Result<int> { return Unexpected(broken()); }));
  EXPECT_EQ(breaker.metrics().failed, 4U);
}

TEST_F(PipelineTest, ARefusalByALimiterNeverCountsAgainstTheDependency) {
  const auto operation = [] { return 7; };
  Policies policies = everything();
  policies.retry = nullptr;
  const Pipeline pipeline(policies);
  {
    const auto taken = bulkhead.try_acquire();
    EXPECT_EQ(pipeline.execute(operation).error().kind(), ErrorKind::BulkheadFull);
  }
  {
    const auto taken = adaptive.try_acquire();
    EXPECT_EQ(pipeline.execute(operation).error().kind(), ErrorKind::BulkheadFull);
  }
  RateLimiter spent({.limit_for_period = 1, .limit_refresh_period = 1h, .timeout_duration = 0s},
                    clock);
  ASSERT_TRUE(spent.try_acquire().has_value());
  policies.rate_limiter = &spent;
  EXPECT_EQ(Pipeline(policies).execute(operation).error().kind(), ErrorKind::RequestNotPermitted);
  EXPECT_EQ(breaker.metrics().released, 3U);
  EXPECT_EQ(breaker.metrics().failed + breaker.metrics().successful, 0U);
  EXPECT_EQ(breaker.snapshot().counts.total, 0U);
  expect_all_returned();
}

TEST_F(PipelineTest, TheLimitersAreNotAskedWhileTheBreakerIsOpen) {
  breaker.transition_to(circuitbreaker::State::ForcedOpen);
  EXPECT_FALSE(Pipeline(everything()).execute([] { return 7; }));
  EXPECT_EQ(bulkhead.metrics().granted, 0U);
  EXPECT_EQ(limiter.metrics().granted, 0U);
}

TEST_F(PipelineTest, ASlowAttemptFailsByItsOwnTimeout) {
  Policies policies = everything();
  policies.retry = nullptr;
  const auto result = Pipeline(policies).execute([&] {
    clock.advance(3s);
    return 7;
  });
  EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_EQ(breaker.metrics().failed, 1U);
  EXPECT_EQ(adaptive.metrics().dropped, 1U);
  EXPECT_EQ(attempt_timeout.metrics().timed_out, 1U);
  EXPECT_EQ(total_timeout.metrics().failed, 1U);
}

TEST_F(PipelineTest, ASlowAttemptIsRetried) {
  int calls = 0;
  const auto result = Pipeline(everything()).execute([&] {
    if (++calls == 1) clock.advance(3s);
    return calls;
  });
  EXPECT_EQ(*result, 2);
}

TEST_F(PipelineTest, TheTotalTimeoutBoundsAttemptsAndTheWaitsBetween) {
  breaker.transition_to(circuitbreaker::State::Disabled);
  Retry patient({.max_attempts = 100, .backoff = {.initial_interval = 3s}, .idempotent = true},
                clock);
  Policies policies = everything();
  policies.retry = &patient;
  int calls = 0;
  const auto result = Pipeline(policies).execute([&]() -> Result<int> {
    ++calls;
    clock.advance(1s);
    return Unexpected(broken());
  });
  // Attempts at 0, 4 and 8 s; the next could begin at 12 s, so the call gives up at 9 s.
  EXPECT_EQ(calls, 3);
  EXPECT_EQ(elapsed(), 9s);
  EXPECT_EQ(result.error().message(), "broken");
}

TEST_F(PipelineTest, ACallThatOverrunsTheTotalTimeoutHasFailed) {
  const Pipeline pipeline({.total_timeout = &total_timeout, .retry = &retry, .clock = &clock});
  const auto result = pipeline.execute([&] {
    clock.advance(11s);
    return 7;
  });
  EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_EQ(retry.metrics().retries, 0U);
}

TEST_F(PipelineTest, TheFallbackIsAskedLastAndOnlyThen) {
  Fallback<int> fallback({fallback::use_value(42)});
  const auto guarded = Pipeline(everything()).with(fallback);
  EXPECT_EQ(*guarded.execute([] { return 7; }), 7);
  int calls = 0;
  const auto recovering = [&]() -> Result<int> {
    if (++calls == 1) return Unexpected(broken());
    return 8;
  };
  EXPECT_EQ(*guarded.execute(recovering), 8);
  breaker.transition_to(circuitbreaker::State::ForcedOpen);
  EXPECT_EQ(*guarded.execute([] { return 7; }), 42);
  EXPECT_EQ(fallback.metrics().primary, 2U);
  EXPECT_EQ(fallback.metrics().degraded, 1U);
}

TEST_F(PipelineTest, AnotherOrderIsMadeByNesting) {
  // One outcome a call, not an attempt, for the breaker.
  const Pipeline inner({.retry = &retry, .clock = &clock});
  const auto result = breaker.execute(
      [&] { return inner.execute([]() -> Result<int> { return Unexpected(broken()); }); });
  EXPECT_FALSE(result.has_value());
  EXPECT_EQ(breaker.metrics().failed, 1U);
  EXPECT_EQ(retry.metrics().retries, 3U);
}

// ---- waiting for the limiters

TEST_F(PipelineTest, WaitsForTheRateLimiterButNeverPastTheDeadline) {
  RateLimiter slow({.algorithm = ratelimiter::Algorithm::Gcra,
                    .limit_for_period = 1,
                    .limit_refresh_period = 6s,
                    .timeout_duration = 1h},
                   clock);
  const Pipeline pipeline(
      {.total_timeout = &total_timeout, .rate_limiter = &slow, .clock = &clock});
  const auto when = [&] { return elapsed(); };
  EXPECT_EQ(*pipeline.execute(when), 0s);
  EXPECT_EQ(*pipeline.execute(when), 6s);
  ASSERT_TRUE(slow.reserve(clock.now()).has_value());
  EXPECT_EQ(pipeline.execute(when).error().kind(), ErrorKind::RequestNotPermitted);
  EXPECT_EQ(elapsed(), 6s);  // Refused at once: its turn would be at 18 s, its deadline is 16 s.
}

TEST_F(PipelineTest, WaitsInTheBulkheadsQueueButNeverPastTheDeadline) {
  Bulkhead queued({.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = 1h}, clock);
  const auto taken = queued.try_acquire();
  const Pipeline pipeline({.total_timeout = &total_timeout, .bulkhead = &queued, .clock = &clock});
  EXPECT_EQ(pipeline.execute([] { return 7; }).error().kind(), ErrorKind::BulkheadFull);
  EXPECT_EQ(elapsed(), 10s);
  EXPECT_EQ(queued.metrics().waiting, 0U);
}

TEST_F(PipelineTest, TheTimeSpentWaitingForALimiterIsNotTheDependencys) {
  CircuitBreaker watchful({.slow_call_duration_threshold = 1s}, clock);
  RateLimiter slow({.algorithm = ratelimiter::Algorithm::Gcra,
                    .limit_for_period = 1,
                    .limit_refresh_period = 4s},
                   clock);
  const Pipeline pipeline({.circuit_breaker = &watchful,
                           .rate_limiter = &slow,
                           .attempt_timeout = &attempt_timeout,
                           .clock = &clock});
  EXPECT_TRUE(pipeline.execute([] { return 7; }).has_value());
  EXPECT_TRUE(pipeline.execute([] { return 7; }).has_value());
  EXPECT_EQ(elapsed(), 4s);
  EXPECT_EQ(watchful.metrics().successful, 2U);
  EXPECT_EQ(watchful.metrics().slow, 0U);
}

// ---- permits

struct Path {
  const char* name;
  std::function<Result<int>(ManualClock&)> operation;
};

class PipelinePaths : public PipelineTest, public testing::WithParamInterface<Path> {};

TEST_P(PipelinePaths, ReturnEveryPermit) {
  const Pipeline pipeline(everything());
  for (int i = 0; i < 20; ++i) {
    static_cast<void>(pipeline.execute([&] { return GetParam().operation(clock); }));
    expect_all_returned();
  }
  const auto counts = breaker.metrics();
  EXPECT_EQ(bulkhead.metrics().granted,
            counts.successful + counts.failed + counts.ignored + counts.cancelled);
}

INSTANTIATE_TEST_SUITE_P(
    , PipelinePaths,
    testing::Values(
        Path{"Success", [](ManualClock&) -> Result<int> { return 7; }},
        Path{"Failure", [](ManualClock&) -> Result<int> { return Unexpected(broken()); }},
        Path{"Cancelled",
             [](ManualClock&) -> Result<int> { return Unexpected(Error::cancelled()); }},
        Path{"Exception", [](ManualClock&) -> Result<int> { throw std::runtime_error("broken"); }},
        Path{"Timeout",
             [](ManualClock& clock) -> Result<int> {
               clock.advance(3s);
               return 7;
             }}),
    [](const auto& path) { return std::string(path.param.name); });

TEST_F(PipelineTest, APermitHeldByACallIsMissingToAnother) {
  const Pipeline pipeline(everything());
  const auto result = pipeline.execute([&] {
    return pipeline.try_acquire().has_value();  // The bulkhead lets one call in.
  });
  EXPECT_FALSE(*result);
}

TEST_F(PipelineTest, TierOneGivesPermitsAndLearnsTheOutcome) {
  const Pipeline pipeline(everything());
  {
    auto admission = pipeline.try_acquire();
    ASSERT_TRUE(admission.has_value());
    EXPECT_EQ(pipeline.try_acquire().error().kind, ErrorKind::BulkheadFull);
    admission->record(Result<int>(Unexpected(broken())));
    EXPECT_TRUE(pipeline.try_acquire().has_value());  // Dropped again without an outcome.
  }
  EXPECT_EQ(breaker.metrics().failed, 1U);
  EXPECT_EQ(breaker.metrics().released, 2U);
  expect_all_returned();
}

TEST_F(PipelineTest, TierOneNeverWaits) {
  RateLimiter spent({.limit_for_period = 1, .limit_refresh_period = 5s}, clock);
  const Pipeline pipeline({.rate_limiter = &spent, .clock = &clock});
  ASSERT_TRUE(pipeline.try_acquire().has_value());
  const auto refused = pipeline.try_acquire();
  EXPECT_EQ(refused.error().kind, ErrorKind::RequestNotPermitted);
  EXPECT_EQ(refused.error().retry_after.value(), 5s);
  EXPECT_EQ(elapsed(), 0s);
}

// ---- what the operation sees

TEST_F(PipelineTest, TheContextOfEachAttempt) {
  std::vector<CallContext> seen;
  const auto operation = [&](const CallContext& context) -> Result<int> {
    seen.push_back(context);
    if (seen.size() == 1) return Unexpected(broken());
    return 7;
  };
  EXPECT_TRUE(Pipeline(everything()).execute(operation, {.deadline = Instant{} + 2500ms}));
  ASSERT_EQ(seen.size(), 2U);
  EXPECT_EQ(seen[0].attempt, 1U);
  EXPECT_EQ(seen[0].deadline, Instant{} + 2s);  // The attempt's.
  EXPECT_EQ(seen[1].attempt, 2U);
  EXPECT_EQ(seen[1].deadline, Instant{} + 2500ms);  // The caller's.
}

TEST_F(PipelineTest, EverySignatureOfAnOperation) {
  const Pipeline pipeline(everything());
  std::stop_source source;
  const auto stop = source.get_token();
  EXPECT_EQ(*pipeline.execute([] { return 1; }, stop), 1);
  EXPECT_EQ(*pipeline.execute([](const CallContext& context) { return context.attempt; }, stop),
            1U);
  EXPECT_TRUE(
      *pipeline.execute([](const std::stop_token& token) { return token.stop_possible(); }, stop));
  EXPECT_TRUE(*pipeline.execute(
      [](const CallContext& context, const std::stop_token& token) {
        return token.stop_possible() && context.deadline == Instant{} + 2s;
      },
      stop));
  EXPECT_TRUE(pipeline.execute([] {}, stop).has_value());
}

TEST_F(PipelineTest, AStopTokenFiresAtTheDeadlineOfTheAttempt) {
  Policies policies = everything();
  policies.retry = nullptr;
  const auto result = Pipeline(policies).execute([&](const std::stop_token& token) {
    clock.advance(2s);
    timer.run_due();
    return token.stop_requested();
  });
  EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
}

TEST_F(PipelineTest, AStopBeforeTheCallMakesNone) {
  std::stop_source source;
  source.request_stop();
  bool called = false;
  const auto result = Pipeline(everything()).execute([&] { called = true; }, source.get_token());
  EXPECT_EQ(result.error().kind(), ErrorKind::Cancelled);
  EXPECT_FALSE(called);
}

TEST_F(PipelineTest, AStopDuringTheCallIsNeitherSuccessNorFailure) {
  std::stop_source source;
  const auto result = Pipeline(everything())
                          .execute(
                              [&](const std::stop_token& token) -> Result<int> {
                                source.request_stop();
                                EXPECT_TRUE(token.stop_requested());
                                return Unexpected(broken());
                              },
                              source.get_token());
  EXPECT_EQ(result.error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(breaker.metrics().cancelled, 1U);
  EXPECT_EQ(breaker.metrics().failed, 0U);
  EXPECT_EQ(retry.metrics().retries, 0U);
}

// ---- deadlines and stops, as the breaker hears of them

TEST_F(PipelineTest, NoAttemptBeginsAfterTheCallersDeadline) {
  clock.advance(5s);
  const CallContext late{.deadline = Instant{} + 4s};
  bool called = false;
  for (const Policies& policies :
       {Policies{.clock = &clock}, Policies{.retry = &retry, .clock = &clock}, everything()}) {
    const auto result = Pipeline(policies).execute([&] { called = true; }, late);
    ASSERT_FALSE(result.has_value());
    EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
    EXPECT_EQ(result.error().classification().delivery, Delivery::NotSent);
  }
  EXPECT_FALSE(called);
  EXPECT_EQ(limiter.metrics().granted, 0U);
}

// Its waits take a second longer than asked for.
class LateClock final : public Clock {
 public:
  Instant now() noexcept override { return clock_.now(); }
  bool wait_until(Instant deadline, const std::stop_token& stop) override {
    return clock_.wait_until(deadline + 1s, stop);
  }

 private:
  ManualClock clock_;
};

TEST(Pipeline, AnAttemptThatALimiterMadeLateDoesNotBegin) {
  LateClock clock;
  CircuitBreaker breaker({}, clock);
  RateLimiter slow({.limit_for_period = 1, .limit_refresh_period = 2s}, clock);
  ASSERT_TRUE(slow.try_acquire().has_value());
  bool called = false;
  const auto result =
      Pipeline({.circuit_breaker = &breaker, .rate_limiter = &slow, .clock = &clock})
          .execute([&] { called = true; }, CallContext{.deadline = Instant{} + 2s});
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_FALSE(called);
  EXPECT_EQ(breaker.metrics().released, 1U);
}

TEST_F(PipelineTest, ABreakerForcedOpenIsNotAskedAgain) {
  breaker.transition_to(circuitbreaker::State::ForcedOpen);
  const auto result = Pipeline(everything()).execute([] { return 7; });
  EXPECT_EQ(result.error().kind(), ErrorKind::CallNotPermitted);
  EXPECT_EQ(elapsed(), 0s);
  EXPECT_EQ(breaker.metrics().not_permitted, 1U);
  EXPECT_EQ(retry.metrics().retries, 0U);
}

TEST_F(PipelineTest, WhatTheTotalTimeoutCutsOffIsATimeoutToTheBreaker) {
  for (TimeLimiter* attempt : {static_cast<TimeLimiter*>(nullptr), &total_timeout}) {
    CircuitBreaker fresh({}, clock);
    const Pipeline pipeline({.total_timeout = &total_timeout,
                             .retry = &retry,
                             .circuit_breaker = &fresh,
                             .attempt_timeout = attempt,
                             .clock = &clock});
    const auto result = pipeline.execute([&](const std::stop_token& stop) -> Result<int> {
      clock.advance(10s);
      timer.run_due();
      EXPECT_TRUE(stop.stop_requested());
      return Unexpected(Error::cancelled());
    });
    EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
    EXPECT_EQ(fresh.metrics().failed, 1U);
    EXPECT_EQ(fresh.metrics().cancelled, 0U);
  }
}

TEST_F(PipelineTest, ACallersOwnCancelStaysOneThoughTheOperationNoticesLate) {
  const Pipeline pipeline(
      {.total_timeout = &total_timeout, .circuit_breaker = &breaker, .clock = &clock});
  for (const Duration late : {0s, 11s}) {
    std::stop_source caller;
    const auto result = pipeline.execute(
        [&](const std::stop_token&) -> Result<int> {
          caller.request_stop();
          clock.advance(late);
          timer.run_due();
          return Unexpected(Error::cancelled());
        },
        caller.get_token());
    EXPECT_EQ(result.error().kind(), ErrorKind::Cancelled);
  }
  EXPECT_EQ(breaker.metrics().cancelled, 2U);
  EXPECT_EQ(breaker.metrics().failed, 0U);
}

// A time limiter around the pipeline is a total timeout too: its deadline comes with its stop.
TEST_F(PipelineTest, WhatAnOuterLimiterCutsOffIsATimeoutToo) {
  const Pipeline pipeline({.circuit_breaker = &breaker, .clock = &clock});
  const auto result =
      total_timeout.execute([&](const CallContext& context, const std::stop_token&) {
        return pipeline.execute(
            [&]() -> Result<int> {
              clock.advance(10s);
              timer.run_due();
              return Unexpected(Error::cancelled());
            },
            context);
      });
  EXPECT_EQ(result.error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_EQ(breaker.metrics().failed, 1U);
}

// ---- allocations

class PipelineAllocations : public PipelineTest {
 protected:
  // Of one more call, after the first have filled what is filled once.
  template <class Call>
  static std::size_t of(Call call) {
    for (int i = 0; i < 3; ++i) call();
    const std::size_t before = test::allocations();
    call();
    return test::allocations() - before;
  }
};

TEST_F(PipelineAllocations, ASuccessMakesNone) {
  Fallback<int> fallback({fallback::use_value(42)});
  const auto pipeline = Pipeline(everything()).with(fallback);
  EXPECT_EQ(of([&] { ASSERT_TRUE(pipeline.execute([] { return 7; })); }), 0U);
  EXPECT_EQ(
      of([&] {
        ASSERT_TRUE(pipeline.execute([](const CallContext&, const std::stop_token&) { return 7; }));
      }),
      0U);
}

TEST_F(PipelineAllocations, ARetriedCallMakesNone) {
  breaker.transition_to(circuitbreaker::State::Disabled);
  const Pipeline pipeline(everything());
  EXPECT_EQ(of([&] {
              const auto result = pipeline.execute([](const CallContext& context) -> Result<int> {
                if (context.attempt == 1) return Unexpected(Error::timeout_exceeded());
                return 7;
              });
              ASSERT_TRUE(result.has_value());
            }),
            0U);
}

TEST_F(PipelineAllocations, ARefusalMakesNone) {
  const Pipeline pipeline(everything());
  const auto refuse = [&] { static_cast<void>(pipeline.execute([] { return 7; })); };
  {
    const auto taken = bulkhead.try_acquire();
    EXPECT_EQ(of(refuse), 0U);
  }
  {
    const auto taken = adaptive.try_acquire();
    EXPECT_EQ(of(refuse), 0U);
  }
  breaker.transition_to(circuitbreaker::State::ForcedOpen);
  EXPECT_EQ(of(refuse), 0U);
  EXPECT_EQ(limiter.metrics().granted, 0U);
  EXPECT_EQ(breaker.metrics().successful, 0U);
}

TEST_F(PipelineAllocations, ARefusalByTheRateLimiterMakesNone) {
  RateLimiter spent({.limit_for_period = 1, .limit_refresh_period = 24h}, clock);
  ASSERT_TRUE(spent.try_acquire().has_value());
  const Pipeline pipeline({.rate_limiter = &spent, .clock = &clock});
  EXPECT_EQ(of([&] { static_cast<void>(pipeline.execute([] { return 7; })); }), 0U);
  EXPECT_EQ(of([&] { static_cast<void>(pipeline.try_acquire()); }), 0U);
  EXPECT_EQ(spent.metrics().granted, 1U);
}

// ---- threads

// Of so many calls, every third of which fails.
unsigned refusals(const Pipeline& pipeline, unsigned calls) {
  unsigned refused = 0;
  for (unsigned i = 0; i < calls; ++i) {
    const auto result = pipeline.execute([&]() -> Result<int> {
      if (i % 3 == 0) return Unexpected(broken());
      return 7;
    });
    if (!result && result.error().kind() != ErrorKind::OperationFailed) ++refused;
  }
  return refused;
}

TEST(PipelineThreads, ShareEveryPolicyAndTheCountsAddUp) {
  constexpr unsigned kThreads = 4;
  constexpr unsigned kCalls = 2000;
  TimeLimiter timeout({.timeout_duration = 1h});
  CircuitBreaker breaker({.failure_rate_threshold = 100}, SteadyClock::instance());
  Bulkhead bulkhead({.max_concurrent_calls = 2, .max_queued = 2, .max_wait_duration = 1h});
  AdaptiveLimiter adaptive({.initial_limit = 100, .limit_min = 100});
  RateLimiter limiter({.limit_for_period = 1000, .limit_refresh_period = 1us});
  const Pipeline pipeline({.total_timeout = &timeout,
                           .circuit_breaker = &breaker,
                           .bulkhead = &bulkhead,
                           .adaptive_limiter = &adaptive,
                           .rate_limiter = &limiter,
                           .attempt_timeout = &timeout});
  std::atomic<unsigned> refused{0};
  {
    const auto call = [&] { refused += refusals(pipeline, kCalls); };
    std::vector<std::jthread> threads;
    for (unsigned i = 0; i < kThreads; ++i) threads.emplace_back(call);
  }
  const auto counts = breaker.metrics();
  EXPECT_EQ(counts.successful + counts.failed + refused, kThreads * kCalls);
  EXPECT_EQ(counts.released, refused);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
  EXPECT_EQ(adaptive.metrics().in_flight, 0U);
}

}  // namespace
}  // namespace recover
