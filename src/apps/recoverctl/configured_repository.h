// The repositories of the daemon's configuration, for people who may read that file.
//
// Nobody is asked for a password and nobody is told one: the file is read as whoever runs
// recoverctl, and so are the files and the environment that it names. Who may not read them gets an
// error of the system's.
#pragma once

#include <memory>
#include <string>

#include "apps/recoverctl/backup_commands.h"
#include "backup/store/store.h"
#include "core/backup_policy.h"

namespace recover::apps {

// No location was given, by option or by environment.
bool is_of_configuration(const RepositoryWish& wish);

struct ConfiguredRepository {
  core::BackupRepository repository;
  std::string state_dir;
};
// The one of that name, of that type, or the only one. The file: --config, what the daemon behind
// the socket runs with, or /etc/recoverd/recoverd.yaml. Throws Failure.
ConfiguredRepository configured_repository(const RepositoryWish& wish);

// With the addresses, keys and limits of the configuration; a mirror with its members. Throws
// Failure.
std::unique_ptr<backup::Store> open_configured(const RepositoryWish& wish);

}  // namespace recover::apps
