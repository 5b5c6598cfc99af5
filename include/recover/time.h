// Time vocabulary of librecover: instants, durations and the one way to ask what time it is.
//
// Pure state machines take `now` as a parameter and never see a clock. Wrappers own a reference to
// a Clock, so a test drives them with a ManualClock and no test ever sleeps.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <ctime>
#include <optional>
#include <stop_token>

namespace recover {

using Duration = std::chrono::nanoseconds;
// A point on the monotonic clock. Never a calendar time; wall-clock jumps do not move it.
using Instant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

// The last instant there is: "never" as a deadline.
inline constexpr Instant kNever = Instant::max();

// `instant + duration`, held at kNever instead of overflowing. REQUIRES: duration >= 0.
constexpr Instant saturating_add(Instant instant, Duration duration) noexcept {
  return instant > kNever - duration ? kNever : instant + duration;
}

// `later - earlier`, held at Duration::max() instead of overflowing; 0 when later is the earlier.
constexpr Duration saturating_sub(Instant later, Instant earlier) noexcept {
  if (later <= earlier) return Duration::zero();
  const Duration limit = Duration::max();
  const bool fits = earlier.time_since_epoch() >= Duration::zero() ||
                    later.time_since_epoch() <= limit + earlier.time_since_epoch();
  return fits ? later - earlier : limit;
}

// A Duration that may be absent, in one word: what std::optional<Duration> says at half the size,
// so that handing a refusal on costs two registers. REQUIRES: a present one is not Duration::min().
class MaybeDuration {
 public:
  constexpr MaybeDuration() noexcept = default;
  // NOLINTNEXTLINE(google-explicit-constructor): as std::optional.
  constexpr MaybeDuration(std::nullopt_t /*none*/) noexcept {}
  template <class Rep, class Period>
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr MaybeDuration(std::chrono::duration<Rep, Period> value) noexcept : value_(value) {}
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr MaybeDuration(std::optional<Duration> value) noexcept : value_(value.value_or(kNone)) {}

  constexpr bool has_value() const noexcept { return value_ != kNone; }
  explicit constexpr operator bool() const noexcept { return has_value(); }
  // REQUIRES: has_value().
  constexpr Duration value() const noexcept { return value_; }
  constexpr Duration operator*() const noexcept { return value_; }
  constexpr Duration value_or(Duration fallback) const noexcept {
    return has_value() ? value_ : fallback;
  }
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr operator std::optional<Duration>() const noexcept {
    return has_value() ? std::optional(value_) : std::nullopt;
  }

  friend constexpr bool operator==(MaybeDuration, MaybeDuration) = default;

 private:
  static constexpr Duration kNone = Duration::min();
  Duration value_ = kNone;
};

class Clock {
 public:
  Clock() = default;
  Clock(const Clock&) = delete;
  Clock& operator=(const Clock&) = delete;
  virtual ~Clock() = default;

  // Never goes backwards. Any thread.
  virtual Instant now() noexcept = 0;

  // Blocks until `deadline` or until a stop is requested, whichever is first. Any thread.
  // Returns true when the deadline was reached, false when the wait was cut short by `stop`.
  virtual bool wait_until(Instant deadline, const std::stop_token& stop) = 0;
};

// CLOCK_MONOTONIC: nanosecond resolution, about 20 ns a reading.
class SteadyClock final : public Clock {
 public:
  static SteadyClock& instance() noexcept;

  Instant now() noexcept override { return std::chrono::steady_clock::now(); }
  bool wait_until(Instant deadline, const std::stop_token& stop) override;
};

// CLOCK_MONOTONIC_COARSE: the same time line as SteadyClock, read at the last kernel tick, so it
// lags by up to one tick (1 to 10 ms) and costs about 5 ns. Enough for windows, open waits and
// slow-call thresholds of 100 ms and more.
class CoarseClock final : public Clock {
 public:
  static CoarseClock& instance() noexcept;

  static Instant read() noexcept {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return Instant{std::chrono::seconds{time.tv_sec} + Duration{time.tv_nsec}};
  }
  Instant now() noexcept override { return read(); }
  bool wait_until(Instant deadline, const std::stop_token& stop) override;
};

// A clock that a test or a simulator moves by hand. Any thread; waiting moves the time forward to
// the deadline instead of blocking.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Instant start = Instant{}) noexcept
      : ticks_(start.time_since_epoch().count()) {}

  Instant now() noexcept override { return Instant{Duration{ticks_.load()}}; }
  bool wait_until(Instant deadline, const std::stop_token& stop) override;

  void advance(Duration by) noexcept { ticks_.fetch_add(by.count()); }
  // Moves to `instant`; earlier instants are ignored, so the clock never goes backwards.
  void advance_to(Instant instant) noexcept;

 private:
  std::atomic<std::int64_t> ticks_;
};

}  // namespace recover
