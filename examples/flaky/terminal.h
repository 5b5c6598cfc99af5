// The user's terminal: whether there is one, what is typed, and a screen of our own on it.
#pragma once

#include <termios.h>

#include <optional>
#include <string>
#include <vector>

#include <recover/time.h>

#include "descriptor.h"
#include "screen.h"

namespace flaky {

// Ctrl-C, SIGTERM and SIGHUP as something to wait for instead of handlers, and the key q.
// REQUIRES: constructed before any thread is started, so that all of them inherit the blocked
// signals.
class Wishes {
 public:
  Wishes();

  // Sleeps until then. True: the user wants to leave.
  bool wait_until(recover::Instant then);

 private:
  bool read_key();

  Descriptor signals_;
  bool listens_to_keys_;
};

bool has_terminal() noexcept;

// The alternate screen; gone, and the terminal as before, when this is. REQUIRES: has_terminal().
class Terminal {
 public:
  Terminal();
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;
  ~Terminal();

  // Its present size; colour unless NO_COLOR says no (no-color.org).
  Canvas canvas() const;
  void show(const std::vector<std::string>& lines) const;

 private:
  bool colour_;
  std::optional<termios> before_;
};

}  // namespace flaky
