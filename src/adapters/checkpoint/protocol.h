// What the checkpoint store asks of the backup worker, and what that answers: one JSON object each.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

enum class WorkerTask : std::uint8_t {
  Take,
  Restore,
  Show,
  Diff,
  Sweep,     // Removes from the repository what none of the snapshots `kept` holds.
  TakeOver,  // Makes snapshots of what an earlier recoverd kept in another form.
};

struct WorkerJob {
  WorkerTask task = WorkerTask::Take;
  std::string root = {};      // The store's folder.
  std::int64_t asked_by = 0;  // The process: the worker ends with it. 0: it does not.
  std::string service = {};
  std::vector<std::string> tags = {};      // Of the snapshot.
  std::vector<std::string> paths = {};     // That the checkpoint covers.
  std::vector<std::string> present = {};   // Of them; the others are absent.
  std::vector<std::string> absent = {};    // The others.
  std::vector<std::string> not_held = {};  // Left out, and left alone.
  std::vector<std::string> excludes = {};  // Left out though they are plain files (patterns).
  std::string snapshot = {};               // To restore, show, or the earlier of two.
  std::string other = {};                  // The later.
  std::vector<std::string> only = {};      // To restore only these; empty: all.
  bool dry_run = false;
  std::vector<std::string> kept = {};
  bool keep_all = false;  // Nobody knows which snapshots are needed.
};

// What of it means something depends on the task.
struct WorkerAnswer {
  std::string snapshot = {};
  std::string content = {};  // CheckpointRecord::content.
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  std::uint64_t bytes_stored = 0;
  ports::RestoreReport report = {};
  std::vector<ports::CheckpointFile> entries = {};
  std::string text = {};
};
using WorkerResult = Result<WorkerAnswer, CheckpointError>;

// Whether it is a job of this kind, and not another of the backup worker.
bool is_checkpoint_job(std::string_view text);
std::string encode(const WorkerJob& job);
// Error: what is wrong with it.
Result<WorkerJob, std::string> decode_job(std::string_view text);

// One line, with its end.
std::string encode(const WorkerResult& result);
// The failure it tells, or Io: it is no answer.
WorkerResult decode_answer(std::string_view text);

}  // namespace recover::adapters::checkpoint
