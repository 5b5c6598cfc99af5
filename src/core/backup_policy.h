// What is backed up, where to and when: the `backup:` of the configuration as plain values.
//
// Beside core::Policy, not in it: the engine decides nothing about backups, so a replay needs none
// of this.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <recover/time.h>

#include "base/secret.h"
#include "core/backup_source.h"
#include "core/cron.h"
#include "core/execution.h"
#include "core/vocabulary.h"

namespace recover::core {

// One of several places that hold the same repository.
struct BackupMember {
  std::string name;      // "primary", "secondary", "tertiary", "emergency"
  std::string location;  // As restic writes it.
  std::string access_key;
  base::Secret secret_key;
  std::string region;
  std::string ca_file;
  bool append_only = false;
  bool later = false;  // It is copied to, not written with the others.
  friend bool operator==(const BackupMember&, const BackupMember&) = default;
};

struct BackupRepository {
  std::string name;
  std::string location;  // As restic writes it; empty: that of its members.
  base::Secret password;
  std::string access_key;  // Of S3.
  base::Secret secret_key;
  std::string region;
  std::string ca_file;
  std::uint64_t upload = 0;  // Bytes a second; 0: no limit.
  std::uint64_t download = 0;
  bool append_only = false;
  std::vector<BackupMember> mirror = {};           // In the order in which they are read.
  Duration mirror_grace = std::chrono::hours{24};  // Behind for longer, a member is a failure.
  // The verification reads what was not read for so long; zero: everything.
  Duration unread_for = {};
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

// How much of the machine a run may take.
struct BackupLoad {
  int nice = 10;
  IoPriority ionice{.io_class = IoClass::BestEffort, .priority = 7};
  std::uint64_t upload = 0;  // Bytes a second, beside what the repository says; 0: no limit.
  std::uint64_t download = 0;
  // Shares of time in which something waited for it (the kernel's `some avg10`), from which a run
  // pauses; none: it does not.
  std::optional<double> pause_cpu = {};
  std::optional<double> pause_memory = {};
  std::optional<double> pause_io = {};
  Duration pause_max = std::chrono::minutes{15};  // Of one run, together.
  friend bool operator==(const BackupLoad&, const BackupLoad&) = default;
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
  std::optional<Duration> rpo = {};  // Wanted; none: see rpo_of() and wanted_rpo().
  std::optional<Duration> rto = {};  // Wanted; none: by priority, see rto_of().
  std::optional<Duration> reconcile =
      {};  // How often all is walked whatever was told; none: daily.
  BackupLoad load = {};
  friend bool operator==(const BackupType&, const BackupType&) = default;
};

struct BackupPolicy {
  std::vector<BackupRepository> repositories;
  std::vector<BackupType> types;
  std::optional<Cron> verification;  // Of each repository, every byte.
  std::optional<Cron> restore_test;  // Of each type: a sample.
  std::optional<Cron> drill;         // Of each type: everything is restored.
  std::optional<Cron> catch_up;      // Of each mirror: members get what they lack.
  std::string scratch;               // Folder for what is restored as a test; empty: below ours.
  std::uint64_t scratch_max = 0;     // Bytes a drill may put there; 0: what is free.
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

// How long restoring everything may take.
inline Duration rto_of(const BackupType& type) {
  if (type.rto) return *type.rto;
  switch (type.priority) {
    case Priority::Critical: return std::chrono::minutes{5};
    case Priority::High: return std::chrono::minutes{15};
    case Priority::Medium: return std::chrono::hours{1};
    case Priority::Low: break;
  }
  return std::chrono::hours{4};
}

// What a drill has to show of the backup's age. A schedule without `rpo` is judged by whether it is
// kept: that backups are made in time.
inline std::optional<Duration> wanted_rpo(const BackupType& type) {
  if (type.rpo || type.continuous) return rpo_of(type);
  return std::nullopt;
}

// A pause must not cost the objective: at most half of it.
inline Duration pause_max_of(const BackupType& type) {
  const auto rpo = wanted_rpo(type);
  return rpo ? std::min<Duration>(type.load.pause_max, *rpo / 2) : type.load.pause_max;
}

// Of the service that stands for a type. No service of the configuration can have that name.
inline std::string backup_service_name(const std::string& type) {
  return "backup:" + type;
}

}  // namespace recover::core
