// Calendar time as text: RFC 3339, UTC, milliseconds. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace recover::base {

// "2026-11-22T12:00:00.123Z" of nanoseconds since 1970-01-01, truncated to milliseconds.
// Years 0 to 9999; beyond them the nearest of those.
std::string rfc3339(std::int64_t wall_ns);

// The other direction; also takes other fractions of a second and an offset such as "+02:00".
// None: not a time.
std::optional<std::int64_t> parse_rfc3339(std::string_view text);

}  // namespace recover::base
