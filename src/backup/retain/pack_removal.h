// The end of a prune: packs that no index names are removed. For pruner.cc only.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <vector>

#include "backup/retain/pruner.h"

namespace recover::backup {

// The packs that an index file names.
Outcome<std::vector<IndexedPack>> packs_of(const Repository& repository, const Digest& index);

// NotFound is none: it is gone.
Outcome<void> remove_file(const Repository& repository, FileKind kind, const Digest& id);

// Whether the lock still holds, asked once a second however often one wants to know.
class LockWatch {
 public:
  // REQUIRES: `options` outlives it.
  explicit LockWatch(const PruneOptions& options) : options_(options) {}

  // Locked: others may have taken it for stale, and what they write must not be removed.
  Outcome<void> ask();
  // The lock is another one: the next time it is asked.
  void renew() { asked_.reset(); }

 private:
  const PruneOptions& options_;
  std::optional<std::chrono::steady_clock::time_point> asked_;
};

// Every pack that no index names now. REQUIRES: nobody else works with the repository but when
// options.let_others_in is called; a backup that it lets in may name one that was left behind anew.
Outcome<void> remove_unnamed_packs(const Repository& repository, const PruneOptions& options,
                                   LockWatch& lock, const std::stop_token& stop);

}  // namespace recover::backup
