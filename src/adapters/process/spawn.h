// Starts one process, in its own session and cgroup, with nothing of ours left in it.
//
// Invariant: the program is executed only after the process is in `record`, so none is ever lost:
// if we die before, the child ends without having run anything. Descriptors but 0, 1 and 2 are
// closed, signals reset, the environment is exactly the given one.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <recover/result.h>

#include "adapters/process/attributes.h"
#include "adapters/process/cgroup.h"
#include "adapters/process/process.h"
#include "core/policy.h"

namespace recover::adapters::process {

// One line that the new process writes about itself before it executes: what comes before its pid
// and start time (separated by a tab), and what after.
struct ProcessRecord {
  int fd = -1;  // Appended to in one write(2). Borrowed. -1: nothing is recorded.
  std::string before;
  std::string after;
};

// From the best to what every kernel with pidfds has; a way that fails is followed by the next.
enum class CloneWay : std::uint8_t {
  IntoCgroup,  // clone3 with CLONE_PIDFD and CLONE_INTO_CGROUP (Linux 5.7).
  Clone3,      // clone3 with CLONE_PIDFD; it moves into the cgroup before it goes on.
  Clone,       // clone with CLONE_PIDFD (5.2), where clone3 is forbidden, as in old containers.
};

struct SpawnRequest {
  core::Arguments command;  // command[0] with a '/' is a path, else looked up in PATH.
  std::string user;         // Empty: ours.
  std::string group;        // Empty: the user's.
  // Added to PATH, and with a user HOME, USER, LOGNAME and SHELL; later entries win.
  std::vector<std::pair<std::string, std::string>> environment;
  std::string working_directory = "/";
  std::uint32_t umask = 022;
  std::optional<std::uint32_t> files;  // RLIMIT_NOFILE; none: soft 1024, hard ours.
  int output = -1;                     // Becomes stdout and stderr. Borrowed. REQUIRES: >= 0.
  int error = -1;                      // Becomes stderr instead. Borrowed. -1: none.
  CgroupLeaf leaf;                     // Empty: none.
  std::optional<std::vector<std::string>> supplementary_groups;  // None: the account's own.
  Attributes attributes;
  // Become 3, 4, … and are told by LISTEN_FDS, LISTEN_FDNAMES and LISTEN_PID. Borrowed.
  std::vector<std::pair<std::string, int>> passed;
  // Becomes the descriptor of that number. Borrowed.
  std::optional<std::pair<std::uint32_t, int>> numbered;
  CloneWay way = CloneWay::IntoCgroup;  // The best to try.
  ProcessRecord record;
};

// "exec /usr/bin/x: No such file or directory".
struct SpawnError {
  std::string message;
  bool unrecorded = false;  // Only the record could not be written.
};

struct Spawned {
  Process process;
  bool in_leaf = false;  // Whether the leaf could be entered.
  CloneWay way = CloneWay::Clone;
};

// Blocks until the exec (less than a millisecond); where program or folder are on a network or
// FUSE, at most kExecWaitMillis. One thread at a time.
inline constexpr int kExecWaitMillis = 2'000;
Result<Spawned, SpawnError> spawn(const SpawnRequest& request);

// Where `name` is in the colon-separated `path`: the first executable file.
std::optional<std::string> find_program(const std::string& name, const std::string& path);

}  // namespace recover::adapters::process
