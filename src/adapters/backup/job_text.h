// The job that a worker reads from its standard input. It holds secrets: for that one reader only.
#pragma once

#include <string>

#include "core/backup_plan.h"
#include "core/policy.h"

namespace recover::adapters::backup {

struct JobPlace {
  std::string scratch = {};  // An existing folder, for what is restored as a test.
  std::int64_t parent = 0;   // It ends when this process does.
  std::string folder = {};   // Of the backups below the state directory.
  std::int64_t now = 0;      // Unix time.
};

// Where it is kept which members of a repository's mirror lack something.
std::string mirror_state_path(const std::string& folder, const std::string& repository);

// REQUIRES: the slot is one of backup_slots(policy).
std::string job_text(const core::BackupPolicy& policy, const core::BackupSlot& slot,
                     const JobPlace& place);
// Of the action restore_backup.
std::string restore_job_text(const core::BackupPolicy& policy, const core::BackupType& type,
                             const core::RestoreBackupAction& action, const JobPlace& place);

// Of the worker that protects a type; the same text for the same policy.
std::string protection_job(const core::BackupPolicy& policy, std::uint32_t type,
                           const JobPlace& place);

}  // namespace recover::adapters::backup
