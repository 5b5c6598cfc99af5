// From how full a thing is to the level that is told. Pure: the time is a parameter.
#pragma once

#include <cstdint>

#include <recover/time.h>

namespace recover::adapters::resource {

struct Bounds {
  double warning = 0.7;
  double critical = 0.85;
  double emergency = 0.95;
  Duration over = Duration::zero();  // Above `critical` for so long before it counts as critical.
};

// A level is left only this far below its bound, so noise at a bound tells nothing.
inline constexpr double kHysteresis = 0.02;

class Level {
 public:
  // The level from now on: 0 normal, 1 warning, 2 critical, 3 emergency.
  std::uint8_t update(double ratio, const Bounds& bounds, Instant now);
  std::uint8_t value() const noexcept { return value_; }

 private:
  std::uint8_t value_ = 0;
  Instant critical_since_ = kNever;
};

}  // namespace recover::adapters::resource
