#include "options.h"

#include <charconv>
#include <chrono>
#include <cstddef>
#include <string>

namespace flaky {

using recover::Error;
using recover::Result;
using recover::Unexpected;

namespace {

constexpr int kSecondsMax = 86400;

Result<recover::Duration> parse_seconds(std::string_view text) {
  int number = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool whole = fault == std::errc{} && end == text.data() + text.size();
  if (!whole || number < 1 || number > kSecondsMax) {
    return Unexpected(
        Error::invalid_config("--seconds: must be 1 to 86400, got \"" + std::string(text) + "\""));
  }
  return std::chrono::seconds{number};
}

}  // namespace

Result<Options> parse_options(std::span<const char* const> arguments) {
  Options options;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string_view argument = arguments[i];
    if (argument == "--help" || argument == "-h") {
      options.help = true;
    } else if (argument == "--once") {
      options.once = true;
    } else if (argument == "--seconds" && i + 1 < arguments.size()) {
      const Result<recover::Duration> length = parse_seconds(arguments[++i]);
      if (!length) return Unexpected(length.error());
      options.length = *length;
    } else {
      return Unexpected(
          Error::invalid_config("unknown or incomplete option: " + std::string(argument)));
    }
  }
  return options;
}

}  // namespace flaky
