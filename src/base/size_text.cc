#include "base/size_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>

namespace recover::base {
namespace {

struct SizeUnit {
  std::string_view name;
  std::uint64_t bytes;
};
// Largest first, binary before decimal where both could be meant.
constexpr std::array<SizeUnit, 11> kSizeUnits = {{{"PiB", 1ULL << 50U},
                                                  {"PB", 1'000'000'000'000'000ULL},
                                                  {"TiB", 1ULL << 40U},
                                                  {"TB", 1'000'000'000'000ULL},
                                                  {"GiB", 1ULL << 30U},
                                                  {"GB", 1'000'000'000ULL},
                                                  {"MiB", 1ULL << 20U},
                                                  {"MB", 1'000'000ULL},
                                                  {"KiB", 1ULL << 10U},
                                                  {"KB", 1'000ULL},
                                                  {"B", 1ULL}}};

std::optional<std::uint64_t> unit_named(std::string_view name) noexcept {
  if (name.empty()) return 1;
  for (const SizeUnit& unit : kSizeUnits) {
    if (unit.name == name) return unit.bytes;
  }
  return std::nullopt;
}

std::string shortest(double value) {
  std::array<char, 32> buffer{};
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value);
  return error == std::errc{} ? std::string(buffer.data(), end) : std::string("0");
}

}  // namespace

std::optional<std::uint64_t> parse_size(std::string_view text) noexcept {
  std::uint64_t count = 0;
  const char* last = text.data() + text.size();
  const auto [end, error] = std::from_chars(text.data(), last, count);
  if (error != std::errc{}) return std::nullopt;
  const auto unit = unit_named({end, static_cast<std::size_t>(last - end)});
  if (!unit || count > std::numeric_limits<std::uint64_t>::max() / *unit) return std::nullopt;
  return count * *unit;
}

std::string format_size(std::uint64_t bytes) {
  if (bytes == 0) return "0B";
  for (const SizeUnit& unit : kSizeUnits) {
    if (bytes % unit.bytes != 0) continue;
    return std::to_string(bytes / unit.bytes) + std::string(unit.name);
  }
  return std::to_string(bytes) + "B";  // Not reached: 1 divides everything.
}

std::optional<double> parse_percentage(std::string_view text) noexcept {
  if (text.size() < 2 || text.back() != '%') return std::nullopt;
  double value = 0.0;
  const char* last = text.data() + text.size() - 1;
  const auto [end, error] = std::from_chars(text.data(), last, value);
  if (error != std::errc{} || end != last || !std::isfinite(value) || std::signbit(value)) {
    return std::nullopt;
  }
  return value / 100.0;
}

std::string format_percentage(double ratio) {
  // ratio * 100 may be a hair off the number that gives it back: look at its neighbours, too.
  const double guess = ratio * 100.0;
  std::string best = shortest(guess);
  for (const double digits : {1.0, 1e3, 1e6}) {
    const double rounded = std::round(guess * digits) / digits;
    if (rounded / 100.0 == ratio) return shortest(rounded) + "%";
  }
  for (const double near : {guess, std::nextafter(guess, 0.0), std::nextafter(guess, 1e300)}) {
    if (near / 100.0 == ratio) return shortest(near) + "%";
  }
  return best + "%";
}

}  // namespace recover::base
