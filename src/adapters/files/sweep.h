// Finds the files a CleanFilesAction means, and removes them, without ever leaving a root.
//
// Folders are entered one name at a time from the root's descriptor, never through a link and never
// into another file system; so a folder swapped for a link meanwhile ends the way, not the rule.
#pragma once

#include <sys/stat.h>
#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "adapters/files/open_files.h"
#include "core/policy.h"
#include "effects/pool_effector.h"

namespace recover::adapters::files {

inline constexpr std::size_t kCandidatesMax = 200'000;
inline constexpr std::size_t kDepthMax = 64;  // Folders below a root.

using effects::Stopped;

struct Candidate {
  std::string root;  // Resolved, absolute.
  std::string path;  // Relative to it.
  dev_t device = 0;
  ino_t inode = 0;
  timespec changed{};  // mtime
};

struct Sweep {
  std::uint64_t freed = 0;  // Bytes of disk, by blocks; a file with other hard links frees none.
  std::uint32_t removed = 0;
  std::uint32_t in_use = 0;         // Matched but open.
  std::vector<std::string> names;   // The first kNamesMax removed.
  std::vector<std::string> errors;  // The first kNamesMax.
  bool stopped = false;             // Ended before its work was done.
};
inline constexpr std::size_t kNamesMax = 10;

// Regular files below the root that match a glob and are old and large enough. Errors in a folder
// skip the folder. `root` is resolved.
std::vector<Candidate> find_candidates(const std::string& root,
                                       const core::CleanFilesAction& action,
                                       std::chrono::system_clock::time_point now,
                                       const Stopped& stopped);

// Oldest first, until `free_target` or `max_files`. A file that changed since it was found stays.
Sweep remove_files(std::vector<Candidate> candidates, const core::CleanFilesAction& action,
                   const std::set<FileId>& open, const Stopped& stopped);

}  // namespace recover::adapters::files
