// How recoverctl ends: the exit codes of the contract, and the one way a command gives up.
#pragma once

#include <stdexcept>
#include <string>
#include <utility>

namespace recover::apps {

enum class Exit : int {
  Done = 0,
  Failed = 1,  // The operation failed, or something is unhealthy.
  Usage = 2,   // Or a mistake in the configuration.
  NotPermitted = 3,
  NoSuchThing = 4,
  Unreachable = 5,
  Refused = 6,  // By a safety rule, which the message names.
};

// Ends a command; caught in run() and nowhere else. what() is the message.
class Failure : public std::runtime_error {
 public:
  Failure(Exit exit, std::string code, const std::string& message, std::string detail = {})
      : std::runtime_error(message),
        exit_(exit),
        code_(std::move(code)),
        detail_(std::move(detail)) {}

  Exit exit() const noexcept { return exit_; }
  const std::string& code() const noexcept { return code_; }
  const std::string& detail() const noexcept { return detail_; }

 private:
  Exit exit_;
  std::string code_;
  std::string detail_;
};

}  // namespace recover::apps
