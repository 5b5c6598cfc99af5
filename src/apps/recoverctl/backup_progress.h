// What a backup command says while it works: on a terminal a line ten times a second, with --json
// one of restic's status messages every second.
#pragma once

#include <boost/json/object.hpp>

#include <chrono>
#include <cstdint>
#include <functional>
#include <ostream>
#include <string>
#include <thread>

#include "apps/recoverctl/session.h"

namespace recover::apps {

// Tells until it is destroyed. REQUIRES: the session and what the functions use outlive it; they
// are called on a thread of its own.
class ProgressLine {
 public:
  using Text = std::function<std::string(double seconds)>;
  using Status = std::function<boost::json::object()>;

  ProgressLine(const Session& session, Text text, Status status);
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;
  ~ProgressLine();

 private:
  void begin(std::chrono::milliseconds every, std::function<void(double seconds)> tell);

  std::ostream* line_ = nullptr;
  std::jthread thread_;
};

// Of two counters: 0 while the whole is not known yet.
double share_of(std::uint64_t done, std::uint64_t total);

}  // namespace recover::apps
