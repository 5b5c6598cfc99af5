#include <algorithm>
#include <string>

#include <recover/rate_limiter.h>

namespace recover::ratelimiter {
namespace {

const RateLimiterConfig& checked(const RateLimiterConfig& config) {
  RECOVER_CHECK_VALID(config);
  return config;
}

Pace pace_of(const RateLimiterConfig& config, Instant origin) noexcept {
  switch (config.algorithm) {
    case Algorithm::FixedWindow: return Pace::by_cycle(config.quota(), origin);
    case Algorithm::TokenBucket:
    case Algorithm::Gcra: break;
  }
  return Pace::even(config.quota(), origin);
}

}  // namespace

Quota RateLimiterConfig::quota() const noexcept {
  std::uint32_t most = burst;
  if (most == 0) most = algorithm == Algorithm::Gcra ? 1 : limit_for_period;
  return {.limit = limit_for_period, .period = limit_refresh_period, .burst = most};
}

Result<void> RateLimiterConfig::validate() const {
  if (limit_for_period == 0) {
    return Unexpected(
        Error::invalid_config("rate_limiter.limit_for_period: must be at least 1, got 0"));
  }
  if (burst != 0 && algorithm == Algorithm::FixedWindow) {
    return Unexpected(Error::invalid_config("rate_limiter.burst: must be 0 for FixedWindow, got " +
                                            std::to_string(burst)));
  }
  if (timeout_duration < Duration::zero() || timeout_duration > kTimeoutMax) {
    return Unexpected(
        Error::invalid_config("rate_limiter.timeout_duration: must be from 0 to 366 days, got " +
                              std::to_string(timeout_duration.count()) + " ns"));
  }
  return quota().validate();
}

Account SharedAccount::read() const noexcept {
  const std::lock_guard lock(change_);
  return {.pace = load(), .spent = spent_.load(std::memory_order_acquire)};
}

void SharedAccount::change(const Pace& pace, Instant now) noexcept {
  const std::lock_guard lock(change_);
  const Mark spent = spent_.fetch_or(kChanging, std::memory_order_acq_rel);
  const Account next = resume({.pace = load(), .spent = spent}, now, pace);
  store(next.pace);
  spent_.store(next.spent, std::memory_order_release);
}

void SharedAccount::store(const Pace& pace) noexcept {
  const std::array<std::uint64_t, kFields> fields{static_cast<std::uint64_t>(pace.origin),
                                                  pace.base,
                                                  pace.numerator,
                                                  pace.denominator,
                                                  pace.reciprocal,
                                                  pace.step,
                                                  pace.cost,
                                                  pace.capacity};
  for (std::size_t i = 0; i < kFields; ++i) pace_[i].store(fields[i], std::memory_order_relaxed);
}

Mark SharedAccount::await_change() const noexcept {
  const std::lock_guard lock(change_);
  return spent_.load(std::memory_order_acquire);
}

RateLimiter::RateLimiter(const RateLimiterConfig& config, Clock& clock)
    : config_(checked(config)), clock_(clock), account_(pace_of(config, clock.now())) {}

Result<Duration, Rejection> RateLimiter::reserve(Instant now, std::uint32_t permits,
                                                 Duration wait_max) {
  const Duration longest = std::min(wait_max, config_.timeout_duration);
  const Duration wait = account_.reserve(now, permits, longest);
  if (wait > std::max(longest, Duration::zero())) return reject(now, permits, wait);
  counters_.add(Counter::Granted);
  if (wait > Duration::zero()) counters_.add(Counter::Delayed);
  return wait;
}

Result<void> RateLimiter::acquire(const CallContext& context, std::uint32_t permits) {
  if (context.stop.stop_requested()) return Unexpected(Error::cancelled());
  const Instant now = clock_.now();
  const Duration left = saturating_sub(context.deadline, now);
  const auto wait = reserve(now, permits, left);
  if (!wait) return Unexpected(Error(wait.error()));
  if (*wait == Duration::zero() || clock_.wait_until(now + *wait, context.stop)) return {};
  return Unexpected(Error::cancelled());
}

Result<void> RateLimiter::change_limit(Instant now, std::uint32_t limit_for_period) {
  RateLimiterConfig next = config_;
  next.limit_for_period = limit_for_period;
  if (Result<void> valid = next.validate(); !valid) return valid;
  account_.change(pace_of(next, now), now);
  listeners_.emit({.kind = RateLimiterEvent::Kind::LimitChanged,
                   .at = now,
                   .permits = limit_for_period,
                   .retry_after = {}});
  return {};
}

std::int64_t RateLimiter::available(Instant now) const noexcept {
  const Account account = account_.read();
  return account.pace.available(account.spent, account.pace.read(now));
}

Duration RateLimiter::wait_for(Instant now, std::uint32_t permits) const noexcept {
  const Account account = account_.read();
  const Reading at = account.pace.read(now);
  const std::uint64_t ahead = account.pace.ahead_after(account.spent, at, permits);
  return account.pace.time_for(account.pace.overdraft(ahead), at);
}

RateLimiterMetrics RateLimiter::metrics() const noexcept {
  return {.granted = counters_.value(Counter::Granted),
          .rejected = counters_.value(Counter::Rejected),
          .delayed = counters_.value(Counter::Delayed)};
}

void RateLimiter::tell_rejected(Instant now, std::uint32_t permits, MaybeDuration retry_after) {
  listeners_.emit({.kind = RateLimiterEvent::Kind::Rejected,
                   .at = now,
                   .permits = permits,
                   .retry_after = retry_after});
}

}  // namespace recover::ratelimiter
