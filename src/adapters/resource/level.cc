#include "adapters/resource/level.h"

#include <array>

namespace recover::adapters::resource {

std::uint8_t Level::update(double ratio, const Bounds& bounds, Instant now) {
  const std::array enter = {bounds.warning, bounds.critical, bounds.emergency};
  std::uint8_t level = 0;
  for (std::uint8_t step = 1; step <= static_cast<std::uint8_t>(enter.size()); ++step) {
    const double bound = enter[step - 1U] - (value_ >= step ? kHysteresis : 0.0);
    if (ratio >= bound) level = step;
  }
  if (level < 2) {
    critical_since_ = kNever;
  } else {
    if (critical_since_ == kNever) critical_since_ = now;
    if (value_ < 2 && now - critical_since_ < bounds.over) level = 1;
  }
  value_ = level;
  return value_;
}

}  // namespace recover::adapters::resource
