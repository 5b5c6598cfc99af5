// The command line of the example.
#pragma once

#include <optional>
#include <span>
#include <string_view>

#include <recover/error.h>
#include <recover/result.h>
#include <recover/time.h>

namespace flaky {

struct Options {
  std::optional<recover::Duration> length = std::nullopt;  // Nothing: until the user leaves.
  bool once = false;
  bool help = false;
};

inline constexpr std::string_view kUsage =
    "usage: flaky [--seconds N | --once]\n"
    "\n"
    "A server with bad days, six users, and the policies of librecover between them.\n"
    "\n"
    "  --seconds N  stop after N seconds (1 to 86400)\n"
    "  --once       one quick round of all troubles; exit 0 only if no user noticed any\n"
    "               of them and the breaker opened and closed again\n"
    "  --help       this text\n"
    "\n"
    "q or Ctrl-C leaves. Without a terminal: one line a second. NO_COLOR is honoured.\n";

// Errors: InvalidConfig, with a message for the user.
recover::Result<Options> parse_options(std::span<const char* const> arguments);

}  // namespace flaky
