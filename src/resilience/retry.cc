#include <utility>

#include <recover/check.h>
#include <recover/retry.h>

namespace recover::retry {

Retry::Retry(RetryConfig config, Clock& clock)
    : config_(std::move(config)), clock_(&clock), random_(config_.seed) {
  RECOVER_CHECK_VALID(config_);
}

void Retry::record_late_success(const Schedule& schedule) noexcept {
  counters_.add(Counter::SucceededAfterRetry);
  listeners_.emit({.type = RetryEvent::Type::SucceededAfterRetry, .attempt = schedule.attempt()});
}

Decision Retry::record_failure(Schedule& schedule, const Classification& failure, Instant now) {
  const unsigned attempt = schedule.attempt();
  // The budget guards the dependency; what we refused ourselves was no load on it.
  const bool is_load = schedule.is_retryable(failure) && !is_refusal(failure);
  const bool budget_allows = !config_.budget || !is_load || config_.budget->on_failure();
  const Decision decision = schedule.on_failure(failure, now, random_.unit(), budget_allows);
  if (decision.verdict == Decision::Verdict::RetryAfter) {
    counters_.add(Counter::Retries);
    listeners_.emit({.type = RetryEvent::Type::RetryScheduled,
                     .attempt = attempt,
                     .delay = decision.delay,
                     .failure = failure});
  } else {
    record_give_up(*decision.reason, attempt);
    listeners_.emit({.type = RetryEvent::Type::GaveUp,
                     .attempt = attempt,
                     .failure = failure,
                     .reason = decision.reason});
  }
  return decision;
}

void Retry::record_give_up(GiveUpReason reason, unsigned attempt) {
  if (reason == GiveUpReason::Cancelled) {
    counters_.add(Counter::Cancelled);
  } else {
    counters_.add(attempt == 1 ? Counter::FailedAtOnce : Counter::FailedAfterRetry);
  }
}

void Retry::record_late(const Schedule& schedule) {
  record_give_up(GiveUpReason::DeadlineWouldPass, schedule.attempt());
  listeners_.emit({.type = RetryEvent::Type::GaveUp,
                   .attempt = schedule.attempt(),
                   .reason = GiveUpReason::DeadlineWouldPass});
}

void Retry::record_cancelled(const Schedule& schedule) {
  counters_.add(Counter::Cancelled);
  listeners_.emit({.type = RetryEvent::Type::GaveUp,
                   .attempt = schedule.attempt(),
                   .reason = GiveUpReason::Cancelled});
}

RetryMetrics Retry::metrics() const noexcept {
  return {.successful_calls_without_retry_attempt = counters_.value(Counter::SucceededAtOnce),
          .successful_calls_with_retry_attempt = counters_.value(Counter::SucceededAfterRetry),
          .failed_calls_without_retry_attempt = counters_.value(Counter::FailedAtOnce),
          .failed_calls_with_retry_attempt = counters_.value(Counter::FailedAfterRetry),
          .cancelled_calls = counters_.value(Counter::Cancelled),
          .retries = counters_.value(Counter::Retries)};
}

}  // namespace recover::retry
