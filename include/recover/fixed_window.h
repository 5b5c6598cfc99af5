// FixedWindow: `limit` permits at the start of each period, as Resilience4j's AtomicRateLimiter.
//
// Time is cut into cycles of one period from `start`; what is left of a cycle's permits lapses, and
// a reservation borrows from the cycles to come. Up to twice the limit can pass around a boundary;
// where that matters, use Gcra. Pure: no clock, lock or allocation.
#pragma once

#include <recover/meter.h>

namespace recover::ratelimiter {

class FixedWindow : public Meter {
 public:
  // Ignores quota.burst. REQUIRES: quota.validate().
  FixedWindow(const Quota& quota, Instant start) noexcept : Meter(Pace::by_cycle(quota, start)) {}

  // What is left of this cycle stays, up to the new limit; an untouched cycle has all of the new
  // limit. REQUIRES: quota.validate() with the same period.
  void change_quota(const Quota& quota, Instant now) noexcept {
    change_pace(Pace::by_cycle(quota, now), now);
  }
};

}  // namespace recover::ratelimiter
