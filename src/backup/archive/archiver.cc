#include "backup/archive/archiver.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <memory>
#include <utility>

#include "backup/archive/walk.h"
#include "backup/format/tree.h"

namespace recover::backup {
namespace {

// Where a backup path lands in the snapshot: its parts from the root, and where each lies.
struct Target {
  std::vector<std::string> parts;  // None: the entries of the folder themselves are the root's.
  std::vector<std::string> real;   // The path of each part.
  std::string absolute;
};

// The folders between the root and the backup paths; leaves are backup paths.
struct Branch {
  std::map<std::string, Branch> below;
  std::string real;
  bool is_target = false;
};

// restic keeps an absolute path whole and a relative one as it was written, without what leads up.
Target target_of(const std::string& path) {
  namespace fs = std::filesystem;
  const fs::path given = fs::path(path).lexically_normal();
  Target target{
      .parts = {}, .real = {}, .absolute = fs::absolute(given).lexically_normal().string()};
  while (target.absolute.size() > 1 && target.absolute.ends_with('/')) target.absolute.pop_back();
  fs::path real = given.is_absolute() ? fs::path("/") : fs::current_path();
  for (const fs::path& part : given) {
    if (part == "/" || part.empty() || part == ".") continue;
    real /= part;
    if (part == "..") continue;
    target.parts.push_back(part.string());
    target.real.push_back(real.string());
  }
  return target;
}

std::optional<Node> named(std::vector<Node>& nodes, const std::string& name) {
  const auto node =
      std::find_if(nodes.begin(), nodes.end(), [&](const Node& one) { return one.name == name; });
  if (node == nodes.end()) return std::nullopt;
  return std::move(*node);
}

// One backup from its options to its snapshot.
class Archive {
 public:
  Archive(const Repository& repository, const ArchiveOptions& options, const ArchiveBase& base,
          ArchiveProgress& progress, const std::stop_token& stop)
      : repository_(repository),
        options_(options),
        changes_(base.changes != nullptr && !base.changes->is_everything() ? base.changes
                                                                           : nullptr),
        has_whole_(base.has_whole),
        saver_(repository, base.index, options.pack_bytes),
        progress_(progress),
        stop_(stop),
        walk_(repository, base.index, saver_, options, progress, stop) {}

  Outcome<ArchiveReport> run(const std::optional<Repository::FoundSnapshot>& parent) {
    auto branches = targets();
    if (!branches) return Unexpected(std::move(branches.error()));
    auto root = std::make_shared<OpenFolder>();
    root->earlier = parent ? std::optional(parent->snapshot.tree) : std::nullopt;
    begin(root, *branches);
    walk_.finish();
    if (auto failure = walk_.failure()) return Unexpected(std::move(*failure));
    const bool stopped = stop_.stop_requested() || !walk_.root;
    // Of the first backup even the part that was read is worth a snapshot: the next one goes on
    // from it. Later ones have a whole one to go on from.
    const bool worth = walk_.root && !has_whole_ && (!parent || parent->snapshot.is_partial()) &&
                       progress_.files_new + progress_.files_unmodified > 0;
    if (stopped && !worth) return stopped_failure("");
    if (auto finished = saver_.finish(); !finished) {
      return Unexpected(std::move(finished.error()));
    }
    const bool same = parent && parent->snapshot.tree == *walk_.root;
    if (same && options_.skip_unchanged && !stopped && !parent->snapshot.is_partial()) {
      return ArchiveReport{.id = parent->id,
                           .snapshot = parent->snapshot,
                           .problems = std::move(walk_.problems),
                           .problem_count = walk_.problem_count,
                           .is_written = false,
                           .unread = std::move(walk_.unread)};
    }
    auto report = save_snapshot(parent, stopped);
    if (stopped && report) {
      return stopped_failure(": what it had read is snapshot " + hex(report->id) +
                             ", which the next one goes on from");
    }
    return report;
  }

 private:
  static Unexpected<Failure> stopped_failure(const std::string& kept) {
    return fail(FailureKind::Invalid, "the backup was stopped before its end" + kept);
  }

