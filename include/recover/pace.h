// The arithmetic that all three rate limiting algorithms share: which calls fit, and when the next
// one will, with one 64-bit word of state.
//
// A pace maps time to marks, integers that grow exactly as fast as permits become available: a
// permit costs `cost` marks, and time has paid for `mark(now) + capacity` of them. The state of a
// limiter is the mark up to which it has been spent. Marks are whole numbers for every rational
// rate, so nothing drifts: 3 a second is 3 a second after a year too.
//
// Marks are counted modulo 2^63, as TCP counts bytes: only how far two of them are apart means
// anything, and that is at most kMarkMax. So no number of changes of the limit can use them up.
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

using Mark = std::uint64_t;  // Below 2^63.
inline constexpr Mark kMarkMask = (Mark{1} << 63U) - 1;
// The furthest that a limiter can be ahead of time, or behind it: 146 years.
inline constexpr std::uint64_t kMarkMax = (std::uint64_t{1} << 62U) - 1;

// Where time stands: time has passed `mark`, and `remainder / numerator` nanoseconds more.
struct Reading {
  Mark mark;
  std::uint64_t remainder;
};

// How far `spent` is ahead of time; 0 when time has caught up with it.
constexpr std::uint64_t ahead_of(Mark spent, const Reading& at) noexcept {
  // The difference as a signed number of 63 bits: doubled, so that its sign is that of the word.
  const auto doubled = static_cast<std::int64_t>((spent - at.mark) << 1U);
  return static_cast<std::uint64_t>(std::max<std::int64_t>(doubled, 0)) >> 1U;
}
// The state that is so far ahead. REQUIRES: ahead <= kMarkMax.
constexpr Mark mark_ahead(const Reading& at, std::uint64_t ahead) noexcept {
  return (at.mark + ahead) & kMarkMask;
}

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

  // How far ahead of time the state is after spending `permits` more; beyond kMarkMax when that is
  // beyond all measure.
  std::uint64_t ahead_after(Mark spent, const Reading& at, std::uint32_t permits) const noexcept {
    return ahead_of(spent, at) + price(permits);
  }

  // How far a state so far ahead is beyond what time has paid for; 0: the spending is allowed now.
  std::uint64_t overdraft(std::uint64_t ahead) const noexcept {
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
// what was full is full again. Cycles keep their boundaries. A debt that would take more than
// kMarkMax marks at the new pace is held there. The new `spent` is the old one and one mark more:
// changes alone bring no state back.
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
  return {.mark = (base + steps * step) & kMarkMask, .remainder = remainder};
}

}  // namespace recover::ratelimiter
