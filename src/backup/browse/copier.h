// Copies snapshots from one repository to another: only blobs that the other does not have, opened
// with one key and sealed with the other.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <stop_token>
#include <vector>

#include "backup/repo/repository.h"

namespace recover::backup {

struct CopyReport {
  std::uint64_t snapshots = 0;  // Copied.
  std::uint64_t skipped = 0;    // Copied by an earlier run, told by `original`.
  std::uint64_t blobs = 0;
  std::uint64_t bytes = 0;  // Of plaintext.
};

// Read at any time from any thread.
struct CopyProgress {
  std::atomic<std::uint64_t> trees{0};  // Looked through.
  std::atomic<std::uint64_t> blobs{0};
  std::atomic<std::uint64_t> bytes{0};  // Of plaintext.
};

struct CopyOptions {
  // Asked before each snapshot is written; false: it is not. None: the caller needs no lock.
  std::function<bool()> still_locked = nullptr;
  CopyProgress* progress = nullptr;
};

// The snapshots are written when all their blobs are, so a copy that is broken off is simply
// repeated. A copy has no parent, and its `original` is the snapshot it was copied from, as with
// restic.
Outcome<CopyReport> copy_snapshots(const Repository& from, const Repository& to,
                                   const std::vector<Repository::FoundSnapshot>& snapshots,
                                   const CopyOptions& options = {},
                                   const std::stop_token& stop = {});

}  // namespace recover::backup