  Outcome<Branch> targets() {
    Branch root;
    for (const std::string& path : options_.paths) {
      const Target target = target_of(path);
      paths_.push_back(target.absolute);
      std::error_code missing;
      if (std::filesystem::symlink_status(target.absolute, missing).type() ==
          std::filesystem::file_type::not_found) {
        if (!options_.absent_is_fine) {
          walk_.report(target.absolute, "there is no such file or folder");
        }
        continue;
      }
      Branch* branch = &root;
      for (std::size_t i = 0; i < target.parts.size(); ++i) {
        branch = &branch->below[target.parts[i]];
        branch->real = target.real[i];
      }
      if (branch == &root) branch->real = target.absolute;
      branch->is_target = true;
      any_ = true;
    }
    if (options_.paths.empty()) return fail(FailureKind::Invalid, "no path to back up was given");
    if (!any_ && !options_.absent_is_fine)
      return fail(FailureKind::NotFound, "none of the paths to back up exists");
    return root;
  }

  // A target is begun as the file system has it; what only leads to targets holds nothing else.
  void begin(const FolderPtr& folder, const Branch& branch) {
    if (branch.is_target) {
      folder->path = branch.real;
      return begin_target(folder);
    }
    std::vector<Node> earlier;
    walk_.read_earlier(folder->earlier, walk_.caller(),
                       [&](const Walk::Earlier& one) { earlier.push_back(one.node); });
    folder->slots.resize(branch.below.size());
    folder->waiting = branch.below.size() + 1;
    std::size_t slot = 0;
    for (const auto& [name, below] : branch.below) {
      begin_below(folder, slot++, below, name, named(earlier, name));
    }
    walk_.settle(folder, walk_.caller());
  }

  // By what changed below it, if that is known and it is the folder it was.
  void begin_target(const FolderPtr& folder) {
    if (changes_ == nullptr || !folder->earlier || !folder->is_same) return walk_.begin(folder);
    folder->changed = changes_->find(folder->path);
    if (folder->changed == nullptr) return walk_.take_earlier(folder);
    walk_.begin(folder);
  }

  void begin_below(const FolderPtr& folder, std::size_t slot, const Branch& branch,
                   const std::string& name, std::optional<Node> earlier) {
    struct stat info {};
    // Folders on the way are followed through links, as restic does; a target is taken as it is.
    const int flags = branch.is_target ? AT_SYMLINK_NOFOLLOW : 0;
    if (::fstatat(AT_FDCWD, branch.real.c_str(), &info, flags) != 0) {
      walk_.report(branch.real, system_failure("looking at", branch.real).error().message);
      return walk_.settle(folder, walk_.caller());
    }
    if (!S_ISDIR(info.st_mode)) {
      folder->slots[slot] = walk_.read_target(branch.real, name, earlier);
      return walk_.settle(folder, walk_.caller());
    }
    auto node = node_of(AT_FDCWD, branch.real, info, walk_.owners());
    if (!node) {
      walk_.report(branch.real, node.error().message);
      return walk_.settle(folder, walk_.caller());
    }
    node->name = name;
    auto below = std::make_shared<OpenFolder>();
    below->above = folder;
    below->slot = slot;
    below->name = name;
    below->path = branch.real;
    below->earlier = earlier ? earlier->subtree : std::nullopt;
    below->is_same = earlier && earlier->inode == info.st_ino && earlier->device_id == info.st_dev;
    below->node = std::move(*node);
    below->device = info.st_dev;
    begin(below, branch);
  }

  Outcome<ArchiveReport> save_snapshot(const std::optional<Repository::FoundSnapshot>& parent,
                                       bool partial) {
    ArchiveReport report{.id = {},
                         .snapshot = {.time = options_.now,
                                      .parent = std::nullopt,
                                      .tree = *walk_.root,
                                      .paths = paths_,
                                      .host = options_.host,
                                      .user = options_.user,
                                      .uid = ::geteuid(),
                                      .gid = ::getegid(),
                                      .excludes = options_.excludes,
                                      .tags = options_.tags,
                                      .original = std::nullopt,
                                      .program_version = options_.program_version,
                                      .summary = summary()},
                         .problems = std::move(walk_.problems),
                         .problem_count = walk_.problem_count,
                         .is_written = true,
                         .unread = std::move(walk_.unread)};
    if (parent) report.snapshot.parent = parent->id;
    if (partial) report.snapshot.tags.emplace_back(kPartialTag);
    if (options_.still_locked && !options_.still_locked()) {
      return fail(FailureKind::Locked,
                  "the lock was lost while backing up: others may have pruned");
    }
    const auto saved = repository_.save(FileKind::Snapshot, text_of(report.snapshot));
    if (!saved) return Unexpected(saved.error());
    report.id = *saved;
    repository_.remember(saver_.growth());
    return report;
  }

