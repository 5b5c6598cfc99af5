// A retry budget: retries of one dependency stop when too many of its calls fail, however many
// callers there are, so that retrying cannot multiply an overload.
//
// The token bucket of gRPC (proposal A6, "Throttling Retry Attempts and Hedged RPCs"), in
// milli-token integers: a failure takes one token, a success gives token_ratio of one, and retries
// are allowed while more than half the tokens are left. 0 <= tokens <= max_tokens, always.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <utility>

#include <recover/counters.h>
#include <recover/event.h>
#include <recover/result.h>

namespace recover {
namespace retry {

inline constexpr std::uint32_t kBudgetTokensMax = 1'000'000;

struct RetryBudgetConfig {
  // Values of the example in gRPC A6, which has no defaults.
  std::uint32_t max_tokens = 10;  // 1 .. kBudgetTokensMax; the bucket starts full.
  double token_ratio = 0.1;       // Above 0, at most max_tokens; rounded to a thousandth.

  Result<void> validate() const;
};

// The arithmetic of the bucket on a number of milli-tokens. Pure.
class BudgetRule {
 public:
  static constexpr std::int64_t kMilli = 1000;

  // REQUIRES: a valid config.
  explicit BudgetRule(const RetryBudgetConfig& config) noexcept;

  constexpr std::int64_t full() const noexcept { return max_; }
  constexpr std::int64_t after_failure(std::int64_t tokens) const noexcept {
    return std::max<std::int64_t>(0, tokens - kMilli);
  }
  constexpr std::int64_t after_success(std::int64_t tokens) const noexcept {
    return std::min(max_, tokens + ratio_);
  }
  constexpr bool allows_retry(std::int64_t tokens) const noexcept { return 2 * tokens > max_; }

 private:
  std::int64_t max_;
  std::int64_t ratio_;
};

struct RetryBudgetEvent {
  enum class Type : std::uint8_t { Exhausted, Restored };
  Type type = Type::Exhausted;
  double tokens = 0.0;
};

struct RetryBudgetMetrics {
  double tokens = 0.0;
  std::uint64_t retries_allowed = 0;
  std::uint64_t retries_refused = 0;
};

// Shared by every Retry that calls the same dependency. Any thread may call any member; no member
// blocks or allocates.
class RetryBudget {
 public:
  explicit RetryBudget(const RetryBudgetConfig& config = {});

  // A call failed in a way worth retrying. Takes a token and says whether it may be retried.
  bool on_failure() noexcept;

  // A call succeeded. One load when the bucket is full.
  void on_success() noexcept;

  bool allows_retry() const noexcept { return rule_.allows_retry(tokens_.load()); }
  double tokens() const noexcept;
  RetryBudgetMetrics metrics() const noexcept;

  // Told when retries stop being allowed and when they are again.
  Subscription on_event(Listeners<RetryBudgetEvent>::Listener listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  enum class Counter : std::uint8_t { Allowed, Refused, Count };

  void emit(RetryBudgetEvent::Type type, std::int64_t tokens) const noexcept;

  BudgetRule rule_;
  std::atomic<std::int64_t> tokens_;  // Milli-tokens.
  Counters<Counter> counters_;
  Listeners<RetryBudgetEvent> listeners_;
};

}  // namespace retry

using retry::RetryBudget;
using retry::RetryBudgetConfig;

}  // namespace recover
