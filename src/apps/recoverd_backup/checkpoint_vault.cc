#include "apps/recoverd_backup/checkpoint_vault.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "apps/recoverd_backup/machine.h"

namespace recover::apps {

namespace checkpoint = adapters::checkpoint;
using backup::Failure;
using backup::FailureKind;
using backup::Outcome;
using backup::Repository;
using checkpoint::CheckpointError;
using ports::CheckpointFault;

namespace {

// The least that scrypt takes: there is nothing to guess in 256 random bits.
constexpr backup::ScryptCost kCost{.n = 2, .r = 1, .p = 1};

std::string drawn_password() {
  const backup::MasterKey key = backup::MasterKey::random();
  backup::Digest digest;
  std::copy(key.encrypt.begin(), key.encrypt.end(), digest.bytes.begin());
  return backup::hex(digest);
}

Failure failure_of(const CheckpointError& error) {
  return {.kind = FailureKind::Io, .message = error.message};
}

}  // namespace

CheckpointError checkpoint_error(const Failure& failure) {
  const auto fault = [&] {
    switch (failure.kind) {
      case FailureKind::NotFound:
      case FailureKind::Damaged:
      case FailureKind::WrongPassword:
      case FailureKind::Unsupported: return CheckpointFault::Corrupt;
      case FailureKind::Exists:
      case FailureKind::Locked:
      case FailureKind::Full:
      case FailureKind::NotPermitted:
      case FailureKind::Invalid:
      case FailureKind::Unreachable:
      case FailureKind::Io: return CheckpointFault::Io;
    }
    return CheckpointFault::Io;
  };
  return {.fault = fault(), .message = failure.message};
}

Result<std::unique_ptr<CheckpointVault>, CheckpointError> CheckpointVault::open(
    const std::string& root, backup::LockKind kind) {
  std::unique_ptr<CheckpointVault> vault(new CheckpointVault(root));
  const std::string path = root + "/lock";
  vault->own_lock_ =
      checkpoint::Descriptor(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!vault->own_lock_) return Unexpected(checkpoint::io_error("open", path));
  const int wanted = kind == backup::LockKind::Exclusive ? LOCK_EX : LOCK_SH;
  while (::flock(vault->own_lock_.get(), wanted) != 0) {
    if (errno != EINTR) return Unexpected(checkpoint::io_error("lock", path));
  }
  if (auto opened = vault->open_or_create(); !opened) {
    return Unexpected(checkpoint_error(opened.error()));
  }
  return vault;
}

// None: there is none yet.
Outcome<std::optional<base::Secret>> CheckpointVault::password() const {
  auto text = checkpoint::read_file(root_ + "/password");
  if (!text && errno == ENOENT) return std::optional<base::Secret>();
  if (!text) return Unexpected(failure_of(text.error()));
  while (text->ends_with('\n')) text->pop_back();
  return std::optional(base::Secret(std::move(*text)));
}

Outcome<void> CheckpointVault::open_or_create() {
  const auto secret = password();
  if (!secret) return Unexpected(secret.error());
  if (!*secret || !store_.size({})) return create();
  auto opened = Repository::open(store_, **secret);
  if (!opened) return Unexpected(std::move(opened.error()));
  repository_ = std::make_unique<Repository>(std::move(*opened));
  return {};
}

// Of two at once, one makes it, the other waits and finds it. A password without its repository, or
// a key without its config, is what a crash left of making them: it is made again. Snapshots
// without a config are not: somebody may want to know.
Outcome<void> CheckpointVault::create() {
  while (::flock(own_lock_.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  auto secret = password();
  if (!secret) return Unexpected(std::move(secret.error()));
  if (!*secret) {
    *secret = base::Secret(drawn_password());
    const auto written = checkpoint::replace_file(root_ + "/password", (*secret)->reveal() + "\n");
    if (!written) return Unexpected(failure_of(written.error()));
  }
  auto opened = Repository::open(store_, **secret);
  if (!opened && !store_.size({})) {
    const auto keys = store_.list(backup::FileKind::Key);
    for (const auto& key : keys ? *keys : std::vector<backup::StoredFile>()) {
      static_cast<void>(store_.remove({.kind = backup::FileKind::Key, .id = key.id}));
    }
    opened = Repository::create(
        store_, **secret,
        {.now = wall_time(), .user = this_user(), .host = this_host(), .cost = kCost});
  }
  if (!opened) return Unexpected(std::move(opened.error()));
  repository_ = std::make_unique<Repository>(std::move(*opened));
  return {};
}

Result<std::unique_ptr<backup::RepositoryLock>, CheckpointError> CheckpointVault::lock(
    backup::LockKind kind) const {
  const bool shared = kind == backup::LockKind::Shared;
  auto lock = backup::RepositoryLock::acquire(*repository_, kind);
  if (lock) return std::move(*lock);
  const FailureKind why = lock.error().kind;
  if (shared && (why == FailureKind::Full || why == FailureKind::NotPermitted)) {
    return std::unique_ptr<backup::RepositoryLock>();
  }
  return Unexpected(checkpoint_error(lock.error()));
}

}  // namespace recover::apps
