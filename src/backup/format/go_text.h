// Text as restic's tools write it: Go's strconv.Quote for names, encoding/json for every string,
// time.RFC3339Nano for times. A tree's ID is the hash of this text, so each byte counts.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace recover::backup {

// A file's time: whole seconds since 1970-01-01 UTC, rounded down, and what is left over.
struct Timestamp {
  std::int64_t seconds = 0;
  std::uint32_t nanoseconds = 0;

  friend auto operator<=>(const Timestamp&, const Timestamp&) = default;
};

// Appends "text" with its quotation marks, HTML's special characters escaped, as encoding/json
// does. A byte that is no UTF-8 becomes \ufffd: names must go through quote_name() first.
void append_json_string(std::string& out, std::string_view text);

// Any bytes -> valid UTF-8, and back. unquote_name: none when it is no quoted text.
std::string quote_name(std::string_view raw);
std::optional<std::string> unquote_name(std::string_view quoted);

// Appends "2026-11-21T22:54:06.73296391Z" with quotation marks; years 0 to 9999, else the nearest.
void append_json_time(std::string& out, const Timestamp& time);
// Any offset. None: not a time.
std::optional<Timestamp> parse_time(std::string_view text);

void append_number(std::string& out, std::uint64_t number);

}  // namespace recover::backup
