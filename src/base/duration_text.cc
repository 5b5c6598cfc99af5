#include "base/duration_text.h"

#include <array>
#include <charconv>
#include <cstdint>
#include <limits>

namespace recover::base {
namespace {

struct Unit {
  std::string_view name;
  std::uint64_t nanoseconds;
};
// Largest first.
constexpr std::array<Unit, 7> kUnits = {{{"d", 86'400'000'000'000ULL},
                                         {"h", 3'600'000'000'000ULL},
                                         {"m", 60'000'000'000ULL},
                                         {"s", 1'000'000'000ULL},
                                         {"ms", 1'000'000ULL},
                                         {"us", 1'000ULL},
                                         {"ns", 1ULL}}};
constexpr auto kMax = static_cast<std::uint64_t>(std::numeric_limits<Duration::rep>::max());

bool is_digit(char c) noexcept {
  return c >= '0' && c <= '9';
}

std::size_t find_unit(std::string_view name) noexcept {
  std::size_t index = 0;
  while (index < kUnits.size() && kUnits[index].name != name) ++index;
  return index;
}

}  // namespace

std::optional<Duration> parse_duration(std::string_view text) noexcept {
  if (text.empty()) return std::nullopt;
  std::uint64_t total = 0;
  std::array<bool, kUnits.size()> seen{};
  while (!text.empty()) {
    std::uint64_t count = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
    if (error != std::errc{}) return std::nullopt;
    text.remove_prefix(static_cast<std::size_t>(end - text.data()));
    std::size_t length = 0;
    while (length < text.size() && !is_digit(text[length])) ++length;
    const std::size_t unit = find_unit(text.substr(0, length));
    if (unit == kUnits.size() || seen[unit]) return std::nullopt;
    seen[unit] = true;
    if (count > (kMax - total) / kUnits[unit].nanoseconds) return std::nullopt;
    total += count * kUnits[unit].nanoseconds;
    text.remove_prefix(length);
  }
  return Duration{static_cast<Duration::rep>(total)};
}

std::string format_duration(Duration duration) {
  if (duration == Duration::zero()) return "0s";
  const bool negative = duration < Duration::zero();
  auto rest = static_cast<std::uint64_t>(duration.count());
  if (negative) rest = 0 - rest;
  std::string text = negative ? "-" : "";
  for (const Unit& unit : kUnits) {
    if (rest < unit.nanoseconds) continue;
    text += std::to_string(rest / unit.nanoseconds);
    text += unit.name;
    rest %= unit.nanoseconds;
  }
  return text;
}

}  // namespace recover::base
