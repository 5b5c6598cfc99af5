// Locks for work that shares a repository with others: waiting for one instead of giving up, and
// one that is shared for the long part of the work and exclusive for the short one.
#pragma once

#include <chrono>
#include <memory>
#include <stop_token>

#include "backup/repo/lock.h"

namespace recover::backup {

// How long others are waited for. Our own prune holds the repository for seconds at a time.
inline constexpr std::chrono::seconds kLockPatience{60};

// As RepositoryLock::acquire, again every second while somebody else's lock conflicts.
Outcome<std::unique_ptr<RepositoryLock>> acquire_patiently(
    const Repository& repository, LockKind kind, std::chrono::seconds patience = kLockPatience,
    const std::stop_token& stop = {});

// Of a prune. Not thread-safe.
class TwoPhaseLock {
 public:
  // Shared. REQUIRES: `repository` outlives it.
  static Outcome<std::unique_ptr<TwoPhaseLock>> begin(const Repository& repository,
                                                      std::chrono::seconds patience = kLockPatience,
                                                      std::stop_token stop = {});

  // The shared lock becomes an exclusive one; in between others may have done anything. Locked:
  // somebody held theirs for longer than the patience; there is none then.
  Outcome<void> exclude();
  // Gives the exclusive lock up for long enough that who waits for one gets it, then as exclude().
  Outcome<void> let_others_in();
  bool is_held() { return lock_ && lock_->is_held(); }

 private:
  TwoPhaseLock(const Repository& repository, std::chrono::seconds patience, std::stop_token stop)
      : repository_(repository), patience_(patience), stop_(std::move(stop)) {}

  const Repository& repository_;
  const std::chrono::seconds patience_;
  const std::stop_token stop_;
  std::unique_ptr<RepositoryLock> lock_;
};

}  // namespace recover::backup
