// Locks as restic has them: any number that share, or one that excludes.
//
// A stale lock is removed before ours is taken; restic itself would wait for a person to do that.
// One is stale when it is older than half an hour by our clock and by the store's, if that tells
// the time: neither alone may be wrong and cost somebody his lock. Or when its process is gone: at
// once if it ran under this kernel, where we see it; else, for others may have the same host name,
// when it has missed a renewal as well. REQUIRES of the process: SIGHUP must not end it, for that
// is how `restic unlock` asks whether we live.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "backup/repo/repository.h"

namespace recover::backup {

enum class LockKind : std::uint8_t { Shared, Exclusive };

// Held until destroyed; a thread renews it every five minutes.
class RepositoryLock {
 public:
  // Locked: somebody else's lock conflicts; the message says whose and since when.
  static Outcome<std::unique_ptr<RepositoryLock>> acquire(const Repository& repository,
                                                          LockKind kind);
  RepositoryLock(const RepositoryLock&) = delete;
  RepositoryLock& operator=(const RepositoryLock&) = delete;
  ~RepositoryLock();

  // False, and so from then on, once others may have taken it for stale: it was not renewed for too
  // long, or its file is gone. Ask before anything that others rely on, and stop when it is lost.
  bool is_held();

 private:
  RepositoryLock(const Repository& repository, LockKind kind, const Digest& id);
  void keep();

  const Repository& repository_;
  const LockKind kind_;
  std::mutex mutex_;
  std::condition_variable stop_;
  bool stopping_ = false;
  bool lost_ = false;
  std::int64_t renewed_ = 0;  // Seconds of the wall clock.
  Digest id_;
  std::thread keeper_;
};

// Removes every stale lock; with `all`, every lock. The number removed.
Outcome<std::size_t> remove_locks(const Repository& repository, bool all);
// Removes what this process left when the store did not answer. REQUIRES: it holds no lock.
Outcome<void> remove_own_locks(const Repository& repository);

}  // namespace recover::backup
