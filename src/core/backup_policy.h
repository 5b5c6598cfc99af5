// What is backed up, where to and when: the `backup:` of the configuration as plain values.
//
// Beside core::Policy, not in it: the engine decides nothing about backups, so a replay needs none
// of this.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <recover/time.h>

#include "base/secret.h"
#include "core/backup_source.h"
#include "core/cron.h"
#include "core/vocabulary.h"

namespace recover::core {

struct BackupRepository {
  std::string name;
  std::string location;  // As restic writes it.
  base::Secret password;
  std::string access_key;  // Of S3.
  base::Secret secret_key;
  std::string region;
  std::string ca_file;
  std::uint64_t upload = 0;  // Bytes a second; 0: no limit.
  std::uint64_t download = 0;
  bool append_only = false;
  friend bool operator==(const BackupRepository&, const BackupRepository&) = default;
};

// Paths; or a command whose output becomes the file `name`; or what is read in its own way, whose
// files begin with `name`.
struct BackupSource {
  std::vector<std::string> paths;
  std::vector<std::string> excludes;
  bool one_file_system = false;
  std::vector<std::string> command;
  std::string name;
  NativeSource native;
  std::string query;                  // Asked of what was restored as a test; empty: our own.
  std::optional<std::string> expect;  // What it must answer.
  friend bool operator==(const BackupSource&, const BackupSource&) = default;
};

// Restic's keep rules; all zero: everything is kept.
struct BackupRetention {
  std::uint32_t last = 0;
  std::uint32_t hourly = 0;
  std::uint32_t daily = 0;
  std::uint32_t weekly = 0;
  std::uint32_t monthly = 0;
  std::uint32_t yearly = 0;
  Duration within{};
  friend bool operator==(const BackupRetention&, const BackupRetention&) = default;
};

struct BackupSchedule {
  std::optional<Cron> full;         // Every file is read.
  std::optional<Cron> incremental;  // Only what changed is read.
  Duration jitter{};
  bool catch_up = true;  // What was missed while recoverd was down is made up for, once.
  std::optional<Duration> grace = {};  // Later than this it is overdue; none: see backup_plan.h.
  friend bool operator==(const BackupSchedule&, const BackupSchedule&) = default;
};

struct BackupType {
  std::string name;
  Priority priority = Priority::Medium;  // Of those that wait for one repository.
  std::uint32_t repository = 0;          // Position in BackupPolicy::repositories.
  std::vector<BackupSource> sources;
  BackupSchedule schedule;
  BackupRetention retention;
  std::vector<std::vector<std::string>> before;
  std::vector<std::vector<std::string>> after;
  Duration timeout = std::chrono::hours{6};  // Then it is killed, and has failed.
  std::uint32_t attempts = 3;                // Of one run that is due.
  Duration retry_delay = std::chrono::minutes{1};
  bool continuous = false;           // A worker follows the paths, beside the schedule.
  std::optional<Duration> rpo = {};  // Of that; none: by priority, see rpo_of().
  std::optional<Duration> reconcile =
      {};  // How often all is walked whatever was told; none: daily.
  friend bool operator==(const BackupType&, const BackupType&) = default;
};

struct BackupPolicy {
  std::vector<BackupRepository> repositories;
  std::vector<BackupType> types;
  std::optional<Cron> verification;  // Of each repository, every byte.
  std::optional<Cron> restore_test;  // Of each type.
  friend bool operator==(const BackupPolicy&, const BackupPolicy&) = default;
};

// How old what is not on the store may become.
inline Duration rpo_of(const BackupType& type) {
  if (type.rpo) return *type.rpo;
  switch (type.priority) {
    case Priority::Critical: return std::chrono::minutes{1};
    case Priority::High: return std::chrono::minutes{15};
    case Priority::Medium:
    case Priority::Low: break;
  }
  return std::chrono::hours{1};
}

// Of the service that stands for a type. No service of the configuration can have that name.
inline std::string backup_service_name(const std::string& type) {
  return "backup:" + type;
}

}  // namespace recover::core
