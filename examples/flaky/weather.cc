#include "weather.h"

#include <array>
#include <chrono>
#include <cstddef>
#include <numeric>

namespace flaky {
namespace {

using namespace std::chrono_literals;

struct Spell {
  Weather weather;
  std::chrono::milliseconds length;
};

constexpr std::array<Spell, 6> kCycle = {{
    {Weather::Healthy, 4s},
    {Weather::Slow, 4s},
    {Weather::Failing, 4s},
    {Weather::Refusing, 4s},
    {Weather::Hanging, 4s},
    {Weather::Recovering, 5s},
}};

constexpr Duration cycle_length() {
  return std::accumulate(kCycle.begin(), kCycle.end(), Duration::zero(),
                         [](Duration sum, const Spell& spell) { return sum + spell.length; });
}

}  // namespace

std::string_view name_of(Weather weather) noexcept {
  switch (weather) {
    case Weather::Healthy: return "healthy";
    case Weather::Slow: return "slow";
    case Weather::Failing: return "failing";
    case Weather::Refusing: return "refusing";
    case Weather::Hanging: return "hanging";
    case Weather::Recovering: return "recovering";
  }
  return "";
}

std::string_view describe(Weather weather) noexcept {
  switch (weather) {
    case Weather::Healthy: return "answers within 30 ms";
    case Weather::Slow: return "every fourth answer takes 400 ms";
    case Weather::Failing: return "answers 503, Retry-After: 1";
    case Weather::Refusing: return "refuses connections";
    case Weather::Hanging: return "takes requests, never answers";
    case Weather::Recovering: return "answers, but every sixth is a 500";
  }
  return "";
}

Treatment treatment_of(Weather weather, std::uint64_t request) noexcept {
  const auto uneven = 3ms * static_cast<int>(request % 5);
  switch (weather) {
    case Weather::Healthy: return {.latency = 12ms + uneven};
    case Weather::Slow: return {.latency = request % 4 == 3 ? 400ms : 30ms + 2 * uneven};
    case Weather::Failing: return {.status = 503, .latency = 5ms, .retry_after = 1s};
    case Weather::Refusing:
    case Weather::Hanging: return {.status = 0};
    case Weather::Recovering:
      return {.status = request % 6 == 5 ? 500 : 200, .latency = 20ms + uneven};
  }
  return {};
}

Outlook Forecast::at(Instant now) const noexcept {
  constexpr Duration kLength = cycle_length();
  const Duration elapsed = (now - start_) * pace_;
  if (cycles_ > 0 && elapsed >= kLength * cycles_) return {};
  Duration left = elapsed % kLength;
  std::size_t current = 0;
  while (left >= kCycle[current].length) left -= kCycle[current++].length;
  return {.now = kCycle[current].weather,
          .next = kCycle[(current + 1) % kCycle.size()].weather,
          .changes_in = (kCycle[current].length - left) / pace_};
}

}  // namespace flaky
