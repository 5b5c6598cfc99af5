// Where people ask about backups, and for one: what each type's tasks did last and do next.
//
// Refuses nothing by itself but what is not in the configuration. Loop thread. Times are seconds
// since 1970; 0: never.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/backup_plan.h"

namespace recover::ports {

struct BackupTaskView {
  core::BackupTask task = core::BackupTask::Full;
  std::string subject;             // The type; of a verification the repository.
  std::int64_t next_due = 0;       // 0: not scheduled.
  std::int64_t overdue_after = 0;  // Likewise.
  core::BackupRecord record;
  std::string progress;  // JSON object of the attempt under way; empty: none.
};

// Of a type that is protected continuously. Seconds.
struct BackupProtectionView {
  std::string state;         // "walking", "protecting", "waiting", "restarting"
  std::string feed;          // "fanotify", "inotify", "none"; empty: not known yet.
  std::string feed_trouble;  // Why it is none.
  double wanted_seconds = 0;
  std::optional<double> last_seconds;   // From a change to its being on the store.
  std::optional<double> worst_seconds;  // The longest since recoverd began.
  bool reaches = false;                 // Something is on the store.
  double exposed_seconds = 0;  // What happened in the last so many seconds may be on no store.
  bool is_missed = false;
  std::uint64_t changes_waiting = 0;
  std::uint64_t restarts = 0;
  std::string error;  // Why it waits or was begun again; empty: nothing is wrong.
};

// Of the mirror a type goes to.
struct BackupMemberView {
  std::string name;  // "primary", …
  std::string location;
  std::string state;        // "sound", "behind", "later" of one that is copied to, "unknown"
  std::string why;          // It is behind.
  std::int64_t since = 0;   // Of that; of "later": when it last had everything.
  bool is_failure = false;  // For longer than it may.
};

struct BackupTypeView {
  std::string name;
  std::string repository;
  core::Priority priority = core::Priority::Medium;
  core::BackupVerdict made;
  core::BackupVerdict proven;
  std::int64_t succeeded_from = 0;  // When the newest good backup began: what it holds is so old.
  std::int64_t proven_at = 0;       // When all that proves it but the drill had succeeded.
  double rto_wanted = 0;            // Seconds.
  std::optional<double> rpo_wanted = {};                // Likewise; none: as the schedule says.
  std::optional<BackupProtectionView> protection = {};  // None: it is not protected continuously.
  std::vector<BackupMemberView> members = {};           // None: one place.
  std::vector<BackupTaskView> tasks;                    // Of the type, and verify.
};

struct BackupRunView {
  std::uint64_t run = 0;
  bool ended = false;
  std::string body;  // JSON: where it stands, or its report.
};

class BackupDesk {
 public:
  BackupDesk() = default;
  BackupDesk(const BackupDesk&) = delete;
  BackupDesk& operator=(const BackupDesk&) = delete;
  virtual ~BackupDesk() = default;

  virtual std::int64_t now() const = 0;
  virtual std::vector<BackupTypeView> types() const = 0;
  // The number of the run that will do it. Nothing: there is no such type.
  virtual std::optional<std::uint64_t> request(std::string_view type, core::BackupTask task,
                                               std::string actor) = 0;
  // Nothing: there is no such run, or its report is no longer kept.
  virtual std::optional<BackupRunView> run(std::uint64_t run) const = 0;
  // The reports of the newest drills, newest first, at most so many: JSON.
  virtual std::vector<std::string> drills(std::size_t most) const = 0;
};

}  // namespace recover::ports
