// The daemon's journal: SQLite with its reserve, salvage when it is corrupt, memory when the disk
// refuses.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <recover/result.h>

#include "base/secret.h"
#include "journal/resilient_journal.h"
#include "journal/sqlite_journal.h"
#include "journal/staged_journal.h"

namespace recover::apps {

// One thread.
class JournalFile {
 public:
  // Entries kept at least; older ones are pruned.
  static constexpr std::uint64_t kKeepEntries = 1'000'000;

  // Opens, or begins, the journal. `on_degraded` hears when it cannot be written and when it can
  // again, from within an append. Returns what to warn of. Error: a wrong key, a later version, or
  // another recoverd that has it open: reasons not to start. A disk that refuses is none.
  Result<std::vector<std::string>, std::string> open(const std::string& path, base::Secret key,
                                                     std::function<void(bool)> on_degraded);

  ports::Journal& journal() { return *resilient_; }
  bool degraded() const { return resilient_->degraded(); }
  // What it waits for, for people.
  std::string trouble() const { return resilient_->last_error().message; }
  void catch_up() { resilient_->catch_up(); }
  // With a key: its newest entry is encrypted. Without one it is always so.
  bool is_sealed() const;
  // Whether entries wait in the stage, for a moment in which nobody waits for us.
  bool settled() const {
    return staged_ == nullptr || resilient_->degraded() || staged_->settled();
  }
  // Moves them into the database. If it refuses, they are safe where they are, the journal is
  // degraded, and catch_up() tries again.
  void settle();
  // Removes what is old, a bit at a time. Error: why not.
  Result<void, std::string> prune();
  const journal::OpenOptions& options() const { return options_; }

 private:
  Result<std::unique_ptr<ports::Journal>, ports::JournalError> open_file(
      std::vector<std::string>& warnings);

  journal::OpenOptions options_;
  journal::StagedJournal* staged_ = nullptr;  // Owned by resilient_; stale while that is degraded.
  std::unique_ptr<journal::ResilientJournal> resilient_;
};

}  // namespace recover::apps
