// The decisions of a retry as a pure state machine: after each attempt, whether to make another one
// and how long to wait first.
//
// Never retries what cannot help or may harm: a cancelled call, a failure the predicate refuses, an
// operation that is not idempotent and may have been sent. Never waits past the deadline: when the
// next attempt could not begin before it, gives up at once and says so.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>

#include <recover/backoff.h>
#include <recover/error.h>
#include <recover/result.h>
#include <recover/retry_budget.h>
#include <recover/time.h>

namespace recover {
namespace retry {

inline constexpr unsigned kDefaultMaxAttempts = 3;  // Resilience4j RetryConfig.
inline constexpr Duration kNoMaxDuration = Duration::max();
inline constexpr Duration kDefaultMaxRetryAfter = std::chrono::seconds{10};

// What becomes of a wait the other side asks for (Classification::retry_after).
enum class RetryAfterRule : std::uint8_t {
  Ignore,   // The backoff alone decides.
  Clamp,    // The backoff's delay raised to the hint, by max_retry_after at most.
  Replace,  // The hint, at most max_retry_after, instead of the delay; the backoff begins again
            // (gRPC A6, "Pushback").
};

// Which failures are worth another attempt. Must be pure and must not throw.
using RetryPredicate = std::function<bool(const Classification&)>;

struct RetryConfig {
  unsigned max_attempts = kDefaultMaxAttempts;  // With the first call; >= 1.
  // From the first attempt on; above 0. Attempts in progress are not cut short: see TimeLimiter.
  Duration max_duration = kNoMaxDuration;
  BackoffConfig backoff = {};  // Constant 500 ms (Resilience4j).
  // False is the safe answer for an operation nobody has thought about: it is retried only when it
  // is known not to have been sent. Say true for what may happen twice.
  bool idempotent = false;
  RetryPredicate retry_on = {};  // Empty: Transient and Throttled. Cancelled is never retried.
  RetryAfterRule retry_after = RetryAfterRule::Clamp;
  Duration max_retry_after = kDefaultMaxRetryAfter;  // >= 0
  std::shared_ptr<RetryBudget> budget = {};          // Shared per dependency; null: unlimited.
  std::optional<std::uint64_t> seed = {};            // Of the jitter; nullopt: from entropy.

  Result<void> validate() const;
};

enum class GiveUpReason : std::uint8_t {
  NotRetryable,       // The predicate says that trying again cannot help.
  NotIdempotent,      // The request may have had its effect, and must not have it twice.
  AttemptsExhausted,  // max_attempts made.
  BudgetExhausted,    // The dependency's retry budget is used up.
  DeadlineWouldPass,  // The next attempt could not begin before the deadline.
  Cancelled,          // The attempt was cancelled.
  RefusedForLonger,   // A policy on our side refuses for longer than max_retry_after (an open
                      // breaker), or until somebody decides otherwise (one forced open). Waiting
                      // less would only be refused again.
};

std::string_view to_string(GiveUpReason value) noexcept;  // "attempts_exhausted"

struct Decision {
  enum class Verdict : std::uint8_t { Succeeded, RetryAfter, GiveUp };
  Verdict verdict = Verdict::Succeeded;
  Duration delay = Duration::zero();                  // RetryAfter: wait this long.
  std::optional<GiveUpReason> reason = std::nullopt;  // GiveUp: why.

  friend bool operator==(const Decision&, const Decision&) = default;
};

// The decisions of one call, as a pure state machine. Not thread-safe; allocates nothing.
class Schedule {
 public:
  // `deadline` is when the whole call must be over. REQUIRES: config is valid and outlives this.
  explicit Schedule(const RetryConfig& config, Instant deadline = kNever) noexcept
      : config_(&config), deadline_(deadline), backoff_(config.backoff) {}

  // The attempt to make or being made, from 1.
  unsigned attempt() const noexcept { return attempt_; }
  Instant deadline() const noexcept { return deadline_; }

  Decision on_success() const noexcept { return {Decision::Verdict::Succeeded}; }

  // The attempt failed at `now`. `u` in [0, 1) is the jitter; `budget_allows` is the answer of the
  // shared budget, which is asked for the failures that is_retryable() only. RetryAfter begins the
  // next attempt: attempt() has moved on.
  Decision on_failure(const Classification& failure, Instant now, double u,
                      bool budget_allows = true);

  // The kind of failure alone allows another attempt. Throws what retry_on throws.
  bool is_retryable(const Classification& failure) const;

 private:
  std::optional<GiveUpReason> refusal(const Classification& failure, bool budget_allows) const;
  Duration next_delay(const Classification& failure, double u) noexcept;

  const RetryConfig* config_;
  Instant deadline_;
  Backoff backoff_;
  unsigned attempt_ = 1;
};

}  // namespace retry

using retry::RetryConfig;

}  // namespace recover
