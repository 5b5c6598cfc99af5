// One job of the backup worker that concerns checkpoints, asked for and waited for.
//
// The job goes in by standard input, which no other process sees; the answer is the last line that
// begins with '{'. The worker ends with the thread that asks: nothing goes on restoring after the
// engine has died.
#pragma once

#include <string>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

struct WorkerCall {
  std::string program;  // recoverd-backup.
  std::string job;      // JSON.
  CheckpointLimits limits = {};
  bool changes_state = false;  // So that a worker that dies may have changed something.
};

// Blocks. The worker's answer, whatever it says. Cancelled: stopped or out of time. Io: it cannot
// be run, or died.
Result<std::string, CheckpointError> ask_worker(const WorkerCall& call);

}  // namespace recover::adapters::checkpoint
