// Gcra: the generic cell rate algorithm (ITU-T I.371, annex A), the token bucket that needs one
// word of state: the theoretical arrival time of the next permit.
//
// Permits become available evenly, one each period/limit, and up to `burst` of them are saved.
// Pure: no clock, lock or allocation.
#pragma once

#include <recover/meter.h>

namespace recover::ratelimiter {

class Gcra : public Meter {
 public:
  // REQUIRES: quota.validate().
  Gcra(const Quota& quota, Instant start) noexcept : Meter(Pace::even(quota, start)) {}

  // Permits available now stay available, up to the new burst. REQUIRES: quota.validate().
  void change_quota(const Quota& quota, Instant now) noexcept {
    change_pace(Pace::even(quota, now), now);
  }
};

}  // namespace recover::ratelimiter
