#include <algorithm>
#include <numeric>
#include <string>

#include <recover/error.h>
#include <recover/pace.h>

namespace recover::ratelimiter {
namespace {

__extension__ using Wide = unsigned __int128;
__extension__ using SignedWide = __int128;

struct Ratio {
  std::uint64_t numerator;
  std::uint64_t denominator;
};

std::uint64_t reciprocal_of(const Ratio& ratio) noexcept {
  constexpr Wide kOnes = std::numeric_limits<std::uint64_t>::max();
  return static_cast<std::uint64_t>(kOnes * ratio.numerator / ratio.denominator);
}

Pace make_pace(const Ratio& marks_per_nanosecond, Instant origin) noexcept {
  return {.origin = origin.time_since_epoch().count(),
          .base = 0,
          .numerator = marks_per_nanosecond.numerator,
          .denominator = marks_per_nanosecond.denominator,
          .reciprocal = reciprocal_of(marks_per_nanosecond),
          .step = 1,
          .cost = 1,
          .capacity = 1};
}

constexpr std::uint64_t nanoseconds(Duration duration) noexcept {
  return static_cast<std::uint64_t>(duration.count());
}

Error bad(const char* field, const char* rule, std::int64_t got) {
  return Error::invalid_config(std::string("rate_limiter.") + field + ": must be " + rule +
                               ", got " + std::to_string(got));
}

// Most divisors are 1, and a branch is cheaper than a division. REQUIRES: dividend > 0.
std::uint64_t ceil_div(std::uint64_t dividend, std::uint64_t divisor) noexcept {
  return divisor == 1 ? dividend : (dividend - 1) / divisor + 1;
}

// Towards minus infinity. REQUIRES: divisor > 0.
SignedWide floor_div(SignedWide dividend, SignedWide divisor) noexcept {
  const SignedWide quotient = dividend / divisor;
  return dividend % divisor < 0 ? quotient - 1 : quotient;
}

}  // namespace

Result<void> Quota::validate() const {
  if (limit == 0) return Unexpected(bad("limit_for_period", "at least 1", limit));
  if (period < Duration{1} || period > kRefreshPeriodMax) {
    return Unexpected(bad("limit_refresh_period", "from 1 ns to 366 days", period.count()));
  }
  if (limit > nanoseconds(period)) {
    return Unexpected(bad("limit_for_period", "at most one permit a nanosecond", limit));
  }
  if (burst == 0) return Unexpected(bad("burst", "at least 1", burst));
  if (Wide{burst} * nanoseconds(period) / limit > nanoseconds(kFillTimeMax)) {
    return Unexpected(bad("burst", "refilled within 36 years", burst));
  }
  return {};
}

Pace Pace::even(const Quota& quota, Instant origin) noexcept {
  const std::uint64_t period = nanoseconds(quota.period);
  const std::uint64_t interval = period / quota.limit;  // At least 1, by validate().
  const std::uint64_t marks = interval * quota.limit;   // In one period.
  const std::uint64_t divisor = std::gcd(marks, period);
  Pace pace = make_pace({.numerator = marks / divisor, .denominator = period / divisor}, origin);
  pace.cost = interval;
  pace.capacity = interval * quota.burst;
  return pace;
}

Pace Pace::by_cycle(const Quota& quota, Instant origin) noexcept {
  Pace pace = make_pace({.numerator = 1, .denominator = nanoseconds(quota.period)}, origin);
  pace.step = quota.limit;
  pace.capacity = quota.limit;
  return pace;
}

Duration Pace::time_for(std::uint64_t marks, const Reading& at) const noexcept {
  if (marks == 0) return Duration::zero();
  const Wide due = Wide{ceil_div(marks, step)} * denominator - at.remainder;
  constexpr Wide kLongest = nanoseconds(Duration::max());
  if (due > kLongest) [[unlikely]] {
    return Duration{static_cast<std::int64_t>(std::min((due - 1) / numerator + 1, kLongest))};
  }
  return Duration{static_cast<std::int64_t>(ceil_div(static_cast<std::uint64_t>(due), numerator))};
}

std::int64_t Pace::available(Mark spent, const Reading& at) const noexcept {
  return static_cast<std::int64_t>(
      floor_div(SignedWide{capacity} - SignedWide{ahead_of(spent, at)}, SignedWide{cost}));
}

Account resume(const Account& account, Instant now, const Pace& pace) noexcept {
  const Pace& old = account.pace;
  const Reading at = old.read(now);
  const std::uint64_t ahead = ahead_of(account.spent, at);
  Account next{.pace = pace, .spent = (account.spent + 1) & kMarkMask};
  next.pace.origin = std::max(now.time_since_epoch().count(), old.origin) -
                     static_cast<std::int64_t>(at.remainder / old.numerator);
  next.pace.base = next.spent;
  if (ahead == 0) return next;
  const SignedWide left = floor_div(
      (SignedWide{old.capacity} - SignedWide{ahead}) * SignedWide{pace.cost}, SignedWide{old.cost});
  const SignedWide owed = std::clamp(pace.capacity - left, SignedWide{0}, SignedWide{kMarkMax});
  next.pace.base = (next.spent - static_cast<std::uint64_t>(owed)) & kMarkMask;
  return next;
}

}  // namespace recover::ratelimiter
