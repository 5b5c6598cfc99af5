#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <recover/retry.h>

#include "test/allocations.h"

namespace recover::retry {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;

constexpr Classification kTransient{};
constexpr Classification kPermanent{.persistence = Persistence::Permanent};
constexpr Classification kCancelled{.persistence = Persistence::Cancelled};

Error failed(const Classification& classification) {
  return Error(ErrorKind::OperationFailed, classification, "as told");
}

// An operation that plays a script of failures and then succeeds, and counts its calls.
struct Script {
  std::vector<Classification> failures;
  unsigned calls = 0;

  Result<int> operator()() {
    if (calls++ < failures.size()) return Unexpected(failed(failures[calls - 1]));
    return 7;
  }
};

TEST(Retry, ReturnsTheFirstSuccess) {
  ManualClock clock;
  Retry retry({.idempotent = true}, clock);
  Script script{.failures = {kTransient, kTransient}};
  EXPECT_EQ(*retry.execute(script), 7);
  EXPECT_EQ(script.calls, 3U);
  EXPECT_EQ(clock.now(), Instant{1s});
}

TEST(Retry, ReturnsTheLastFailureUnchanged) {
  ManualClock clock;
  Retry retry({.idempotent = true}, clock);
  unsigned calls = 0;
  const Result<int> result = retry.execute([&calls]() -> Result<int> {
    return Unexpected(Error(ErrorKind::PoolExhausted, kTransient, std::to_string(++calls)));
  });
  EXPECT_EQ(result.error().kind(), ErrorKind::PoolExhausted);
  EXPECT_EQ(result.error().message(), "3");
}

TEST(Retry, BoundsTheWholeCallByMaxDurationAndByTheCaller) {
  ManualClock clock(Instant{1h});
  Retry retry({.max_attempts = 100, .max_duration = 2s, .idempotent = true}, clock);
  Script script{.failures = std::vector<Classification>(100, kTransient)};
  EXPECT_FALSE(retry.execute(script).has_value());
  EXPECT_EQ(script.calls, 4U);  // At 0, 0.5, 1 and 1.5 s.
  EXPECT_EQ(clock.now(), Instant{1h + 1500ms});

  script.calls = 0;
  const CallContext hurried{.deadline = clock.now() + 700ms};
  EXPECT_FALSE(retry.execute(script, hurried).has_value());
  EXPECT_EQ(script.calls, 2U);
}

TEST(Retry, ShowsTheOperationItsAttemptAndDeadline) {
  ManualClock clock(Instant{1s});
  Retry retry({.max_duration = 1min, .idempotent = true}, clock);
  std::vector<unsigned> attempts;
  const auto operation = [&attempts](const CallContext& context) -> Result<void> {
    attempts.push_back(context.attempt);
    EXPECT_EQ(context.deadline, Instant{61s});
    EXPECT_TRUE(context.stop.stop_possible());
    return Unexpected(failed(kTransient));
  };
  const std::stop_source source;
  EXPECT_FALSE(retry.execute(operation, source.get_token()).has_value());
  EXPECT_EQ(attempts, (std::vector{1U, 2U, 3U}));

  attempts.clear();
  const CallContext outer{.attempt = 2, .deadline = Instant{2min}, .stop = source.get_token()};
  EXPECT_FALSE(retry.execute(operation, outer, Instant{1s}).has_value());
  EXPECT_EQ(attempts, (std::vector{1U, 2U, 3U}));
}

TEST(Retry, AStopRequestEndsItBeforeTheNextAttempt) {
  ManualClock clock;
  Retry retry({.idempotent = true}, clock);
  std::stop_source source;
  unsigned calls = 0;
  const auto result = retry.execute(
      [&]() -> Result<void> {
        ++calls;
        source.request_stop();
        return Unexpected(failed(kTransient));
      },
      source.get_token());
  EXPECT_EQ(result.error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(calls, 1U);
  EXPECT_EQ(retry.execute([] {}, source.get_token()).error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(retry.metrics().cancelled_calls, 2U);
  EXPECT_EQ(retry.metrics().failed_calls_with_retry_attempt, 0U);
}

// On the real clock: the wait of an hour ends when the stop is requested.
TEST(Retry, BeginsNoAttemptAfterTheCallersDeadline) {
  ManualClock clock(Instant{10s});
  Retry retry({.idempotent = true}, clock);
  std::optional<GiveUpReason> reason;
  retry.on_event([&](const RetryEvent& event) { reason = event.reason; });
  Script script;
  const Result<int> late = retry.execute(script, CallContext{.deadline = Instant{10s} - 1ns});
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_EQ(late.error().classification().delivery, Delivery::NotSent);
  EXPECT_EQ(script.calls, 0U);
  EXPECT_EQ(reason, GiveUpReason::DeadlineWouldPass);
  EXPECT_EQ(retry.metrics().failed_calls_without_retry_attempt, 1U);
  EXPECT_EQ(*retry.execute(script, CallContext{.deadline = Instant{10s}}), 7);  // As TimeLimiter.
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

TEST(Retry, AWaitThatOverranTheDeadlineEndsTheCallWithTheLastResult) {
  LateClock clock;
  Retry retry({.idempotent = true}, clock);
  Script script{.failures = {kTransient}};
  const Result<int> late = retry.execute(script, CallContext{.deadline = Instant{1s}});
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().message(), "as told");
  EXPECT_EQ(script.calls, 1U);
  EXPECT_EQ(retry.metrics().failed_calls_with_retry_attempt, 1U);
}

TEST(RetryThreads, AStopRequestInterruptsTheWait) {
  Retry retry({.backoff = {.initial_interval = 1h}, .idempotent = true});
  std::stop_source source;
  retry.on_event([&source](const RetryEvent&) {
    if (!source.stop_requested()) source.request_stop();
  });
  std::jthread waiter([&] {
    Script script{.failures = {kTransient}};
    EXPECT_EQ(retry.execute(script, source.get_token()).error().kind(), ErrorKind::Cancelled);
  });
}

TEST(Retry, AnOperationThatFailsAsCancelledIsLeftAlone) {
  ManualClock clock;
  Retry retry({.idempotent = true}, clock);
  Script script{.failures = {kCancelled}};
  EXPECT_EQ(retry.execute(script).error().message(), "as told");
  EXPECT_EQ(script.calls, 1U);
  EXPECT_EQ(retry.metrics().cancelled_calls, 1U);
}

TEST(Retry, CountsCallsAsResilience4jDoes) {
  ManualClock clock;
  Retry retry({.idempotent = true}, clock);
  const auto run = [&retry](std::vector<Classification> failures) {
    Script script{.failures = std::move(failures)};
    return retry.execute(script).has_value();
  };
  EXPECT_TRUE(run({}));
  EXPECT_TRUE(run({}));
  EXPECT_TRUE(run({kTransient}));
  EXPECT_FALSE(run({kPermanent}));
  EXPECT_FALSE(run({kTransient, kTransient, kTransient}));
  EXPECT_FALSE(run({kTransient, kPermanent}));
  const RetryMetrics metrics = retry.metrics();
  EXPECT_EQ(metrics.successful_calls_without_retry_attempt, 2U);
  EXPECT_EQ(metrics.successful_calls_with_retry_attempt, 1U);
  EXPECT_EQ(metrics.failed_calls_without_retry_attempt, 1U);
  EXPECT_EQ(metrics.failed_calls_with_retry_attempt, 2U);
  EXPECT_EQ(metrics.cancelled_calls, 0U);
  EXPECT_EQ(metrics.retries, 4U);
}

TEST(Retry, TellsOfRetriesAndOfGivingUp) {
  using Type = RetryEvent::Type;
  ManualClock clock;
  Retry retry({.max_attempts = 2, .idempotent = true}, clock);
  std::vector<RetryEvent> heard;
  retry.on_event([&heard](const RetryEvent& event) { heard.push_back(event); });
  Script late{.failures = {kTransient}};
  Script never{.failures = {kTransient, kTransient}};
  EXPECT_TRUE(retry.execute(late).has_value());
  EXPECT_FALSE(retry.execute(never).has_value());
  ASSERT_EQ(heard.size(), 4U);
  EXPECT_EQ(heard[0].type, Type::RetryScheduled);
  EXPECT_EQ(heard[0].attempt, 1U);
  EXPECT_EQ(heard[0].delay, 500ms);
  EXPECT_EQ(heard[0].failure, kTransient);
  EXPECT_EQ(heard[1].type, Type::SucceededAfterRetry);
  EXPECT_EQ(heard[1].attempt, 2U);
  EXPECT_EQ(heard[3].type, Type::GaveUp);
  EXPECT_EQ(heard[3].attempt, 2U);
  EXPECT_EQ(heard[3].reason, GiveUpReason::AttemptsExhausted);
}

TEST(Retry, StopsRetryingWhenTheSharedBudgetIsUsedUp) {
  ManualClock clock;
  const auto budget = std::make_shared<RetryBudget>(RetryBudgetConfig{.max_tokens = 4});
  Retry one({.idempotent = true, .budget = budget}, clock);
  Retry other({.idempotent = true, .budget = budget}, clock);
  GiveUpReason reason{};
  other.on_event([&reason](const RetryEvent& event) { reason = event.reason.value_or(reason); });
  Script script{.failures = {kTransient, kTransient, kTransient}};
  EXPECT_FALSE(one.execute(script).has_value());
  EXPECT_EQ(script.calls, 2U);  // Tokens 3: allowed; 2 of 4: not.
  script.calls = 0;
  EXPECT_FALSE(other.execute(script).has_value());
  EXPECT_EQ(script.calls, 1U);
  EXPECT_EQ(reason, GiveUpReason::BudgetExhausted);

  Script permanent{.failures = {kPermanent}};
  EXPECT_FALSE(one.execute(permanent).has_value());
  EXPECT_EQ(budget->tokens(), 1.0);  // Not a sign of overload: nothing taken.
  EXPECT_TRUE(one.execute([] {}).has_value());
  EXPECT_DOUBLE_EQ(budget->tokens(), 1.1);
}

TEST(Retry, ASeedMakesTheJitterRepeat) {
  const auto delays = [](std::uint64_t seed) {
    ManualClock clock;
    Retry retry(
        {.max_attempts = 5, .backoff = {.jitter = Jitter::Full}, .idempotent = true, .seed = seed},
        clock);
    std::vector<Duration> heard;
    retry.on_event([&heard](const RetryEvent& event) { heard.push_back(event.delay); });
    for (int call = 0; call < 3; ++call) {
      Script script{.failures = {kTransient, kTransient}};
      EXPECT_TRUE(retry.execute(script).has_value());
    }
    return heard;
  };
  EXPECT_EQ(delays(1), delays(1));
  EXPECT_NE(delays(1), delays(2));
  EXPECT_NE(delays(1)[0], delays(1)[3]);  // Two calls differ.
}

TEST(Retry, AllocatesNothingToSucceedOrToDecide) {
  ManualClock clock;
  const auto budget = std::make_shared<RetryBudget>();
  Retry retry({.max_duration = 1min, .budget = budget}, clock);
  const auto succeed = [](const CallContext&) -> Result<int> { return 1; };
  EXPECT_TRUE(retry.execute(succeed).has_value());  // The thread's first call sets up its counters.

  const std::size_t before = test::allocations();
  const bool succeeded = retry.execute(succeed).has_value();
  Schedule schedule = retry.begin();
  const Decision decision = retry.record_failure(schedule, kTransient, clock.now());
  const std::size_t after = test::allocations();
  EXPECT_TRUE(succeeded);
  EXPECT_EQ(decision.reason, GiveUpReason::NotIdempotent);
  EXPECT_EQ(after, before);
}

// Call number i fails i % 4 times first. Returns the attempts made.
std::uint64_t call_in_turn(Retry& retry, unsigned calls) {
  std::uint64_t attempts = 0;
  for (unsigned i = 0; i < calls; ++i) {
    Script script{.failures = std::vector<Classification>(i % 4, kTransient)};
    EXPECT_EQ(retry.execute(script).has_value(), i % 4 < 3);
    attempts += script.calls;
  }
  return attempts;
}

TEST(RetryStress, CallsAddUpExactly) {
  constexpr unsigned kThreads = 8;
  constexpr unsigned kCalls = 1'000;
  constexpr std::uint64_t kQuarter = kThreads * kCalls / 4;
  ManualClock clock;
  const auto budget = std::make_shared<RetryBudget>(RetryBudgetConfig{.max_tokens = 1'000'000});
  Retry retry({.idempotent = true, .budget = budget}, clock);
  std::atomic<std::uint64_t> attempts{0};
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&retry, &attempts] { attempts += call_in_turn(retry, kCalls); });
  }
  threads.clear();  // Joins.
  const RetryMetrics metrics = retry.metrics();
  EXPECT_EQ(metrics.successful_calls_without_retry_attempt, kQuarter);
  EXPECT_EQ(metrics.successful_calls_with_retry_attempt, 2 * kQuarter);
  EXPECT_EQ(metrics.failed_calls_without_retry_attempt, 0U);
  EXPECT_EQ(metrics.failed_calls_with_retry_attempt, kQuarter);
  EXPECT_EQ(metrics.retries + 4 * kQuarter, attempts.load());
  EXPECT_EQ(budget->metrics().retries_allowed, 6 * kQuarter);  // 0 + 1 + 2 + 3 failures.
}

