#include <algorithm>
#include <array>
#include <string>

#include <recover/check.h>
#include <recover/retry_schedule.h>

namespace recover::retry {
namespace {

constexpr std::array<std::string_view, 7> kReasonNames = {
    "not_retryable",       "not_idempotent", "attempts_exhausted", "budget_exhausted",
    "deadline_would_pass", "cancelled",      "refused_for_longer",
};
static_assert(kReasonNames.size() == static_cast<std::size_t>(GiveUpReason::RefusedForLonger) + 1);

bool may_pass(Persistence persistence) noexcept {
  return persistence == Persistence::Transient || persistence == Persistence::Throttled;
}

// A Rejection by a policy of our own, which knows when it will be over, or that it will not by
// waiting; a server's 429 was sent.
bool is_refused_for_longer(const Classification& failure, const RetryConfig& config) noexcept {
  if (!is_refusal(failure)) return false;
  if (failure.indefinite) return true;
  return failure.retry_after && *failure.retry_after > config.max_retry_after &&
         config.retry_after != RetryAfterRule::Ignore;
}

}  // namespace

std::string_view to_string(GiveUpReason value) noexcept {
  const auto index = static_cast<std::size_t>(value);
  RECOVER_CHECK(index < kReasonNames.size());
  return kReasonNames[index];
}

Result<void> RetryConfig::validate() const {
  if (max_attempts < 1) {
    return Unexpected(Error::invalid_config("retry.max_attempts: must be at least 1, got 0"));
  }
  if (max_duration <= Duration::zero()) {
    return Unexpected(Error::invalid_config("retry.max_duration: must be above 0, got " +
                                            std::to_string(max_duration.count()) + " ns"));
  }
  if (max_retry_after < Duration::zero()) {
    return Unexpected(Error::invalid_config("retry.max_retry_after: must be at least 0, got " +
                                            std::to_string(max_retry_after.count()) + " ns"));
  }
  return backoff.validate();
}

bool Schedule::is_retryable(const Classification& failure) const {
  if (failure.persistence == Persistence::Cancelled) return false;
  return config_->retry_on ? config_->retry_on(failure) : may_pass(failure.persistence);
}

std::optional<GiveUpReason> Schedule::refusal(const Classification& failure,
                                              bool budget_allows) const {
  if (failure.persistence == Persistence::Cancelled) return GiveUpReason::Cancelled;
  if (!is_retryable(failure)) return GiveUpReason::NotRetryable;
  if (!config_->idempotent && failure.delivery != Delivery::NotSent) {
    return GiveUpReason::NotIdempotent;
  }
  if (attempt_ >= config_->max_attempts) return GiveUpReason::AttemptsExhausted;
  if (is_refused_for_longer(failure, *config_)) return GiveUpReason::RefusedForLonger;
  if (!budget_allows) return GiveUpReason::BudgetExhausted;
  return std::nullopt;
}

Duration Schedule::next_delay(const Classification& failure, double u) noexcept {
  if (failure.retry_after && config_->retry_after == RetryAfterRule::Replace) {
    backoff_.reset();
    return std::clamp(*failure.retry_after, Duration::zero(), config_->max_retry_after);
  }
  const Duration delay = backoff_.next(u);
  if (config_->retry_after == RetryAfterRule::Ignore) return delay;
  return clamp_retry_after(delay, failure.retry_after, config_->max_retry_after);
}

Decision Schedule::on_failure(const Classification& failure, Instant now, double u,
                              bool budget_allows) {
  if (const auto reason = refusal(failure, budget_allows)) {
    return {.verdict = Decision::Verdict::GiveUp, .reason = reason};
  }
  const Duration delay = next_delay(failure, u);
  if (saturating_add(now, delay) >= deadline_) {
    return {.verdict = Decision::Verdict::GiveUp, .reason = GiveUpReason::DeadlineWouldPass};
  }
  ++attempt_;
  return {.verdict = Decision::Verdict::RetryAfter, .delay = delay};
}

}  // namespace recover::retry
