// What ails the server, and when: a script that repeats, so that every run shows the same troubles.
//
// Pure: time comes in as a parameter; nothing here knows of sockets or threads.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include <recover/time.h>

namespace flaky {

using recover::Duration;
using recover::Instant;

enum class Weather : std::uint8_t { Healthy, Slow, Failing, Refusing, Hanging, Recovering };

std::string_view name_of(Weather weather) noexcept;   // "healthy"
std::string_view describe(Weather weather) noexcept;  // What the server does, in one line.

// What becomes of one request.
struct Treatment {
  int status = 200;  // 0: never answered.
  Duration latency = {};
  std::optional<std::chrono::seconds> retry_after = {};
};

// `request` counts the requests from 0, so that "every fourth" is exact.
Treatment treatment_of(Weather weather, std::uint64_t request) noexcept;

struct Outlook {
  Weather now = Weather::Healthy;
  Weather next = Weather::Healthy;
  std::optional<Duration> changes_in = std::nullopt;  // Nothing: it stays like this.
};

class Forecast {
 public:
  // `pace` times as fast as normal. `cycles`: healthy for good after that many; 0: goes on for
  // ever.
  Forecast(Instant start, int pace, int cycles) noexcept
      : start_(start), pace_(pace), cycles_(cycles) {}

  // REQUIRES: now >= start.
  Outlook at(Instant now) const noexcept;

 private:
  Instant start_;
  int pace_;
  int cycles_;
};

}  // namespace flaky
