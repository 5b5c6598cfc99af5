#include "api/times.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <limits>

namespace recover::api {

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;

template <class Number>
std::optional<Number> number(std::string_view text, int base = 10) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::optional<std::uint64_t> numbered(std::string_view text, std::string_view prefix) {
  if (text.starts_with(prefix)) text.remove_prefix(prefix.size());
  const auto value = number<std::uint64_t>(text);
  return value && *value != 0 ? value : std::nullopt;
}

// "+02:00", "Z": seconds to subtract.
std::optional<std::int64_t> zone_offset(std::string_view text) {
  if (text == "Z" || text == "z") return 0;
  if (text.size() != 6 || (text[0] != '+' && text[0] != '-') || text[3] != ':') return std::nullopt;
  const auto hours = number<int>(text.substr(1, 2));
  const auto minutes = number<int>(text.substr(4, 2));
  if (!hours || !minutes || *hours > 23 || *minutes > 59) return std::nullopt;
  const std::int64_t seconds = *hours * 3600 + *minutes * 60;
  return text[0] == '-' ? -seconds : seconds;
}

// ".123": nanoseconds; leaves the zone in `text`.
std::optional<std::int64_t> take_fraction(std::string_view& text) {
  if (text.empty() || text.front() != '.') return 0;
  text.remove_prefix(1);
  std::int64_t value = 0;
  std::int64_t unit = kSecond;
  std::size_t digits = 0;
  while (digits < text.size() && text[digits] >= '0' && text[digits] <= '9') {
    unit /= 10;
    value += (text[digits++] - '0') * unit;
  }
  if (digits == 0) return std::nullopt;
  text.remove_prefix(digits);
  return value;
}

}  // namespace

std::string rfc3339(std::int64_t wall_ns) {
  std::int64_t seconds = wall_ns / kSecond;
  std::int64_t rest = wall_ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  const std::time_t time = seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  std::array<char, 64> text{};
  const int length =
      std::snprintf(text.data(), text.size(), "%04d-%02d-%02dT%02d:%02d:%02d.%03dZ",
                    parts.tm_year + 1900, parts.tm_mon + 1, parts.tm_mday, parts.tm_hour,
                    parts.tm_min, parts.tm_sec, static_cast<int>(rest / 1'000'000));
  return {text.data(), static_cast<std::size_t>(length)};
}

std::optional<std::int64_t> parse_rfc3339(std::string_view text) {
  constexpr std::size_t kSeconds = 19;  // "2026-01-31T12:00:00"
  if (text.size() <= kSeconds || text[4] != '-' || text[7] != '-' || text[13] != ':' ||
      text[16] != ':' || (text[10] != 'T' && text[10] != 't' && text[10] != ' ')) {
    return std::nullopt;
  }
  const auto year = number<int>(text.substr(0, 4));
  const auto month = number<unsigned>(text.substr(5, 2));
  const auto day = number<unsigned>(text.substr(8, 2));
  const auto hour = number<int>(text.substr(11, 2));
  const auto minute = number<int>(text.substr(14, 2));
  const auto second = number<int>(text.substr(17, 2));
  if (!year || !month || !day || !hour || !minute || !second) return std::nullopt;
  const std::chrono::year_month_day date{std::chrono::year{*year}, std::chrono::month{*month},
                                         std::chrono::day{*day}};
  // Beyond 2261, nanoseconds since 1970 do not fit 64 bits.
  if (!date.ok() || *year < 1970 || *year > 2261 || *hour > 23 || *minute > 59 || *second > 60) {
    return std::nullopt;
  }
  std::string_view rest = text.substr(kSeconds);
  const auto fraction = take_fraction(rest);
  const auto offset = zone_offset(rest);
  if (!fraction || !offset) return std::nullopt;
  const std::int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  const std::int64_t seconds = std::int64_t{*hour} * 3600 + std::int64_t{*minute} * 60 + *second;
  return (days * 86400 + seconds - *offset) * kSecond + *fraction;
}

std::optional<Duration> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    std::int64_t ns;
  };
  static constexpr std::array<Unit, 5> kUnits{{{"ms", 1'000'000},
                                               {"s", kSecond},
                                               {"m", 60 * kSecond},
                                               {"h", 3600 * kSecond},
                                               {"d", 86400 * kSecond}}};
  constexpr std::int64_t kMax = 36500LL * 86400 * kSecond;
  for (const Unit& unit : kUnits) {
    if (!text.ends_with(unit.name)) continue;
    const auto count = number<std::int64_t>(text.substr(0, text.size() - unit.name.size()));
    if (!count) continue;  // "5ms" ends with "s" too.
    if (*count <= 0 || *count > kMax / unit.ns) return std::nullopt;
    return Duration(*count * unit.ns);
  }
  return std::nullopt;
}

std::string spoken(Duration duration) {
  std::array<char, 64> text{};
  const auto say = [&](const char* format, auto... values) {
    const int length = std::snprintf(text.data(), text.size(), format, values...);
    return std::string(text.data(), static_cast<std::size_t>(length));
  };
  const std::int64_t ns = std::max<std::int64_t>(duration.count(), 0);
  const std::int64_t ms = ns / 1'000'000;
  const std::int64_t seconds = ns / kSecond;
  if (ms == 0 && ns > 0) return say("%.1fms", static_cast<double>(ns) / 1e6);
  if (ms < 1'000) return say("%ldms", static_cast<long>(ms));
  if (seconds < 60) return say("%.1fs", static_cast<double>(ms) / 1e3);
  const auto two = [&](std::int64_t major, const char* a, std::int64_t minor, const char* b) {
    if (minor == 0) return say("%ld%s", static_cast<long>(major), a);
    return say("%ld%s %ld%s", static_cast<long>(major), a, static_cast<long>(minor), b);
  };
  if (seconds < 3600) return two(seconds / 60, "m", seconds % 60, "s");
  if (seconds < 86400) return two(seconds / 3600, "h", seconds % 3600 / 60, "m");
  return two(seconds / 86400, "d", seconds % 86400 / 3600, "h");
}

std::string name_of(core::IncidentId id) {
  return "inc-" + std::to_string(id.value);
}
std::string name_of(core::RecoveryId id) {
  return "rec-" + std::to_string(id.value);
}

std::optional<core::IncidentId> parse_incident(std::string_view text) {
  const auto value = numbered(text, "inc-");
  return value ? std::optional(core::IncidentId{*value}) : std::nullopt;
}
std::optional<core::RecoveryId> parse_recovery(std::string_view text) {
  const auto value = numbered(text, "rec-");
  return value ? std::optional(core::RecoveryId{*value}) : std::nullopt;
}

std::string hex64(std::uint64_t value) {
  std::array<char, 17> text{};
  std::snprintf(text.data(), text.size(), "%016llx", static_cast<unsigned long long>(value));
  return text.data();
}
std::optional<std::uint64_t> parse_hex64(std::string_view text) {
  if (text.empty() || text.size() > 16) return std::nullopt;
  return number<std::uint64_t>(text, 16);
}

}  // namespace recover::api
