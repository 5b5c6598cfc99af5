// TokenBucket: the plain form of the even rate, a bucket with a level and the time it was filled
// to.
//
// Admits exactly what Gcra admits, in two words instead of one: it is here to be read, to be tested
// against, and for callers who want to see a level. Pure: no clock, lock or allocation.
#pragma once

#include <algorithm>
#include <optional>

#include <recover/pace.h>

namespace recover::ratelimiter {

class TokenBucket {
 public:
  // Starts full. REQUIRES: quota.validate().
  TokenBucket(const Quota& quota, Instant start) noexcept
      : pace_(Pace::even(quota, start)), level_(full()) {}

  // Takes the permits now, or none of them.
  bool try_acquire(Instant now, std::uint32_t permits = 1) noexcept {
    return reserve(now, permits, Duration::zero()).has_value();
  }

  // Takes the permits for later: they may be used after the returned wait, and the level is below
  // zero until then. Takes nothing and returns nullopt when the wait would exceed `wait_max`.
  std::optional<Duration> reserve(Instant now, std::uint32_t permits, Duration wait_max) noexcept {
    refill(now);
    const std::int64_t left = level_ - static_cast<std::int64_t>(pace_.price(permits));
    const std::uint64_t missing = left < 0 ? static_cast<std::uint64_t>(-left) : 0;
    const Duration wait = pace_.time_for(missing, filled_to_);
    if (wait > wait_max) return std::nullopt;
    level_ = left;
    return wait;
  }

  // Whole permits in the bucket; negative when later ones are reserved already.
  std::int64_t available(Instant now) noexcept {
    refill(now);
    const auto cost = static_cast<std::int64_t>(pace_.cost);
    return level_ / cost - (level_ % cost < 0 ? 1 : 0);
  }

 private:
  std::int64_t full() const noexcept { return static_cast<std::int64_t>(pace_.capacity); }

  void refill(Instant now) noexcept {
    const Reading at = pace_.read(now);
    if (at.mark < filled_to_.mark) return;
    const auto gained = static_cast<std::int64_t>(at.mark - filled_to_.mark);
    level_ = gained >= full() - level_ ? full() : level_ + gained;
    filled_to_ = at;
  }

  Pace pace_;
  std::int64_t level_;  // In marks.
  Reading filled_to_{.mark = 0, .remainder = 0};
};

}  // namespace recover::ratelimiter
