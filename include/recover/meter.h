// Meter: the state machine under Gcra and FixedWindow, which differ only in their pace.
//
// Pure: no clock, lock or allocation. Instants may repeat but should not go back; an earlier one
// grants no more than the latest.
#pragma once

#include <optional>

#include <recover/pace.h>

namespace recover::ratelimiter {

class Meter {
 public:
  // Takes the permits now, or none of them.
  bool try_acquire(Instant now, std::uint32_t permits = 1) noexcept {
    return reserve(now, permits, Duration::zero()).has_value();
  }

  // Takes the permits for later: they may be used after the returned wait. Takes nothing and
  // returns nullopt when that would be longer than `wait_max`.
  std::optional<Duration> reserve(Instant now, std::uint32_t permits, Duration wait_max) noexcept {
    const Reading at = account_.pace.read(now);
    const std::uint64_t ahead = account_.pace.ahead_after(account_.spent, at, permits);
    const Duration wait = account_.pace.time_for(account_.pace.overdraft(ahead), at);
    if (wait > wait_max || ahead > kMarkMax) return std::nullopt;
    account_.spent = mark_ahead(at, ahead);
    return wait;
  }

  // How long a reservation of `permits` at `now` would wait.
  Duration wait_for(Instant now, std::uint32_t permits = 1) const noexcept {
    Meter copy = *this;
    return copy.reserve(now, permits, Duration::max()).value_or(Duration::max());
  }

  // Permits that can be had at once; negative when later ones are reserved already.
  std::int64_t available(Instant now) const noexcept {
    return account_.pace.available(account_.spent, account_.pace.read(now));
  }

 protected:
  explicit Meter(const Pace& pace) noexcept : account_{.pace = pace, .spent = 0} {}

  void change_pace(const Pace& pace, Instant now) noexcept {
    account_ = resume(account_, now, pace);
  }

 private:
  Account account_;
};

}  // namespace recover::ratelimiter
