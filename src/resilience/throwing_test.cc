// What users give a policy may throw: predicates and traits inside execute(), and listeners. No
// permit leaks, nobody waits for ever, and no other listener misses the event.
#include <gtest/gtest.h>

#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

#include <recover/adaptive_limiter.h>
#include <recover/bulkhead.h>
#include <recover/cache.h>
#include <recover/circuit_breaker.h>
#include <recover/failover.h>
#include <recover/fallback.h>
#include <recover/hedge.h>
#include <recover/pipeline.h>
#include <recover/pool.h>
#include <recover/retry.h>

namespace recover {

// A value whose traits cannot make up their mind.
struct Poison {};
template <>
struct ResultTraits<Poison> {
  static bool is_failure(const Poison& /*value*/) { throw std::logic_error("traits"); }
  static Classification classify(const Poison& /*value*/) { return {}; }
};

// An error that cannot be told.
struct Unspeakable {};
template <>
struct ErrorTraits<Unspeakable> {
  static Classification classify(const Unspeakable& /*error*/) { return {}; }
  static Error to_error(const Unspeakable& /*error*/) { throw std::logic_error("traits"); }
};

namespace {

using namespace std::chrono_literals;

Result<int> fails() {
  return Unexpected(Error(ErrorKind::OperationFailed, {.error_class = ErrorClass::Connection}));
}
Poison poison() {
  return {};
}
bool undecided(const Classification& /*failure*/) {
  throw std::logic_error("predicate");
}

CircuitBreakerConfig breaker_config() {
  return {.sliding_window = {.size = 2},
          .minimum_calls = 2,
          .wait_in_open = {.initial = 10s},
          .permitted_calls_in_half_open = 1};
}

// Opens it, and lets the wait pass: one probe is to be had.
void open_and_wait(CircuitBreaker& breaker, ManualClock& clock) {
  breaker.transition_to(circuitbreaker::State::Open);
  clock.advance(10s);
}

TEST(ThrowingPredicate, OfABreakerReleasesThePermitAndPasses) {
  ManualClock clock;
  CircuitBreakerConfig config = breaker_config();
  config.ignore_failure = undecided;
  CircuitBreaker breaker(config, clock);
  EXPECT_THROW(static_cast<void>(breaker.execute(fails)), std::logic_error);
  EXPECT_EQ(breaker.metrics().released, 1U);
  open_and_wait(breaker, clock);
  EXPECT_THROW(static_cast<void>(breaker.execute(fails)), std::logic_error);
  EXPECT_EQ(breaker.state(), circuitbreaker::State::HalfOpen);
  EXPECT_EQ(*breaker.execute([] { return 1; }), 1) << "the probe is to be had again";
  EXPECT_EQ(breaker.state(), circuitbreaker::State::Closed);
}

TEST(ThrowingPredicate, ThatRecordsForABreakerReleasesThePermitToo) {
  CircuitBreakerConfig config = breaker_config();
  config.record_failure = undecided;
  config.evaluate_on = circuitbreaker::EvaluateOn::Tick;  // Under the mutex.
  ManualClock clock;
  CircuitBreaker breaker(config, clock);
  EXPECT_THROW(static_cast<void>(breaker.execute(fails)), std::logic_error);
  EXPECT_EQ(breaker.metrics().released, 1U);
}

TEST(ThrowingTraits, ReleaseThePermitOfABreaker) {
  ManualClock clock;
  CircuitBreaker breaker(breaker_config(), clock);
  open_and_wait(breaker, clock);
  EXPECT_THROW(static_cast<void>(breaker.execute(poison)), std::logic_error);
  EXPECT_EQ(breaker.metrics().released, 1U);
  EXPECT_TRUE(breaker.try_acquire().has_value());
}

TEST(ThrowingTraits, ReleaseThePermitsOfTheLimiters) {
  Bulkhead bulkhead({.max_concurrent_calls = 1});
  EXPECT_TRUE(bulkhead.execute(poison).has_value()) << "a bulkhead does not ask";
  const Result<int> untold =
      bulkhead.execute([]() -> Result<int, Unspeakable> { return Unexpected(Unspeakable()); });
  EXPECT_TRUE(untold.error().exception() != nullptr);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);