  SnapshotSummary summary() const {
    const SavedBytes saved = saver_.saved();
    SnapshotSummary summary{.backup_start = options_.now, .backup_end = now()};
    summary.files_new = progress_.files_new;
    summary.files_changed = progress_.files_changed;
    summary.files_unmodified = progress_.files_unmodified;
    summary.folders_new = progress_.folders;
    summary.data_blobs = saved.data_blobs;
    summary.tree_blobs = saved.tree_blobs;
    summary.data_added = saved.plain_bytes;
    summary.data_added_packed = saved.stored_bytes;
    summary.files_processed = summary.files_new + summary.files_changed + summary.files_unmodified;
    summary.bytes_processed = progress_.bytes;
    return summary;
  }

  static Timestamp now() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return {.seconds = time.tv_sec, .nanoseconds = static_cast<std::uint32_t>(time.tv_nsec)};
  }

  const Repository& repository_;
  const ArchiveOptions& options_;
  const ChangeSet* const changes_;  // None: everything.
  const bool has_whole_;
  BlobSaver saver_;
  ArchiveProgress& progress_;
  const std::stop_token& stop_;
  Walk walk_;
  std::vector<std::string> paths_;
  bool any_ = false;
};

// The snapshots of the same host and paths, not newer than this backup; oldest first.
std::vector<Repository::FoundSnapshot> earlier_ones(
    std::vector<Repository::FoundSnapshot> snapshots, const ArchiveOptions& options) {
  std::vector<std::string> wanted;
  for (const std::string& path : options.paths) wanted.push_back(target_of(path).absolute);
  std::sort(wanted.begin(), wanted.end());
  std::erase_if(snapshots, [&](const Repository::FoundSnapshot& one) {
    std::vector<std::string> paths = one.snapshot.paths;
    std::sort(paths.begin(), paths.end());
    return one.snapshot.host != options.host || paths != wanted || one.snapshot.time > options.now;
  });
  return snapshots;
}

// The whole one of the same excludes holds all that they do. Where nothing may be removed they
// stay: nobody takes them for whole.
void remove_partial(const Repository& repository,
                    const std::vector<Repository::FoundSnapshot>& earlier,
                    const std::vector<std::string>& excludes) {
  for (const Repository::FoundSnapshot& one : earlier) {
    if (!one.snapshot.is_partial() || one.snapshot.excludes != excludes) continue;
    static_cast<void>(repository.store().remove({.kind = FileKind::Snapshot, .id = one.id}));
  }
}

}  // namespace

std::optional<Repository::FoundSnapshot> parent_of(
    const std::vector<Repository::FoundSnapshot>& snapshots, const ArchiveOptions& options) {
  if (options.ignore_parent) return std::nullopt;
  if (options.parent) return options.parent;
  const auto earlier = earlier_ones(snapshots, options);
  const auto whole =
      std::find_if(earlier.rbegin(), earlier.rend(),
                   [](const Repository::FoundSnapshot& one) { return !one.snapshot.is_partial(); });
  if (whole != earlier.rend()) return *whole;
  return earlier.empty() ? std::nullopt : std::optional(earlier.back());
}

Outcome<ArchiveReport> archive_onto(const Repository& repository, const ArchiveBase& base,
                                    const ArchiveOptions& options, ArchiveProgress& progress,
                                    const std::stop_token& stop) {
  return Archive(repository, options, base, progress, stop).run(base.parent);
}

Outcome<ArchiveReport> archive(const Repository& repository, const ArchiveOptions& options,
                               ArchiveProgress& progress, const std::stop_token& stop) {
  auto snapshots = repository.snapshots();
  if (!snapshots) return Unexpected(snapshots.error());
  const auto index = repository.load_index_to_add_to();
  if (!index) return Unexpected(index.error());
  auto parent = parent_of(*snapshots, options);
  const auto earlier = earlier_ones(std::move(*snapshots), options);
  const bool has_whole =
      std::any_of(earlier.begin(), earlier.end(),
                  [](const Repository::FoundSnapshot& one) { return !one.snapshot.is_partial(); });
  auto report = archive_onto(repository,
                             {.index = *index, .parent = std::move(parent), .has_whole = has_whole},
                             options, progress, stop);
  // What could not be read now, or what a given parent is trusted to have, only they may hold.
  if (report && report->problem_count == 0 && !options.parent) {
    remove_partial(repository, earlier, options.excludes);
  }
  return report;
}

}  // namespace recover::backup
