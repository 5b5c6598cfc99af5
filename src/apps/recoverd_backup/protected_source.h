// One source under continuous protection: what changed in it, and the snapshots made of that.
//
// Invariant: a change is forgotten only when a snapshot that holds it is on the store.
#pragma once

#include <chrono>
#include <optional>
#include <stop_token>
#include <string>

#include "apps/recoverd_backup/job.h"
#include "backup/archive/archiver.h"
#include "backup/feed/change_watch.h"
#include "backup/feed/link_book.h"
#include "backup/repo/live_index.h"
#include "backup/repo/lock.h"

namespace recover::apps {

// Whether one was made here: such have the tag backup::kContinuousTag beside the type's.
bool is_continuous(const backup::Repository::FoundSnapshot& snapshot);

class ProtectedSource {
 public:
  using Clock = backup::ChangeWatch::Clock;

  // Follows the source from now on. `job` outlives it.
  ProtectedSource(const Job& job, const JobSource& source);

  // When the next snapshot is to be begun, if nothing changes until then.
  Clock::time_point due() const;
  void wait_until(Clock::time_point time, bool for_changes, const std::stop_token& stop) {
    watch_.wait_until(time, for_changes, stop);
  }

  struct Made {
    backup::ArchiveReport report;
    std::size_t changes = 0;
    bool everything = false;
    std::string why;
    std::chrono::duration<double> took{};
    // From the oldest change to now; none: nothing that was told.
    std::optional<std::chrono::duration<double>> rpo;
  };
  // Everything that changed until now. After a failure it waits again.
  backup::Outcome<Made> make(const backup::Repository& repository, backup::LiveIndex& index,
                             backup::RepositoryLock& lock, const std::stop_token& stop);
  // Another session with the store: what was made before may be gone.
  void find_parent(const backup::Repository& repository,
                   const std::vector<backup::Repository::FoundSnapshot>& snapshots);

  const backup::ChangeWatch& watch() const noexcept { return watch_; }
  // Everything that happened before is on the store; none: nothing is known yet.
  std::optional<Clock::time_point> protected_until() const;

 private:
  backup::ArchiveOptions options(backup::RepositoryLock& lock);
  // None when its file is gone.
  static std::optional<backup::Repository::FoundSnapshot> if_there(
      const backup::Repository& repository,
      const std::optional<backup::Repository::FoundSnapshot>& parent);

  const Job& job_;
  const JobSource& source_;
  backup::ChangeWatch watch_;
  backup::LinkBook links_;
  // Made by us: what was told since is all that changed.
  std::optional<backup::Repository::FoundSnapshot> own_parent_;
  std::optional<backup::Repository::FoundSnapshot> found_parent_;  // Made by anybody.
  std::string repository_;                                         // That has them.
  std::optional<Clock::time_point> walked_;  // When the last walk of everything began.
  std::optional<Clock::time_point> made_;    // When the last snapshot began.
  Clock::duration walk_took_{};
};

}  // namespace recover::apps
