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
// RESTIC_PASSWORD_FILE or RESTIC_PASSWORD_COMMAND, as users of restic have it.
struct RepositoryWish {
  std::string location;
  std::string password_file;
  std::string password_command;
  std::vector<std::string> options;  // restic's -o: "s3.region=eu-central-1".
  std::string ca_file;               // RESTIC_CACERT
  std::uint64_t upload_kib = 0;      // A second; 0: no limit.
  std::uint64_t download_kib = 0;
  bool append_only = false;  // Whatever the command, nothing is removed but locks.
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
  std::string to;
  std::vector<std::string> selective;
  bool dry_run = false;
  bool verify = false;
  bool sparse = false;
};

struct VerifyWish {
  RepositoryWish repository;
  std::string snapshot;
  bool all = false;  // Every snapshot and every byte.
};

struct PruneWish {
  RepositoryWish repository;
  backup::Retention retention;
  std::string keep_within;  // A duration.
  bool dry_run = false;
};

Command backup_init_command(RepositoryWish wish);
Command backup_create_command(BackupWish wish);
Command backup_list_command(RepositoryWish wish);
Command backup_restore_command(RestoreWish wish);
Command backup_verify_command(VerifyWish wish);
Command backup_prune_command(PruneWish wish);
// `all`: those of living processes, too, and those that cannot be read.
Command backup_unlock_command(RepositoryWish wish, bool all);
// Which members of a mirror lack something; `catches_up`: brings it to them first; `refill`: to
// those that were emptied, too.
Command backup_mirror_command(RepositoryWish wish, bool catches_up, bool refill);
// If the store is a mirror: brings to its members what they lack, and tells of those it cannot.
void catch_up_mirror(const Session& session, backup::Store& store);

}  // namespace recover::apps
