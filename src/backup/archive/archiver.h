// A backup: file trees into one snapshot of a repository.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "backup/archive/change_set.h"
#include "backup/format/node.h"
#include "backup/repo/blob_saver.h"

namespace recover::backup {

struct ArchiveOptions {
  std::vector<std::string> paths;     // Absolute, or relative to the working folder.
  std::vector<std::string> excludes;  // exclude.h
  std::vector<std::string> tags;
  std::string host;
  std::string user;
  std::string program_version;
  Timestamp now;
  bool one_file_system =
      false;  // A mount point below a path is kept, what is mounted there is not.
  // Instead: whatever is mounted below a path stays out, folders that are bound there too, but for
  // what it says yes to. None: one_file_system decides, which only knows st_dev, as restic's does.
  std::function<bool(const std::string& path)> takes_mount = nullptr;
  bool ignore_parent = false;  // Read every file, as if there were no earlier snapshot.
  // Files as it has them are not read; none: the newest of the same host and paths.
  std::optional<Repository::FoundSnapshot> parent = std::nullopt;
  unsigned threads = 2;
  // A folder with more entries is read lot by lot and its nodes go to a file: half a KiB each is
  // too much to hold.
  std::size_t giant_entries = 32'768;
  int level = kDefaultLevel;  // Of zstd.
  std::size_t pack_bytes = kPackBytesDefault;
  // Asked before the snapshot is written; false: nothing is. None: the caller needs no lock.
  std::function<bool()> still_locked = nullptr;
  // Told of every entry that was looked at and has further names (hard links), by any thread.
  std::function<void(const std::string& path, const Node& node)> on_linked = nullptr;
  bool skip_unchanged = false;  // No snapshot when the tree is the parent's.
  // Paths that are not there are no problem: the snapshot names them and holds nothing of them.
  bool absent_is_fine = false;
};

// Read at any time from any thread; never goes back.
struct ArchiveProgress {
  std::atomic<std::uint64_t> files_new{0};
  std::atomic<std::uint64_t> files_changed{0};
  std::atomic<std::uint64_t> files_unmodified{0};
  std::atomic<std::uint64_t> folders{0};
  std::atomic<std::uint64_t> bytes{0};  // Of all files, read or known to be unchanged.
};

struct ArchiveReport {
  Digest id;
  Snapshot snapshot;
  // Files and folders that could not be read, or changed while they were: the snapshot is
  // incomplete. At most kProblemsMax are kept; all are counted.
  std::vector<std::string> problems;
  std::uint64_t problem_count = 0;

  bool is_written = true;  // False: the tree is the parent's, of which `id` is.
  // Paths that could not be read, at most kProblemsMax: a next run with `changes` has to look at
  // them again.
  std::vector<std::string> unread = {};

  static constexpr std::size_t kProblemsMax = 1000;
};

// What a run of the same process left, for the next one to go on from.
struct ArchiveBase {
  const BlobIndex& index;  // Sound, and of everything that `parent` holds.
  std::optional<Repository::FoundSnapshot> parent;
  // What changed since `parent` was begun: only that is looked at, and all else is taken from the
  // parent's tree. None, or everything: the whole tree is walked.
  // REQUIRES: `parent` is a snapshot of the same options, made by archive_onto().
  const ChangeSet* changes = nullptr;
  // There is a whole earlier snapshot, be it the parent or not: of a run that is stopped nothing is
  // kept.
  bool has_whole = false;
};

// Reads the paths and writes one snapshot. A file that cannot be read is a problem of the report; a
// repository that cannot be written is a Failure, and what was stored until then serves the next
// try. NotFound: none of the paths exists. Invalid: no path given, or a stop was requested: of a
// first backup what it had read is kept then as a partial snapshot (documents.h).
Outcome<ArchiveReport> archive(const Repository& repository, const ArchiveOptions& options,
                               ArchiveProgress& progress, const std::stop_token& stop = {});

// The same from what is loaded already.
Outcome<ArchiveReport> archive_onto(const Repository& repository, const ArchiveBase& base,
                                    const ArchiveOptions& options, ArchiveProgress& progress,
                                    const std::stop_token& stop = {});
// The newest snapshot of the same host and paths, not newer than this backup; of `snapshots`, which
// are in the order of time.
std::optional<Repository::FoundSnapshot> parent_of(
    const std::vector<Repository::FoundSnapshot>& snapshots, const ArchiveOptions& options);

}  // namespace recover::backup
