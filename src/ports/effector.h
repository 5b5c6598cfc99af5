// Something that can carry out commands: start a process, run a query, take a checkpoint.
//
// Effectors never decide. Whatever they learn comes back as the outcome.
#pragma once

#include <functional>

#include "core/command.h"
#include "core/event.h"

namespace recover::ports {

// Called exactly once, on the loop's thread, never from within perform().
using Done = std::function<void(core::CommandFinished)>;

class Effector {
 public:
  Effector() = default;
  Effector(const Effector&) = delete;
  Effector& operator=(const Effector&) = delete;
  virtual ~Effector() = default;

  // Starts the command and returns at once. Gives up at command.deadline by itself.
  // REQUIRES: the command is durable in the journal; `policy` is the one it was decided under and
  // outlives the command. Loop thread.
  virtual void perform(const core::Command& command, const core::Policy& policy, Done done) = 0;

  // Asks a command to end early; its `done` is still called. Unknown ids are ignored.
  virtual void cancel(core::CommandId command) = 0;
};

}  // namespace recover::ports
