// The policies around one dependency, and a smaller set around its stand-in: the part to copy.
//
// Numbers are small so that a watcher sees every policy act within seconds; the order in which
// they are applied is that of recover::Pipeline.
#pragma once

#include <chrono>
#include <memory>

#include <recover/bulkhead.h>
#include <recover/circuit_breaker.h>
#include <recover/failover.h>
#include <recover/pipeline.h>
#include <recover/rate_limiter.h>
#include <recover/retry.h>
#include <recover/retry_budget.h>
#include <recover/time_limiter.h>

namespace flaky {

using namespace std::chrono_literals;  // NOLINT(google-build-using-namespace): literals only.

// Our own refusals carry "throttled" and "not sent": the replica is quicker than waiting for them.
inline bool worth_a_retry(const recover::Classification& failure) {
  return failure.persistence == recover::Persistence::Transient ||
         (failure.persistence == recover::Persistence::Throttled &&
          failure.delivery == recover::Delivery::Unknown);
}

// A failed call costs one token, a good one earns half of one; nobody retries with 10 or fewer.
inline constexpr recover::RetryBudgetConfig kRetryBudget = {.max_tokens = 20, .token_ratio = 0.5};

struct PrimaryPolicies {
  recover::TimeLimiter total_timeout{{.timeout_duration = 600ms}};
  std::shared_ptr<recover::RetryBudget> budget =
      std::make_shared<recover::RetryBudget>(kRetryBudget);
  recover::Retry retry{{.max_attempts = 3,
                        .backoff = {.kind = recover::retry::BackoffKind::Exponential,
                                    .initial_interval = 20ms,
                                    .multiplier = 2.0,
                                    .max_interval = 200ms,
                                    .jitter = recover::retry::Jitter::Full},
                        .idempotent = true,  // A GET may be sent twice.
                        .retry_on = worth_a_retry,
                        .budget = budget}};
  recover::CircuitBreaker breaker{{.sliding_window = {.size = 10},
                                   .minimum_calls = 10,
                                   .failure_rate_threshold = 50,
                                   .wait_in_open = {.initial = 600ms, .multiplier = 1.5, .max = 2s},
                                   .permitted_calls_in_half_open = 3}};
  recover::Bulkhead bulkhead{
      {.max_concurrent_calls = 4, .max_queued = 8, .max_wait_duration = 100ms}};
  recover::RateLimiter rate_limiter{{.algorithm = recover::ratelimiter::Algorithm::TokenBucket,
                                     .limit_for_period = 100,
                                     .limit_refresh_period = 1s,
                                     .timeout_duration = 50ms}};
  recover::TimeLimiter attempt_timeout{{.timeout_duration = 150ms}};
  recover::Pipeline pipeline{{.total_timeout = &total_timeout,
                              .retry = &retry,
                              .circuit_breaker = &breaker,
                              .bulkhead = &bulkhead,
                              .rate_limiter = &rate_limiter,
                              .attempt_timeout = &attempt_timeout}};
};

// A small machine: ten calls a second, no waiting. What it refuses, the cache answers.
struct ReplicaPolicies {
  recover::RateLimiter rate_limiter{
      {.limit_for_period = 10, .limit_refresh_period = 1s, .timeout_duration = 0s}};
  recover::TimeLimiter attempt_timeout{{.timeout_duration = 150ms}};
  recover::Pipeline pipeline{{.rate_limiter = &rate_limiter, .attempt_timeout = &attempt_timeout}};
};

// Primary, then replica, call by call. The breaker remembers the primary's health, so the chain
// ejects nobody.
inline recover::FailoverConfig failover_config() {
  return {.targets = 2, .outlier = {.max_ejection_percent = 0}, .idempotent = true};
}

}  // namespace flaky
