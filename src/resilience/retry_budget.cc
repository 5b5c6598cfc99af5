#include <cmath>
#include <string>

#include <recover/check.h>
#include <recover/error.h>
#include <recover/retry_budget.h>

namespace recover::retry {

Result<void> RetryBudgetConfig::validate() const {
  if (max_tokens < 1 || max_tokens > kBudgetTokensMax) {
    return Unexpected(Error::invalid_config("retry_budget.max_tokens: must be in 1.." +
                                            std::to_string(kBudgetTokensMax) + ", got " +
                                            std::to_string(max_tokens)));
  }
  if (!(token_ratio >= 0.0005 && token_ratio <= max_tokens)) {
    return Unexpected(Error::invalid_config(
        "retry_budget.token_ratio: must be at least 0.0005 and at most max_tokens, got " +
        std::to_string(token_ratio)));
  }
  return {};
}

BudgetRule::BudgetRule(const RetryBudgetConfig& config) noexcept
    : max_(config.max_tokens * kMilli), ratio_(std::llround(config.token_ratio * kMilli)) {}

RetryBudget::RetryBudget(const RetryBudgetConfig& config) : rule_(config), tokens_(rule_.full()) {
  RECOVER_CHECK_VALID(config);
}

bool RetryBudget::on_failure() noexcept {
  std::int64_t before = tokens_.load(std::memory_order_relaxed);
  while (before > 0 && !tokens_.compare_exchange_weak(before, rule_.after_failure(before),
                                                      std::memory_order_relaxed)) {
  }
  const std::int64_t after = rule_.after_failure(before);
  const bool allowed = rule_.allows_retry(after);
  counters_.add(allowed ? Counter::Allowed : Counter::Refused);
  if (!allowed && rule_.allows_retry(before)) emit(RetryBudgetEvent::Type::Exhausted, after);
  return allowed;
}

void RetryBudget::on_success() noexcept {
  std::int64_t before = tokens_.load(std::memory_order_relaxed);
  while (before < rule_.full() &&
         !tokens_.compare_exchange_weak(before, rule_.after_success(before),
                                        std::memory_order_relaxed)) {
  }
  const std::int64_t after = rule_.after_success(before);
  if (!rule_.allows_retry(before) && rule_.allows_retry(after)) {
    emit(RetryBudgetEvent::Type::Restored, after);
  }
}

double RetryBudget::tokens() const noexcept {
  return static_cast<double>(tokens_.load(std::memory_order_relaxed)) / BudgetRule::kMilli;
}

RetryBudgetMetrics RetryBudget::metrics() const noexcept {
  return {.tokens = tokens(),
          .retries_allowed = counters_.value(Counter::Allowed),
          .retries_refused = counters_.value(Counter::Refused)};
}

void RetryBudget::emit(RetryBudgetEvent::Type type, std::int64_t tokens) const noexcept {
  listeners_.emit({type, static_cast<double>(tokens) / BudgetRule::kMilli});
}

}  // namespace recover::retry
