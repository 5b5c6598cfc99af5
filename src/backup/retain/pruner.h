// Takes back the space of what no snapshot uses: packs without a used blob go, packs with few are
// written anew, and new index files say what is left.
//
// In two phases. The long one only adds (new packs, then index files that name them and what stays)
// and lets others work. The short one, with the repository to itself, looks at what came meanwhile
// and removes: index files, then packs, a slice at a time. Crash-safe at every point: what is
// broken off leaves copies or packs no index names; the next prune removes them.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "backup/repo/repository.h"

namespace recover::backup {

// Read at any time from any thread.
struct PruneProgress {
  std::atomic<std::uint64_t> trees{0};        // Read to find what is used.
  std::atomic<std::uint64_t> packs_done{0};   // Written anew or removed...
  std::atomic<std::uint64_t> packs_total{0};  // ...of these; 0: not known yet.
  std::atomic<std::uint64_t> bytes{0};        // Written anew.
};

struct PruneOptions {
  double unused_max = 0.05;  // Of all bytes: so much unused is tolerated rather than written anew.
  // Snapshots to remove first: not before everything that stays was found to be there.
  std::vector<Digest> forget = {};
  // Asked when the first file is to be removed and every second from then on; false: no more are.
  // None: the caller needs no lock.
  std::function<bool()> still_locked = nullptr;
  // Called before the first removal: returns when nobody else works with the repository, or why
  // that cannot be had (then nothing is removed, and a later prune goes on). None: the caller has
  // it to itself from the start.
  std::function<Outcome<void>()> exclude = nullptr;
  // Called between slices of removals: lets others in for a moment, and returns as exclude() does.
  std::function<Outcome<void>()> let_others_in = nullptr;
  // False: no pack is written anew, for there is no room for it; only whole ones go.
  bool rewrite = true;
  // Bytes a second that are read and written anew; 0: as fast as it can.
  std::uint64_t rewrite_rate = 0;
  PruneProgress* progress = nullptr;
  bool dry_run = false;
};

struct PruneReport {
  std::uint64_t packs_removed = 0;  // Unused or written anew.
  std::uint64_t packs_rewritten = 0;
  std::uint64_t packs_kept = 0;
  std::uint64_t bytes_freed = 0;
  std::uint64_t bytes_unused_kept = 0;
};

// REQUIRES: the caller holds an exclusive lock, or a shared one and gives options.exclude. Locked:
// others came in between; nothing that they use was removed. Damaged, and nothing is removed, when
// a snapshot, tree or blob that is used cannot be read: see check().
Outcome<PruneReport> prune(const Repository& repository, const PruneOptions& options,
                           const std::stop_token& stop = {});

}  // namespace recover::backup
