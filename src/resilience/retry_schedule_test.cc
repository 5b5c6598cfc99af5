#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include <recover/retry_schedule.h>

namespace recover::retry {
namespace {

using namespace std::chrono_literals;
using Verdict = Decision::Verdict;

constexpr Classification kTransient{};
constexpr Classification kPermanent{.persistence = Persistence::Permanent};
constexpr Classification kCancelled{.persistence = Persistence::Cancelled};

Classification throttled(Duration retry_after) {
  return {.persistence = Persistence::Throttled, .retry_after = retry_after};
}

Decision give_up(GiveUpReason reason) {
  return {.verdict = Verdict::GiveUp, .reason = reason};
}
Decision retry_in(Duration delay) {
  return {.verdict = Verdict::RetryAfter, .delay = delay};
}

TEST(Schedule, StopsAfterMaxAttempts) {
  const RetryConfig config{.idempotent = true};
  Schedule schedule(config);
  EXPECT_EQ(schedule.attempt(), 1U);
  EXPECT_EQ(schedule.on_failure(kTransient, Instant{}, 0.0), retry_in(500ms));
  EXPECT_EQ(schedule.attempt(), 2U);
  EXPECT_EQ(schedule.on_failure(kTransient, Instant{}, 0.0), retry_in(500ms));
  EXPECT_EQ(schedule.on_failure(kTransient, Instant{}, 0.0),
            give_up(GiveUpReason::AttemptsExhausted));
  EXPECT_EQ(schedule.attempt(), 3U);
  EXPECT_EQ(schedule.on_success().verdict, Verdict::Succeeded);
}

Decision expected_first_decision(const Classification& failure, bool idempotent) {
  if (failure.persistence == Persistence::Cancelled) return give_up(GiveUpReason::Cancelled);
  if (failure.persistence == Persistence::Permanent) return give_up(GiveUpReason::NotRetryable);
  if (!idempotent && failure.delivery == Delivery::Unknown) {
    return give_up(GiveUpReason::NotIdempotent);
  }
  return retry_in(500ms);
}

// Every persistence, delivery and idempotence.
TEST(Schedule, RetriesOnlyWhatCanHelpAndCannotHarm) {
  for (int bits = 0; bits < 16; ++bits) {
    const Classification failure{.persistence = static_cast<Persistence>(bits & 3),
                                 .delivery = static_cast<Delivery>((bits >> 2) & 1)};
    const RetryConfig config{.idempotent = bits >= 8};
    EXPECT_EQ(Schedule(config).on_failure(failure, Instant{}, 0.0),
              expected_first_decision(failure, config.idempotent))
        << bits;
  }
}

TEST(Schedule, ThePredicateDecidesAllButCancellation) {
  const RetryConfig all{.idempotent = true, .retry_on = [](const Classification&) { return true; }};
  EXPECT_EQ(Schedule(all).on_failure(kPermanent, Instant{}, 0.0), retry_in(500ms));
  EXPECT_EQ(Schedule(all).on_failure(kCancelled, Instant{}, 0.0), give_up(GiveUpReason::Cancelled));
  const RetryConfig none{.idempotent = true,
                         .retry_on = [](const Classification&) { return false; }};
  EXPECT_EQ(Schedule(none).on_failure(kTransient, Instant{}, 0.0),
            give_up(GiveUpReason::NotRetryable));
}

TEST(Schedule, NeverSleepsPastTheDeadline) {
  const RetryConfig config{.idempotent = true};
  const Instant deadline{1s};
  const auto decide = [&](Duration now) {
    return Schedule(config, deadline).on_failure(kTransient, Instant{now}, 0.0);
  };
  EXPECT_EQ(decide(499ms), retry_in(500ms));
  EXPECT_EQ(decide(500ms), give_up(GiveUpReason::DeadlineWouldPass));  // Nothing left to try in.
  EXPECT_EQ(decide(2s), give_up(GiveUpReason::DeadlineWouldPass));
}

TEST(Schedule, AWaitWithoutEndIsNoRetry) {
  const RetryConfig config{.backoff = {.initial_interval = Duration::max()}, .idempotent = true};
  EXPECT_EQ(Schedule(config).on_failure(kTransient, Instant{1s}, 0.0),
            give_up(GiveUpReason::DeadlineWouldPass));
}

TEST(Schedule, AHintRaisesTheDelayWithinItsClamp) {
  RetryConfig config{.idempotent = true, .max_retry_after = 5s};
  EXPECT_EQ(Schedule(config).on_failure(throttled(2s), Instant{}, 0.0), retry_in(2s));
  EXPECT_EQ(Schedule(config).on_failure(throttled(1ms), Instant{}, 0.0), retry_in(500ms));
  EXPECT_EQ(Schedule(config).on_failure(throttled(1h), Instant{}, 0.0), retry_in(5500ms));
  config.retry_after = RetryAfterRule::Ignore;
  EXPECT_EQ(Schedule(config).on_failure(throttled(2s), Instant{}, 0.0), retry_in(500ms));
}

// An open breaker says when it will let calls in again; waiting for less than that is no use.
TEST(Schedule, ALocalRefusalBeyondTheClampEndsTheCall) {
  const RetryConfig config{.max_retry_after = 5s};
  const auto refused_for = [](Duration wait) {
    return Error(Rejection{.retry_after = wait}).classification();
  };
  EXPECT_EQ(Schedule(config).on_failure(refused_for(5s), Instant{}, 0.0), retry_in(5s));
  EXPECT_EQ(Schedule(config).on_failure(refused_for(5s + 1ns), Instant{}, 0.0),
            give_up(GiveUpReason::RefusedForLonger));
}

// No wait opens a breaker that somebody has forced open, whatever becomes of hints.
TEST(Schedule, AnIndefiniteRefusalEndsTheCall) {
  const Classification forced_open = Error(Rejection{}).classification();
  for (const auto rule : {RetryAfterRule::Ignore, RetryAfterRule::Clamp, RetryAfterRule::Replace}) {
    const RetryConfig config{.idempotent = true, .retry_after = rule};
    EXPECT_EQ(Schedule(config).on_failure(forced_open, Instant{}, 0.0),
              give_up(GiveUpReason::RefusedForLonger));
  }
  const Classification full = Error(Rejection{.kind = ErrorKind::BulkheadFull}).classification();
  EXPECT_EQ(Schedule(RetryConfig{}).on_failure(full, Instant{}, 0.0), retry_in(500ms));
}

// Conformance vector B12: a pushback replaces the delay exactly, and the backoff begins again.
TEST(Schedule, AHintCanReplaceTheDelay) {
  const RetryConfig config{
      .max_attempts = 9,
      .backoff = {.kind = BackoffKind::Exponential, .initial_interval = 1s, .multiplier = 2.0},
      .idempotent = true,
      .retry_after = RetryAfterRule::Replace,
      .max_retry_after = 10s};
  Schedule schedule(config);
  EXPECT_EQ(schedule.on_failure(kTransient, Instant{}, 0.0), retry_in(1s));
  EXPECT_EQ(schedule.on_failure(kTransient, Instant{}, 0.0), retry_in(2s));
  EXPECT_EQ(schedule.on_failure(throttled(7ms), Instant{}, 0.0), retry_in(7ms));
  EXPECT_EQ(schedule.on_failure(kTransient, Instant{}, 0.0), retry_in(1s));
  EXPECT_EQ(schedule.on_failure(throttled(1h), Instant{}, 0.0), retry_in(10s));
}

TEST(RetryConfig, NamesTheBadField) {
  const auto complaint = [](const RetryConfig& config) {
    const Result<void> valid = config.validate();
    return valid ? std::string() : valid.error().message();
  };
  EXPECT_EQ(complaint({}), "");
  EXPECT_EQ(complaint({.max_attempts = 0}), "retry.max_attempts: must be at least 1, got 0");
  EXPECT_EQ(complaint({.max_duration = 0ms}), "retry.max_duration: must be above 0, got 0 ns");
  EXPECT_TRUE(complaint({.backoff = {.multiplier = 0.0}}).starts_with("backoff.multiplier"));
  EXPECT_TRUE(complaint({.max_retry_after = -1ns}).starts_with("retry.max_retry_after"));
}

TEST(GiveUpReasons, HaveNames) {
  EXPECT_EQ(to_string(GiveUpReason::NotRetryable), "not_retryable");
  EXPECT_EQ(to_string(GiveUpReason::Cancelled), "cancelled");
}

}  // namespace
}  // namespace recover::retry
