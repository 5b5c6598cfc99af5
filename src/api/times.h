// Times, durations and ids as people and JSON write them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <recover/time.h>

#include "core/vocabulary.h"

namespace recover::api {

// RFC 3339, UTC, milliseconds: "2026-01-31T12:00:00.000Z".
std::string rfc3339(std::int64_t wall_ns);
// Nanoseconds since 1970 of an RFC 3339 time with any offset; nothing when it is none.
std::optional<std::int64_t> parse_rfc3339(std::string_view text);

// "250ms", "5s", "10m", "2h", "7d"; whole numbers, positive, below 100 years.
std::optional<Duration> parse_duration(std::string_view text);
// The two leading units for people: "420ms", "4.2s", "3m 20s", "2h 5m", "3d 4h".
std::string spoken(Duration duration);

std::string name_of(core::IncidentId id);  // "inc-12"
std::string name_of(core::RecoveryId id);  // "rec-7"
// With or without the prefix; nothing for 0 and for anything else.
std::optional<core::IncidentId> parse_incident(std::string_view text);
std::optional<core::RecoveryId> parse_recovery(std::string_view text);

// 64 bits as 16 hex digits: JSON numbers lose bits of them in many languages.
std::string hex64(std::uint64_t value);
std::optional<std::uint64_t> parse_hex64(std::string_view text);

}  // namespace recover::api
