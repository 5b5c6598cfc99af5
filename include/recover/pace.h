// The arithmetic that all three rate limiting algorithms share: which calls fit, and when the next
// one will, with one 64-bit word of state.
//
// A pace maps time to marks, integers that grow exactly as fast as permits become available: a
// permit costs `cost` marks, and time has paid for `mark(now) + capacity` of them. The state of a
// limiter is the mark up to which it has been spent. Marks are whole numbers for every rational
// rate, so nothing drifts: 3 a second is 3 a second after a year too.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include <recover/error.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::ratelimiter {

inline constexpr Duration kRefreshPeriodMax = std::chrono::hours{24 * 366};
inline constexpr Duration kTimeoutMax = std::chrono::hours{24 * 366};
// The longest an empty bucket may take to fill.
inline constexpr Duration kFillTimeMax = Duration{std::int64_t{1} << 60};

// `limit` permits each `period`, at most `burst` of them at one instant.
struct Quota {
  std::uint32_t limit;
  Duration period;
  std::uint32_t burst;

  // At most one permit a nanosecond, and the maxima above.
  Result<void> validate() const;
};

using Mark = std::uint64_t;
inline constexpr Mark kMarkMax = std::uint64_t{1} << 62U;

// Where time stands: time has passed `mark`, and `remainder / numerator` nanoseconds more.
struct Reading {
  Mark mark;
  std::uint64_t remainder;
};

// Plain numbers, so that a wrapper can keep them in atomics. Build one with a factory.
//   mark(now) = base + step * floor((now - origin) * numerator / denominator)
struct Pace {
  std::int64_t origin;      // Nanoseconds on the monotonic clock.
  Mark base;                // The mark at origin.
  std::uint64_t numerator;  // numerator <= denominator, without a common factor.
  std::uint64_t denominator;
  std::uint64_t reciprocal;  // floor((2^64 - 1) * numerator / denominator).
  std::uint64_t step;
  std::uint64_t cost;      // Marks a permit.
  std::uint64_t capacity;  // Marks that may be spent ahead of time: the burst.

  // Permits become available one by one, evenly. A mark is the emission interval divided by its
  // whole number of nanoseconds: between 1 and 2 ns, and exactly 1 ns when `limit` divides
  // `period`. REQUIRES: quota.validate().
  static Pace even(const Quota& quota, Instant origin) noexcept;
  // `limit` permits become available together at the start of each period; burst is ignored.
  // REQUIRES: quota.validate().
  static Pace by_cycle(const Quota& quota, Instant origin) noexcept;

  // Instants before the origin read as the origin.
  Reading read(Instant now) const noexcept;

  // The state after spending `permits` more, kMarkMax or above when that is beyond all measure.
  Mark spend(Mark spent, const Reading& at, std::uint32_t permits) const noexcept {
    const std::uint64_t amount = price(permits);
    return std::max(spent, at.mark) + amount;
  }

  // How far `spent` is beyond what time has paid for; 0 when the spending is allowed now.
  std::uint64_t overdraft(Mark spent, const Reading& at) const noexcept {
    const std::uint64_t ahead = spent - at.mark;
    return ahead <= capacity ? 0 : ahead - capacity;
  }

  // The shortest time after which an overdraft of `marks` is paid for; Duration::max() when longer.
  Duration time_for(std::uint64_t marks, const Reading& at) const noexcept;

  // Permits that can be had at once; negative when later ones are reserved already.
  std::int64_t available(Mark spent, const Reading& at) const noexcept;

  // Marks for `permits`, held at kMarkMax instead of overflowing.
  std::uint64_t price(std::uint32_t permits) const noexcept {
    std::uint64_t amount = 0;
    return __builtin_mul_overflow(permits, cost, &amount) ? kMarkMax : std::min(amount, kMarkMax);
  }
};

// A pace and the state that goes with it.
struct Account {
  Pace pace;
  Mark spent;
};

// Goes on at `now` with another pace. The permits available stay available, up to the new capacity;
// what was full is full again. Cycles keep their boundaries. The new `spent` is above the old one,
// so that states never repeat in the life of a limiter.
Account resume(const Account& account, Instant now, const Pace& pace) noexcept;

inline Reading Pace::read(Instant now) const noexcept {
  __extension__ using Wide = unsigned __int128;
  const std::int64_t since = now.time_since_epoch().count() - origin;
  const std::uint64_t elapsed = since > 0 ? static_cast<std::uint64_t>(since) : 0;
  // The reciprocal is low by less than 2 parts in 2^64, so the quotient is low by at most one; the
  // remainder tells. Exact, without a division.
  auto steps = static_cast<std::uint64_t>((Wide{elapsed} * reciprocal) >> 64U);
  std::uint64_t remainder = elapsed * numerator - steps * denominator;
  if (remainder >= denominator) {
    ++steps;
    remainder -= denominator;
  }
  return {.mark = base + steps * step, .remainder = remainder};
}

}  // namespace recover::ratelimiter
