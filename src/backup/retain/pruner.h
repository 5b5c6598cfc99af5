// Takes back the space of what no snapshot uses: packs without a used blob go, packs with few are
// written anew, and one new set of index files says what is left.
//
// Crash-safe at every point: new packs, then new index files, then the old index files go, then the
// old packs. What is broken off leaves packs no index names; the next prune removes them.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "backup/repo/repository.h"

namespace recover::backup {

struct PruneOptions {
  double unused_max = 0.05;  // Of all bytes: so much unused is tolerated rather than written anew.
  // Snapshots to remove first: not before everything that stays was found to be there.
  std::vector<Digest> forget = {};
  // Asked before anything is removed; false: nothing is. None: the caller needs no lock.
  std::function<bool()> still_locked = nullptr;
  bool dry_run = false;
};

struct PruneReport {
  std::uint64_t packs_removed = 0;  // Unused or written anew.
  std::uint64_t packs_rewritten = 0;
  std::uint64_t packs_kept = 0;
  std::uint64_t bytes_freed = 0;
  std::uint64_t bytes_unused_kept = 0;
};

// REQUIRES: the caller holds an exclusive lock. Damaged, and nothing is removed, when a snapshot,
// tree or blob that is used cannot be read: see check().
Outcome<PruneReport> prune(const Repository& repository, const PruneOptions& options,
                           const std::stop_token& stop = {});

}  // namespace recover::backup
