// Durations as people write them: "250ms", "5s", "1h30m", "7d".
//
// Whole numbers with a unit each, largest first or in any order that does not repeat a unit; never
// negative, never a bare number. What format_duration() writes, parse_duration() reads back.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <recover/time.h>

namespace recover::base {

// Units: ns us ms s m h d. None: not a duration, or more than Duration::max() holds.
std::optional<Duration> parse_duration(std::string_view text) noexcept;

// "0s" for none; "-5s" for a negative one, which parse_duration() refuses.
std::string format_duration(Duration duration);

}  // namespace recover::base