  AdaptiveLimiter limiter({.initial_limit = 1});
  EXPECT_THROW(static_cast<void>(limiter.execute(poison)), std::logic_error);
  EXPECT_EQ(limiter.metrics().in_flight, 0U);
  EXPECT_EQ(limiter.metrics().ignored, 1U);
}

TEST(ThrowingPredicate, OfAChainReleasesTheProbe) {
  ManualClock clock;
  failover::FailoverConfig config{.return_to_primary_after = 0s, .idempotent = true};
  config.outlier.consecutive_failures = 1;
  bool decided = true;
  config.failover_on = [&](const Classification& failure) { return decided || undecided(failure); };
  FailoverChain chain(config, clock);
  const auto only_secondary = [](std::size_t target) { return target == 0 ? fails() : 1; };
  EXPECT_EQ(*chain.execute(only_secondary), 1);
  EXPECT_EQ(chain.metrics().active_target, 1U);
  clock.advance(60s);
  decided = false;
  EXPECT_THROW(static_cast<void>(chain.execute(only_secondary)), std::logic_error);
  EXPECT_TRUE(chain.try_acquire()->is_probe());
}

TEST(ThrowingTraits, GiveTheLeaseBackAndCloseItsObject) {
  ManualClock clock;
  int opened = 0;
  Pool<int> pool(
      {.max_size = 1}, [&] { return ++opened; }, {}, clock);
  EXPECT_THROW(static_cast<void>(pool.execute([](int&) { return Poison(); })), std::logic_error);
  EXPECT_EQ(pool.metrics().out, 0U);
  EXPECT_EQ(**pool.try_acquire(), 2) << "nobody knows what state the first is in";
}

TEST(ThrowingTraits, OfALoadKeepNobodyWaiting) {
  ManualClock clock;
  LastGoodCache<Poison> cache({}, clock);
  for (int i = 0; i < 2; ++i) {  // The second would wait for the first for ever.
    EXPECT_THROW(static_cast<void>(cache.get_or_load(poison)), std::logic_error);
  }
  EXPECT_EQ(cache.metrics().loads, 2U);
}

TEST(ThrowingPredicate, OfAFallbackPasses) {
  const auto undecided_error = [](const Error&) -> bool { throw std::logic_error("predicate"); };
  Fallback<int> fallback({fallback::use_value(1, undecided_error)});
  EXPECT_THROW(static_cast<void>(fallback.execute(fails)), std::logic_error);
}

// To the layer around it, a policy is an operation: what it throws is an Error there.
TEST(ThrowingPredicate, InAPipelineIsAnErrorOfTheCall) {
  ManualClock clock;
  CircuitBreakerConfig config = breaker_config();
  config.ignore_failure = undecided;
  CircuitBreaker breaker(config, clock);
  Bulkhead bulkhead({.max_concurrent_calls = 1}, clock);
  AdaptiveLimiter limiter({.initial_limit = 1}, clock);
  const Pipeline pipeline({.circuit_breaker = &breaker,
                           .bulkhead = &bulkhead,
                           .adaptive_limiter = &limiter,
                           .clock = &clock});
  const Result<int> result = pipeline.execute(fails);
  ASSERT_FALSE(result.has_value());
  EXPECT_THROW(std::rethrow_exception(result.error().exception()), std::logic_error);
  EXPECT_EQ(breaker.metrics().released, 1U);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
  EXPECT_EQ(limiter.metrics().in_flight, 0U);
}

// ---- listeners

void blow_up() {
  throw std::runtime_error("listener");
}

TEST(ThrowingTraits, OfARetryLeaveAFailedCall) {
  ManualClock clock;
  Retry retry({.idempotent = true}, clock);
  EXPECT_THROW(static_cast<void>(retry.execute(poison)), std::logic_error);
  EXPECT_EQ(retry.metrics().failed_calls_without_retry_attempt, 1U);
}

// Nobody above the executor's thread could hear of it, so it is the attempt's failure.
TEST(ThrowingTraits, UnderAHedgeAreTheAttemptsFailure) {
  hedge::ThreadPool threads({.threads = 1});
  const HedgeConfig config{.idempotent = true, .max_hedged_attempts = 1, .delay = 0s};
  Hedge hedge(config, threads);
  const Result<Poison> outcome = hedge.execute(poison);
  ASSERT_FALSE(outcome.has_value());
  EXPECT_THROW(std::rethrow_exception(outcome.error().exception()), std::logic_error);
}

TEST(ThrowingListener, OfABreakerHoldsNoTransitionUp) {
  ManualClock clock;
  CircuitBreaker breaker(breaker_config(), clock);
  const Subscription broken = breaker.on_event([](const circuitbreaker::Event&) { blow_up(); });
  std::vector<circuitbreaker::State> heard;
  breaker.on_event([&](const circuitbreaker::Event& event) { heard.push_back(event.to); });
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(breaker.execute(fails).has_value());
  clock.advance(10s);
  { const auto dropped = breaker.try_acquire(); }  // Half-opens; the release is in a destructor.
  EXPECT_EQ(*breaker.execute([] { return 1; }), 1);
  using S = circuitbreaker::State;
  EXPECT_EQ(heard, (std::vector{S::Open, S::HalfOpen, S::Closed}));
  EXPECT_EQ(broken.errors(), 3U);
}

TEST(ThrowingListener, BreaksNoOtherPolicy) {
  ManualClock clock;
  Bulkhead bulkhead({.max_concurrent_calls = 1}, clock);
  const Subscription refused = bulkhead.on_event([](const BulkheadEvent&) { blow_up(); });
  const auto permit = bulkhead.try_acquire();
  EXPECT_EQ(bulkhead.execute(fails).error().kind(), ErrorKind::BulkheadFull);
  EXPECT_EQ(refused.errors(), 1U);

  Retry retry({.max_attempts = 2, .idempotent = true}, clock);
  const Subscription retried = retry.on_event([](const retry::RetryEvent&) { blow_up(); });
  EXPECT_EQ(retry.execute(fails).error().kind(), ErrorKind::OperationFailed);
  int attempts = 0;
  EXPECT_EQ(*retry.execute([&] { return ++attempts == 1 ? fails() : 1; }), 1);
  EXPECT_EQ(retried.errors(), 4U) << "two retries, one given up, one late success";

  FailoverChain chain(
      {.outlier = {.consecutive_failures = 1, .max_ejection_percent = 100}, .idempotent = true},
      clock);
  const Subscription ejected = chain.on_event([](const failover::Event&) { blow_up(); });
  EXPECT_EQ(*chain.execute([](std::size_t target) { return target == 0 ? fails() : 1; }), 1);
  EXPECT_EQ(ejected.errors(), 2U) << "ejected, failed over";
}

}  // namespace
}  // namespace recover
