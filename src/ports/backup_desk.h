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

struct BackupTypeView {
  std::string name;
  std::string repository;
  core::Priority priority = core::Priority::Medium;
  core::BackupVerdict made;
  core::BackupVerdict proven;
  std::int64_t succeeded_from = 0;    // When the newest good backup began: what it holds is so old.
  std::int64_t proven_at = 0;         // When everything that proves it had succeeded.
  std::vector<BackupTaskView> tasks;  // Full, incremental, restore-test, verify.
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
};

}  // namespace recover::ports
