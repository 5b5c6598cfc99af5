// The engine's time (docs/adr/0009): CLOCK_MONOTONIC plus an offset that makes it go on from one
// run of recoverd to the next.
#pragma once

#include <cstdint>
#include <ctime>

#include "runtime/record.h"

namespace recover::apps {

class EngineClock {
 public:
  static std::int64_t monotonic_ns() { return read(CLOCK_MONOTONIC); }
  static std::int64_t wall_ns() { return read(CLOCK_REALTIME); }

  void set_offset(std::int64_t offset_ns) { offset_ns_ = offset_ns; }
  Instant now() const { return Instant{Duration{monotonic_ns() + offset_ns_}}; }
  runtime::Stamp stamp() const { return {.at = now(), .wall_ns = wall_ns()}; }
  // By today's wall clock; jumps of it since then move the answer.
  std::int64_t wall_ns_of(Instant at) const { return wall_ns() - (now() - at).count(); }
  // On this boot's CLOCK_MONOTONIC, for timers.
  std::int64_t monotonic_ns_of(Instant at) const {
    return at.time_since_epoch().count() - offset_ns_;
  }

 private:
  static std::int64_t read(clockid_t clock) {
    timespec time{};
    clock_gettime(clock, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
  }

  std::int64_t offset_ns_ = 0;
};

}  // namespace recover::apps
