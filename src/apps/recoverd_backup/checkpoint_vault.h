// The repository that checkpoints are kept in, and its password: made when they are first needed.
//
// The password is drawn at random, so the key needs no slow derivation: an opened vault costs
// milliseconds. Whoever may read the password file may read the state itself.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "adapters/checkpoint/file_system.h"
#include "backup/repo/lock.h"
#include "backup/repo/repository.h"
#include "backup/store/local_store.h"

namespace recover::apps {

// From the engine's words to those of checkpoints.
adapters::checkpoint::CheckpointError checkpoint_error(const backup::Failure& failure);

class CheckpointVault {
 public:
  // `root`: the checkpoint store's folder. Waits for the workers that exclude this one; a worker
  // that waits for nothing else ends with whoever started it.
  static Result<std::unique_ptr<CheckpointVault>, adapters::checkpoint::CheckpointError> open(
      const std::string& root, backup::LockKind kind);

  const backup::Repository& repository() const { return *repository_; }
  // Against programs that are not ours. None: the disk is full, and who only reads goes on.
  Result<std::unique_ptr<backup::RepositoryLock>, adapters::checkpoint::CheckpointError> lock(
      backup::LockKind kind) const;

 private:
  explicit CheckpointVault(const std::string& root) : root_(root), store_(root + "/repository") {}
  backup::Outcome<std::optional<base::Secret>> password() const;
  backup::Outcome<void> open_or_create();
  backup::Outcome<void> create();

  const std::string root_;
  adapters::checkpoint::Descriptor own_lock_;
  backup::LocalStore store_;
  std::unique_ptr<backup::Repository> repository_;
};

}  // namespace recover::apps
