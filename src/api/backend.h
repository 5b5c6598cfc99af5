// What the API stands on: how it reads the daemon's state and how it asks for something.
//
// The composition root fills it. Refuses to be a way around the core: everything that changes
// recoverd's mind is an operator event given to `post`; the rest only reads.
// Invariant: every function is called on the loop's thread and returns without waiting.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>
#include <recover/time.h>

#include "core/engine.h"
#include "ports/backup_desk.h"
#include "ports/checkpoint_store.h"
#include "ports/event_source.h"
#include "ports/journal.h"

namespace recover::api {

// The latest look of one probe, also when it changed nothing and the engine forgot it.
struct Look {
  core::ProbeState state = core::ProbeState::Unknown;
  Duration latency{};
  std::int64_t checked_wall_ns = 0;     // Since 1970; 0: never.
  Instant started_at = Instant::min();  // Of the engine; when it began.
  std::string detail;
};

struct ResourceReading {
  std::string what;    // "cpu", "memory", "disk:/var", …
  double ratio = 0.0;  // Used, 0 to 1.
  std::string level;   // normal | warning | critical | emergency
};

// What a reload did to the services, by name, and to the rest.
struct Reloaded {
  std::string summary;  // A sentence.
  std::vector<std::string> added = {};
  std::vector<std::string> removed = {};
  std::vector<std::string> restarted = {};
  std::vector<std::string> changed = {};
  std::vector<std::string> sections = {};
};

// A stretch of what an instance printed. Offsets are in bytes since the output began, or since the
// beginning of its file.
struct Output {
  std::uint64_t begin = 0;  // Of the text.
  std::uint64_t end = 0;    // Of all there is.
  std::string text;
};

using Verified = Result<ports::Verification, ports::JournalError>;
using Mistakes = std::vector<std::string>;  // "FILE:LINE:COL: message" each.

// Required: engine, journal, post, now, wall_ns. A function left empty makes its route answer
// 501 NOT_AVAILABLE, so a daemon can be put together piece by piece.
struct Backend {
  std::function<const core::Engine&()> engine;
  ports::Journal* journal = nullptr;  // Outlives the server.
  ports::Sink post;
  std::function<Instant()> now;
  std::function<std::int64_t(Instant)> wall_ns;  // Of an engine time; since 1970.
  std::function<std::vector<Look>(core::ServiceIndex)> looks;
  // A sign of life of the service; how many heartbeat probes heard it.
  std::function<std::size_t(core::ServiceIndex)> beat;
  // Newest lines of captured output, oldest first.
  std::function<std::vector<std::string>(core::ServiceIndex, std::size_t lines)> tail;
  // At most `bytes` of it from `from` on; of what is gone, the oldest that is left. Without stderr
  // where that is kept apart.
  std::function<Output(core::ServiceIndex, std::uint32_t instance, std::uint64_t from,
                       std::size_t bytes)>
      output;
  std::function<void(core::ServiceIndex, std::uint32_t instance)> clear_output;
  // The same of stderr alone, of services that keep it apart.
  std::function<std::vector<std::string>(core::ServiceIndex, std::size_t lines)> error_tail;
  std::function<Output(core::ServiceIndex, std::uint32_t instance, std::uint64_t from,
                       std::size_t bytes)>
      error_output;
  std::function<Result<Reloaded, Mistakes>()> reload;
  // What reload() would do.
  std::function<Result<Reloaded, Mistakes>()> preview;
  // Executes the program on the disk anew, services running on. Error: why not.
  std::function<Result<void, std::string>()> reexec;
  // Stops every service and recoverd itself, once what is being answered has left.
  std::function<void()> shutdown;
  std::int64_t pid = 0;                        // Of the process that was started as recoverd.
  std::function<std::string()> configuration;  // As written; ${…} unexpanded.
  // Writes the text to the configuration file if it is valid, and reloads.
  std::function<Result<Reloaded, Mistakes>(std::string_view yaml)> replace_configuration;
  ports::CheckpointStore* checkpoints = nullptr;  // Outlives the server.
  ports::BackupDesk* backups = nullptr;           // Likewise.
  // What it calls the versions of the configuration.
  std::function<std::string()> configuration_history;
  // Runs `work` where it may wait, then `done` on the loop's thread. Empty: both at once.
  std::function<void(std::function<void()> work, std::function<void()> done)> aside;
  std::function<std::vector<ResourceReading>()> resources;
  // Reads the whole journal somewhere else and calls back on the loop's thread. Empty:
  // journal->verify() is called in place, which blocks for as long as it takes.
  std::function<void(std::function<void(Verified)>)> verify;
  std::string version = "0.1.0";
};

}  // namespace recover::api
