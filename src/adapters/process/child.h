// What a process is between its clone and its exec: it makes itself what the plan says, writes
// itself into the record, and executes.
//
// It may share its parent's memory: from the clone on nothing is allocated, locked or thrown, and
// nothing is written but the note, its own LISTEN_PID and its own kernel state. Invariant: it
// executes only after it is in the record.
#pragma once

#include <sys/resource.h>
#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "adapters/process/account.h"
#include "adapters/process/attributes.h"
#include "adapters/process/spawn.h"

namespace recover::adapters::process {

enum class Stage : std::uint32_t {
  Session,
  Files,
  Limits,
  Groups,
  User,
  Folder,
  Attribute,
  Record,
  Exec,
};

// What the child tells when it cannot go on. Success tells nothing: exec closes the socket.
struct Report {
  Stage stage = Stage::Session;
  int error = 0;
  StepFailure attribute;  // Of Stage::Attribute.
};
// What a suspended clone leaves in our memory instead.
struct Note {
  bool failed = false;
  Report report;
  std::uint64_t start_time = 0;  // Of the child; 0: it did not find out.
};

inline constexpr int kFirstPassed = 3;  // SD_LISTEN_FDS_START
inline constexpr std::size_t kPidDigits = 10;

// Everything the child needs, prepared before the clone. Descriptors but `passed` and the second of
// `numbered` are none the child overwrites.
struct Plan {
  std::string program;
  std::string folder;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  Account account;
  bool switch_user = false;
  rlimit files{};
  mode_t umask = 022;
  // The table of descriptors is the parent's until those from here on are left behind; 0: it is a
  // copy.
  int keep_below = 0;
  int input = -1;
  int output = -1;
  int error = -1;  // -1: `output`.
  const ProcessRecord* record = nullptr;
  int record_fd = -1;  // -1: nothing is recorded.
  pid_t parent = 0;
  std::uint64_t before = 0;  // start_time_now() before the clone.
  int join = -1;             // cgroup.procs of the leaf; -1: it is in it already.
  Note* note = nullptr;      // Of a suspended clone; a forked one sends it:
  int parent_end = -1;
  int child_end = -1;
  const Attributes* attributes = nullptr;
  std::vector<int> passed;                      // Become 3, 4, ….
  std::optional<std::pair<int, int>> numbered;  // The second becomes the first.
  char* listen_pid = nullptr;  // Where in `environment` its digits go; null: nowhere.
};

// REQUIRES: every signal is blocked; a process just cloned.
[[noreturn]] void run_child(const Plan& plan) noexcept;

}  // namespace recover::adapters::process
