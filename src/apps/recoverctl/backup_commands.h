// The backup commands: they work on a repository itself, with no daemon.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "apps/recoverctl/session.h"
#include "backup/retain/retention.h"
#include "backup/store/store.h"

namespace recover::apps {

// Which repository, and how to open it. Empty: RESTIC_REPOSITORY; RESTIC_PASSWORD,
// RESTIC_PASSWORD_FILE or RESTIC_PASSWORD_COMMAND, as users of restic have it; and without those
// what the daemon's configuration says.
struct RepositoryWish {
  std::string location;
  std::string name;    // Of the configuration's repositories.
  std::string type;    // Of its types of backup; then only that one's snapshots are meant.
  std::string config;  // The configuration; empty: that of the daemon behind `socket`.
  std::string socket;
  std::string password_file;
  std::string password_command;
  std::vector<std::string> options;  // restic's -o: "s3.region=eu-central-1".
  std::string ca_file;               // RESTIC_CACERT
  std::uint64_t upload_kib = 0;      // A second; 0: no limit.
  std::uint64_t download_kib = 0;
  bool append_only = false;       // Whatever the command, nothing is removed but locks.
  std::uint64_t memory_mib = 64;  // MemoryBudget
};

struct BackupWish {
  RepositoryWish repository;
  std::vector<std::string> paths;
  std::vector<std::string> excludes;
  std::vector<std::string> tags;
  std::string host;
  bool one_file_system = false;
  bool force = false;  // Read every file.
};

struct RestoreWish {
  RepositoryWish repository;
  std::string snapshot = "latest";
  std::string to;         // Empty: in place.
  bool in_place = false;  // Onto the paths themselves.
  bool exact = false;     // Of in_place: remove what was added since.
  std::vector<std::string> selective;
  bool dry_run = false;
  bool verify = false;
  bool sparse = false;
};

struct VerifyWish {
  RepositoryWish repository;
  std::string snapshot;
  bool all = false;        // Every snapshot and every byte.
  std::string subset;      // Every snapshot, and of the bytes "n/t", "x%" or a size such as "10G".
  std::string unread_for;  // A duration.
};

struct FindWish {
  RepositoryWish repository;
  std::string pattern;
  std::string snapshot;  // Empty: all.
};

struct DiffWish {
  RepositoryWish repository;
  std::string before;
  std::string after;
  bool metadata = false;
};

struct CopyWish {
  RepositoryWish repository;
  RepositoryWish to;
  std::vector<std::string> snapshots;  // None: all.
};

struct KeyWish {
  RepositoryWish repository;
  std::string id;
  std::string new_password_file;
};

struct CatWish {
  RepositoryWish repository;
  std::string kind;
  std::string id;
};

struct PruneWish {
  RepositoryWish repository;
  backup::Retention retention;
  std::string keep_within;              // A duration.
  std::string max_behind;               // A duration.
  std::uint64_t limit_rewrite_kib = 0;  // A second; 0: no limit.
  bool dry_run = false;
};

struct RepairWish {
  RepositoryWish repository;
  std::vector<std::string> sources;
  bool dry_run = false;
};

Command backup_init_command(RepositoryWish wish);
Command backup_create_command(BackupWish wish);
Command backup_list_command(RepositoryWish wish);
Command backup_restore_command(RestoreWish wish);
Command backup_verify_command(VerifyWish wish);
Command backup_prune_command(PruneWish wish);
Command backup_repair_command(RepairWish wish);
Command backup_find_command(FindWish wish);
Command backup_diff_command(DiffWish wish);
// The content of one file of a snapshot, to standard output.
Command backup_dump_command(RepositoryWish wish, std::string snapshot, std::string path);
Command backup_copy_command(CopyWish wish);
Command backup_key_list_command(RepositoryWish wish);
Command backup_key_add_command(KeyWish wish);
Command backup_key_remove_command(KeyWish wish);
// An object of the repository as its JSON text or its bytes.
Command backup_cat_command(CatWish wish);
// `all`: those of living processes, too, and those that cannot be read.
Command backup_unlock_command(RepositoryWish wish, bool all);
// Which members of a mirror lack something; `catches_up`: brings it to them first; `refill`: to
// those that were emptied, too.
Command backup_mirror_command(RepositoryWish wish, bool catches_up, bool refill);
// If the store is a mirror: brings to its members what they lack, and tells of those it cannot.
void catch_up_mirror(const Session& session, backup::Store& store);

}  // namespace recover::apps
