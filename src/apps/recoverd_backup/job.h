// What a backup worker is to do: one JSON document on its standard input, where no other process
// sees the secrets in it.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "apps/recoverd_backup/load.h"
#include "backup/feed/change_watch.h"
#include "backup/memory_budget.h"
#include "backup/retain/retention.h"
#include "backup/store/store_location.h"
#include "base/secret.h"
#include "core/backup_source.h"

namespace recover::apps {

enum class Task : std::uint8_t { Backup, Verify, RestoreTest, Restore, Protect, Drill, CatchUp };

// Either `paths`, or a `command` whose output is kept as the file `name`, or a native source (see
// sources/source.h), whose files begin with `name`.
struct JobSource {
  std::vector<std::string> paths;
  std::vector<std::string> excludes;
  bool one_file_system = false;
  std::vector<std::string> command;
  std::string name;
  core::NativeSource native;
  std::string query;  // Asked in a restore test; empty: how much there is.
  std::optional<std::string> expect;
};

// What a restore puts back.
struct JobRestore {
  std::string snapshot = "latest";  // "before": what stood there before the last one; or an id.
  std::vector<std::string> paths;   // None: all of the sources.
  bool exact = false;
  bool dry_run = false;
  std::uint32_t points = 1;  // Snapshots tried, newest first.
};

// How closely a tree is followed.
struct Protection {
  std::chrono::milliseconds rpo = std::chrono::minutes(15);
  // How often everything is walked, whatever was told.
  std::chrono::milliseconds reconcile = std::chrono::hours(24);
  backup::FeedWish feed = backup::FeedWish::Any;
};

// One of several places of a repository.
struct JobMember {
  std::string name;
  std::string location;
  backup::StoreWish store;
  bool later = false;
};

struct Job {
  Task task = Task::Backup;
  std::string type;      // Every snapshot of it has this tag.
  std::string location;  // Empty: that of its members.
  base::Secret password;
  backup::StoreWish store;
  std::vector<JobMember> members;  // Of a mirror, in the order in which they are read.
  std::string mirror_name;
  std::string mirror_state;  // Where it is kept who lacks something.
  std::string ledgers;       // Folder of what was read when; empty: nobody remembers.
  double share = 1;          // Of Verify: what is read of all, that longest unread first.
  backup::MemoryBudget memory;
  std::vector<JobSource> sources;
  bool full = false;                             // Read every file, whatever seems unchanged.
  backup::Retention retention;                   // Empty: everything is kept.
  std::vector<std::vector<std::string>> before;  // Commands; one that fails ends the backup.
  std::vector<std::vector<std::string>> after;   // Run whatever became of it.
  std::int64_t parent = 0;                       // It ends when this process does; 0: it does not.
  JobRestore restore;
  std::string scratch;  // An existing folder for what is restored as a test, and SQLite's copies.
  std::uint64_t scratch_max = 0;  // Bytes a drill may put there; 0: what is free.
  Protection protection;          // Of Protect.
  JobLoad load;                   // A restore takes none of it: people wait.
};

// Error: what is wrong with the document.
Result<Job, std::string> parse_job(std::string_view text);

}  // namespace recover::apps
