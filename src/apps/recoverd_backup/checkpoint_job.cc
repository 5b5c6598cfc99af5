#include "apps/recoverd_backup/checkpoint_job.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "adapters/checkpoint/protocol.h"
#include "adapters/checkpoint/restore.h"
#include "apps/recoverd_backup/checkpoint_difference.h"
#include "apps/recoverd_backup/checkpoint_files.h"
#include "apps/recoverd_backup/checkpoint_snapshot.h"
#include "apps/recoverd_backup/checkpoint_take_over.h"
#include "apps/recoverd_backup/checkpoint_vault.h"
#include "apps/recoverd_backup/machine.h"
#include "backup/retain/pruner.h"

namespace recover::apps {

namespace checkpoint = adapters::checkpoint;
using backup::LockKind;
using checkpoint::CheckpointError;
using checkpoint::Descriptor;
using checkpoint::WorkerAnswer;
using checkpoint::WorkerJob;
using checkpoint::WorkerResult;
using checkpoint::WorkerTask;
using ports::CheckpointFault;

namespace {

// A snapshot that no record names was made by a worker whose asker died, or is about to be named.
constexpr std::int64_t kOrphanSeconds = 3600;

// False: it is gone already.
bool end_with_asker(const WorkerJob& job) {
  if (job.asked_by == 0) return true;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  return ::getppid() == job.asked_by;
}

Result<std::unique_ptr<CheckpointFiles>, CheckpointError> files_of(const CheckpointVault& vault,
                                                                   const WorkerJob& job) {
  const auto id = backup::parse_digest(job.snapshot);
  if (!id) {
    return Unexpected(
        CheckpointError{.fault = CheckpointFault::Corrupt, .message = "it names no snapshot"});
  }
  const auto text = vault.repository().load({.kind = backup::FileKind::Snapshot, .id = *id});
  if (!text) return Unexpected(checkpoint_error(text.error()));
  const auto snapshot = backup::parse_snapshot(*text);
  if (!snapshot) return Unexpected(checkpoint_error(snapshot.error()));
  return CheckpointFiles::open(vault.repository(), snapshot->tree, job);
}

WorkerResult show(const CheckpointVault& vault, const WorkerJob& job) {
  auto files = files_of(vault, job);
  if (!files) return Unexpected(std::move(files).error());
  return WorkerAnswer{.entries = std::move((*files)->entries())};
}

// One at a time: a worker that was killed may be in its last system call yet.
WorkerResult restore_files(const CheckpointVault& vault, const WorkerJob& job) {
  const std::string path = job.root + "/restoring";
  const Descriptor lock(::open(path.c_str(), O_RDONLY | O_CREAT | O_CLOEXEC, 0600));
  while (lock && ::flock(lock.get(), LOCK_EX) != 0 && errno == EINTR) {
  }
  auto files = files_of(vault, job);
  if (!files) return Unexpected(std::move(files).error());
  ports::CheckpointContents contents;
  contents.info.paths = job.paths;
  contents.not_held = job.not_held;
  contents.not_held.push_back(job.root);
  contents.files = std::move((*files)->entries());
  auto report = checkpoint::restore(contents, **files, {.paths = job.only, .dry_run = job.dry_run});
  if (!report) return Unexpected(std::move(report).error());
  return WorkerAnswer{.report = std::move(*report)};
}

WorkerResult sweep(const CheckpointVault& vault, const WorkerJob& job) {
  const auto lock = vault.lock(LockKind::Exclusive);
  if (!lock) return Unexpected(lock.error());
  const backup::Repository& repository = vault.repository();
  const auto snapshots = repository.snapshots();
  if (!snapshots) return Unexpected(checkpoint_error(snapshots.error()));
  std::vector<backup::Digest> orphans;
  for (const auto& found : *snapshots) {
    const bool kept =
        job.keep_all || std::ranges::find(job.kept, backup::hex(found.id)) != job.kept.end();
    const auto& tags = found.snapshot.tags;
    const bool ours = std::ranges::find(tags, "checkpoint") != tags.end();
    const bool old = wall_time().seconds - found.snapshot.time.seconds > kOrphanSeconds;
    if (!kept && ours && old) orphans.push_back(found.id);
  }
  static_cast<void>(repository.store().sweep());
  const auto pruned = backup::prune(repository, {.forget = std::move(orphans), .still_locked = [&] {
                                                   return (*lock)->is_held();
                                                 }});
  if (!pruned) return Unexpected(checkpoint_error(pruned.error()));
  return WorkerAnswer{.bytes = pruned->bytes_freed};
}

bool is_exclusive(WorkerTask task) {
  return task == WorkerTask::Sweep || task == WorkerTask::TakeOver;
}

WorkerResult perform(const WorkerJob& job) {
  const auto vault = CheckpointVault::open(
      job.root, is_exclusive(job.task) ? LockKind::Exclusive : LockKind::Shared);
  if (!vault) return Unexpected(vault.error());
  switch (job.task) {
    case WorkerTask::Take: return take_snapshot(**vault, job);
    case WorkerTask::Restore: return restore_files(**vault, job);
    case WorkerTask::Show: return show(**vault, job);
    case WorkerTask::Diff: return difference_of(**vault, job);
    case WorkerTask::Sweep: return sweep(**vault, job);
    case WorkerTask::TakeOver: return take_over_checkpoints(**vault, job.root);
  }
  return Unexpected(CheckpointError{.fault = CheckpointFault::Refused, .message = "no such task"});
}

}  // namespace

bool do_checkpoint_job(std::string_view text, std::ostream& out) {
  const auto job = checkpoint::decode_job(text);
  const WorkerResult result =
      !job ? WorkerResult(Unexpected(
                 CheckpointError{.fault = CheckpointFault::Refused, .message = job.error()}))
      : end_with_asker(*job)
          ? perform(*job)
          : WorkerResult(Unexpected(CheckpointError{.fault = CheckpointFault::Cancelled,
                                                    .message = "nobody waits for the answer"}));
  out << encode(result) << std::flush;
  return result.has_value();
}

}  // namespace recover::apps