TEST(Retry, AConfigurationThatCannotWorkIsABug) {
  EXPECT_DEATH(Retry({.max_attempts = 0}), "CHECK failed");
}

// Whatever the configuration and the failures: bounded attempts, no wake-up at or past the
// deadline, no retry of what must not be retried.
RC_GTEST_PROP(RetryProperty, KeepsItsPromises, ()) {
  ManualClock clock(Instant{1s});
  const RetryConfig config{
      .max_attempts = *rc::gen::inRange(1U, 10U),
      .max_duration = milliseconds{*rc::gen::inRange(1, 20'000)},
      .backoff = {.kind = static_cast<BackoffKind>(*rc::gen::inRange(0, 3)),
                  .initial_interval = milliseconds{*rc::gen::inRange(0, 2'000)},
                  .multiplier = 2.0,
                  .max_interval = milliseconds{*rc::gen::inRange(0, 10'000)},
                  .jitter = static_cast<Jitter>(*rc::gen::inRange(0, 6))},
      .idempotent = *rc::gen::arbitrary<bool>(),
      .retry_after = static_cast<RetryAfterRule>(*rc::gen::inRange(0, 3)),
      .max_retry_after = milliseconds{*rc::gen::inRange(0, 10'000)},
      .seed = *rc::gen::arbitrary<std::uint64_t>()};
  const Instant deadline = clock.now() + config.max_duration;
  Retry retry(config, clock);
  std::optional<Classification> last;
  unsigned calls = 0;
  bool kept = true;  // An assertion that throws in the operation would only be retried.
  const Result<void> result = retry.execute([&](const CallContext& context) -> Result<void> {
    kept = kept && context.attempt == ++calls;
    kept = kept && (calls == 1 || clock.now() < deadline);
    if (last) {
      kept = kept && (last->persistence == Persistence::Transient ||
                      last->persistence == Persistence::Throttled);
      kept = kept && (config.idempotent || last->delivery == Delivery::NotSent);
    }
    if (*rc::gen::inRange(0, 8) == 0) return {};
    clock.advance(milliseconds{*rc::gen::inRange(0, 500)});
    last = Classification{.persistence = static_cast<Persistence>(*rc::gen::inRange(0, 4)),
                          .delivery = static_cast<Delivery>(*rc::gen::inRange(0, 2))};
    if (*rc::gen::arbitrary<bool>()) last->retry_after = milliseconds{*rc::gen::inRange(0, 60'000)};
    return Unexpected(failed(*last));
  });
  RC_ASSERT(kept);
  RC_ASSERT(calls >= 1U && calls <= config.max_attempts);
  const RetryMetrics metrics = retry.metrics();
  RC_ASSERT(metrics.retries == calls - 1);
  RC_ASSERT(metrics.successful_calls_without_retry_attempt +
                metrics.successful_calls_with_retry_attempt +
                metrics.failed_calls_without_retry_attempt +
                metrics.failed_calls_with_retry_attempt + metrics.cancelled_calls ==
            1U);
  if (!result) {
    RC_ASSERT(result.error().message() == std::string("as told"));
  }
}

}  // namespace
}  // namespace recover::retry
