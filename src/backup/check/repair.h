// Mends a repository of which some bytes are damaged or missing: what can still be read is moved
// into new packs, what cannot is read again from the files it came from, and what is lost for good
// is named no more, so that the next backup stores it again.
//
// Crash-safe as a prune: first what is new, then the index files that say so, then removals.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/check/checker.h"
#include "backup/repo/repository.h"

namespace recover::backup {

struct RepairOptions {
  // Folders below which the files of snapshots are looked for: "/" for where they were, "/mnt/old"
  // for /mnt/old/srv/www/index.html. What is found serves only if it is exactly what is missing.
  std::vector<std::string> sources = {};
  // Asked before anything is removed; false: nothing is.
  std::function<bool()> still_locked = nullptr;
  bool dry_run = false;  // Only tell what is damaged.
};

struct RepairReport {
  std::uint64_t packs_damaged = 0;     // Missing, or wrongly named by an index.
  std::uint64_t packs_unread = 0;      // Which for now cannot be read: left as they are.
  std::uint64_t blobs_moved = 0;       // Whole ones of damaged packs.
  std::uint64_t blobs_read_again = 0;  // From the sources.
  std::uint64_t blobs_lost = 0;  // Used or not; the next backup of the same files brings them.
};

// REQUIRES: the caller holds an exclusive lock. Reads every pack. Only wrong bytes, none, and a
// disk that cannot give them (EIO) are damage; a store that does not answer ends it before anything
// was removed.
Outcome<RepairReport> repair(const Repository& repository, const RepairOptions& options,
                             CheckProgress& progress, const std::stop_token& stop = {});

}  // namespace recover::backup
