#include "text.h"

#include <array>
#include <chrono>
#include <cstdio>

namespace flaky {
namespace {

std::string fixed(double value, int digits) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%.*f", digits, value);
  return text.data();
}

}  // namespace

std::string seconds(recover::Duration duration) {
  return fixed(std::chrono::duration<double>(duration).count(), 1) + " s";
}

std::string millis(recover::Duration duration) {
  const double value = std::chrono::duration<double, std::milli>(duration).count();
  return value < 1 ? fixed(value * 1000, 0) + " µs" : fixed(value, 0) + " ms";
}

std::string clock_time(recover::Duration since_start) {
  const auto tenths = since_start / std::chrono::milliseconds{100};
  const std::string rest = std::to_string(tenths / 10 % 60);
  return std::to_string(tenths / 600) + (rest.size() < 2 ? ":0" : ":") + rest + "." +
         std::to_string(tenths % 10);
}

}  // namespace flaky
