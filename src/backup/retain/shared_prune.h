// A prune beside others: it shares the repository while it looks and adds, has it to itself for
// seconds while it removes, and finds a way on a disk that is full.
#pragma once

#include <chrono>
#include <stop_token>

#include "backup/repo/patient_lock.h"
#include "backup/retain/pruner.h"

namespace recover::backup {

struct SharedPrune {
  PruneOptions prune = {};  // But its lock's functions.
  std::chrono::seconds patience = kLockPatience;
};

// Takes the locks itself. Begun again, a few times, when others came in between. On a full disk the
// store's reserve is given up and whole packs go first, before anything is written anew; the
// reserve is made again at the end. Locked: others held the repository for too long.
Outcome<PruneReport> prune_beside_others(const Repository& repository, const SharedPrune& wish,
                                         const std::stop_token& stop = {});

}  // namespace recover::backup
