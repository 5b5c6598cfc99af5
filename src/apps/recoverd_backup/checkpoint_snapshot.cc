#include "apps/recoverd_backup/checkpoint_snapshot.h"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "apps/recoverd_backup/checkpoint_files.h"
#include "apps/recoverd_backup/machine.h"
#include "backup/archive/archiver.h"
#include "backup/format/tree.h"

namespace recover::apps {

namespace checkpoint = adapters::checkpoint;
using backup::ArchiveOptions;
using backup::ArchiveReport;
using backup::Outcome;
using backup::Repository;
using checkpoint::CheckpointError;
using checkpoint::WorkerAnswer;
using checkpoint::WorkerJob;
using checkpoint::WorkerResult;
using ports::CheckpointFault;

namespace {

// Of paths that change while they are read.
constexpr int kTriesMax = 3;

// A pattern that means just this path.
std::string literally(const std::string& path) {
  std::string pattern;
  for (const char c : path) {
    if (std::string_view("*?[]\\").find(c) != std::string_view::npos) pattern.push_back('\\');
    pattern.push_back(c);
  }
  return pattern;
}

// Where none of the paths is there, that is what is remembered.
Outcome<ArchiveReport> archive_nothing(const Repository& repository,
                                       const ArchiveOptions& options) {
  const auto index = repository.load_index_to_add_to();
  if (!index) return Unexpected(index.error());
  backup::BlobSaver saver(repository, *index, options.pack_bytes);
  backup::BlobCodec codec(repository.key(), options.level);
  const std::string text = backup::TreeText().finish();
  ArchiveReport report;
  report.snapshot = {.time = options.now,
                     .tree = backup::sha256(backup::view_of(text)),
                     .paths = options.paths,
                     .host = options.host,
                     .user = options.user,
                     .uid = ::geteuid(),
                     .gid = ::getegid(),
                     .tags = options.tags,
                     .program_version = options.program_version};
  Outcome<void> stored;
  if (!saver.claim({.id = report.snapshot.tree, .type = backup::BlobType::Tree})) {
    stored =
        saver.store(codec, backup::BlobType::Tree, report.snapshot.tree, backup::view_of(text));
  }
  if (stored) stored = saver.finish();
  if (!stored) return Unexpected(std::move(stored.error()));
  const auto saved = repository.save(backup::FileKind::Snapshot, backup::text_of(report.snapshot));
  if (!saved) return Unexpected(saved.error());
  report.id = *saved;
  return report;
}

Outcome<ArchiveReport> archive_whole(const Repository& repository, ArchiveOptions options) {
  for (int tries = 1;; ++tries) {
    options.now = wall_time();
    backup::ArchiveProgress progress;
    auto report = backup::archive(repository, options, progress);
    if (!report || report->problem_count == 0) return report;
    static_cast<void>(
        repository.store().remove({.kind = backup::FileKind::Snapshot, .id = report->id}));
    if (tries < kTriesMax) continue;
    return backup::fail(backup::FailureKind::Io, report->problems.front());
  }
}

}  // namespace

WorkerResult take_snapshot(const CheckpointVault& vault, const WorkerJob& job) {
  const Repository& repository = vault.repository();
  auto lock = vault.lock(backup::LockKind::Shared);
  if (!lock) return Unexpected(std::move(lock).error());
  ArchiveOptions options;
  options.paths = job.present;
  options.excludes = job.excludes;
  if (std::ranges::find(job.not_held, job.root) != job.not_held.end()) {
    options.excludes.push_back(literally(job.root));
  }
  options.one_file_system = true;
  options.tags = job.tags;
  options.host = this_host();
  options.user = this_user();
  options.program_version = "recoverd " RECOVER_VERSION;
  options.now = wall_time();
  options.threads = threads_within({});
  if (*lock) options.still_locked = [&] { return (*lock)->is_held(); };
  if (job.present.empty()) options.paths = job.paths;
  const auto report = job.present.empty() ? archive_nothing(repository, options)
                                          : archive_whole(repository, options);
  if (!report) return Unexpected(checkpoint_error(report.error()));
  const auto files = CheckpointFiles::open(repository, report->snapshot.tree, job);
  if (!files) return Unexpected(files.error());
  WorkerAnswer answer{.snapshot = backup::hex(report->id), .content = (*files)->content_id()};
  if (report->snapshot.summary) answer.bytes_stored = report->snapshot.summary->data_added_packed;
  for (const ports::CheckpointFile& file : (*files)->entries()) {
    answer.files += file.kind == ports::FileKind::Regular ? 1 : 0;
    answer.bytes += file.size;
  }
  return answer;
}

}  // namespace recover::apps
