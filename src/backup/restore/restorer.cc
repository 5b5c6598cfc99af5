#include "backup/restore/restorer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <utility>

#include "backup/archive/exclude.h"
#include "backup/browse/tree_walk.h"
#include "backup/format/tree.h"
#include "backup/local/mount.h"
#include "backup/local/spilled_keys.h"
#include "backup/local/task_pool.h"
#include "backup/restore/file_writer.h"
#include "backup/restore/leftovers.h"
#include "backup/restore/removal.h"

namespace recover::backup {
namespace {

constexpr std::size_t kRestoreLot = 32;
// Of a folder so many nodes are taken up at once, and so many lots wait for a thread.
constexpr std::size_t kRestoreNodes = 8192;
constexpr std::size_t kRestoreLotsMax = 512;

// A folder between being made and being finished: its metadata is set when all below it is done,
// for what is made in it moves its times.
struct NewFolder {
  std::shared_ptr<NewFolder> above;  // None: the target.
  Node node;
  std::string path;  // In the snapshot.
  Descriptor fd;
  bool is_new = false;      // Made by this restore: no file of it is there yet.
  bool on_the_way = false;  // Only what leads to chosen paths.
  bool left_alone = false;  // Nothing of it is touched.
  Mount mount = {};
  std::atomic<std::size_t> waiting{0};  // What is below and not done, and one for the listing.
};
using NewFolderPtr = std::shared_ptr<NewFolder>;

// The chosen paths of a restore.
class Selection {
 public:
  explicit Selection(const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
      std::string clean = (std::filesystem::path("/") / path).lexically_normal().string();
      while (clean.size() > 1 && clean.ends_with('/')) clean.pop_back();
      paths_.insert(clean);
    }
  }
  bool takes_all() const { return paths_.empty() || paths_.contains("/"); }
  bool names(const std::string& path) const { return paths_.contains(path); }
  bool leads_from(const std::string& path) const {
    const auto next = paths_.lower_bound(path + "/");
    return next != paths_.end() && next->starts_with(path + "/");
  }
  const std::set<std::string>& paths() const { return paths_; }

 private:
  std::set<std::string> paths_;
};

// Of a name and the kind of its entry; nobody finds two names with the same.
SpilledKeys::Key key_of(const std::string& name, bool is_folder) {
  const Digest digest = sha256(view_of(name + (is_folder ? "/" : "")));
  SpilledKeys::Key key{};
  std::memcpy(key.data(), digest.bytes.data(), sizeof key);
  return key;
}

bool is_passing(FailureKind kind) {
  switch (kind) {
    case FailureKind::Unreachable:
    case FailureKind::Io:
    case FailureKind::Full:
    case FailureKind::Locked:
    case FailureKind::NotPermitted: return true;
    case FailureKind::NotFound:
    case FailureKind::Exists:
    case FailureKind::WrongPassword:
    case FailureKind::Damaged:
    case FailureKind::Unsupported:
    case FailureKind::Invalid: return false;
  }
  return false;
}

class Restore {
 public:
  Restore(const Repository& repository, const BlobIndex& index, const RestoreOptions& options,
          RestoreProgress& progress, const std::stop_token& stop, const Snapshot& snapshot)
      : repository_(repository),
        index_(index),
        options_(options),
        progress_(progress),
        stop_(stop),
        selection_(options.selective),
        excluded_(snapshot.excludes),
        keep_(options.keep.begin(), options.keep.end()),
        taken_(snapshot.paths.begin(), snapshot.paths.end()),
        write_options_{.sparse = options.sparse, .owners = options.owners},
        pool_(options.threads) {
    for (unsigned i = 0; i <= options.threads; ++i) {
      codecs_.emplace_back(repository.key(), kDefaultLevel);
    }
  }

  Outcome<RestoreReport> run(const Snapshot& snapshot) {
    if (auto missing = find_missing(snapshot.tree); !missing) return Unexpected(missing.error());
    auto root = std::make_shared<NewFolder>();
    root->on_the_way = !selection_.takes_all();
    root->node.subtree = snapshot.tree;
    if (!options_.dry_run) {
      ::mkdir(options_.to.c_str(), 0700);  // Opening it tells whether it is there.
      root->fd = Descriptor(::open(options_.to.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
      if (!root->fd) return system_failure("opening", options_.to);
      const auto mount = mount_of(root->fd.get());
      if (!mount) return Unexpected(mount.error());
      root->mount = *mount;
    }
    begin(root);
    pool_.finish();
    link_all();
    if (stop_.stop_requested()) return fail(FailureKind::Invalid, "the restore was stopped");
    return std::move(report_);
  }

 private:
  unsigned caller() const { return options_.threads; }

  void report(const std::string& path, const Failure& failure) {
    const std::lock_guard lock(mutex_);
    ++report_.problem_count;
    if (!report_.passing && is_passing(failure.kind)) {
      report_.passing = Failure{.kind = failure.kind, .message = path + ": " + failure.message};
    }
    if (report_.problems.size() < RestoreReport::kProblemsMax) {
      report_.problems.push_back(path + ": " + failure.message);
    }
  }

  // Every chosen path is looked up before anything is written.
  Outcome<void> find_missing(const Digest& tree) {
    for (const std::string& path : selection_.paths()) {
      const auto node = find_node(repository_, index_, tree, path);
      if (!node) return Unexpected(node.error());
    }
    return {};
  }

  void begin(NewFolderPtr folder) {
    pool_.add(TaskPool::Kind::Folder, [this, folder = std::move(folder)](unsigned thread) {
      folder->waiting = 1;
      run_folder(folder, thread);
      settle(folder);
    });
  }

  void run_folder(const NewFolderPtr& folder, unsigned thread) {
    if (stop_.stop_requested()) return;
    if (folder->above && !options_.dry_run) {
      auto made = open_new_folder(folder->above->fd.get(), folder->node);
      if (!made) return report(folder->path, made.error());
      folder->fd = std::move(made->fd);
      folder->is_new = made->is_new;
      if (auto looked = look_where(*folder, thread); !looked) {
        return report(folder->path, looked.error());
      }
      if (folder->left_alone) return;
    }
    if (folder->fd && !folder->is_new) remove_leftovers(folder->fd.get());
    progress_.folders.fetch_add(folder->above ? 1 : 0, std::memory_order_relaxed);
    if (!folder->node.subtree) return;
    if (auto begun = begin_tree(folder, thread); !begun) report(folder->path, begun.error());
  }

  // Whether the folder is somebody else's: the backup had the folder below the mount point.
  Outcome<void> look_where(NewFolder& folder, unsigned thread) {
    const auto mount = mount_of(folder.fd.get());
    if (!mount) return Unexpected(mount.error());
    folder.mount = *mount;
    const bool is_kept = keep_.contains(folder.path);
    const bool is_mount = options_.in_place && folder.mount != folder.above->mount;
    if (!is_kept && (!is_mount || folder.on_the_way || taken_.contains(folder.path))) return {};
    folder.left_alone = true;  // Also when its tree cannot be read.
    bool holds_any = false;
    if (folder.node.subtree) {
      const auto& tree = *folder.node.subtree;
      auto read = repository_.each_node(index_, tree, codecs_[thread], [&](Node&&) {
        holds_any = true;
        return Outcome<void>();
      });
      if (!read) return read;
    }
    // Chosen by its own path, and more than a mount point in the backup.
    folder.left_alone = is_kept || !holds_any || !selection_.names(folder.path);
    if (folder.left_alone && holds_any) note_left_alone(folder.path);
    return {};
  }

  void note_left_alone(const std::string& path) {
    const std::lock_guard lock(mutex_);
    if (report_.left_alone.size() < RestoreReport::kProblemsMax) report_.left_alone.push_back(path);
  }

  Outcome<void> begin_tree(const NewFolderPtr& folder, unsigned thread) {
    const auto tree = repository_.load_tree(index_, *folder->node.subtree, codecs_[thread]);
    if (!tree) return Unexpected(tree.error());
    if (options_.exact && !options_.dry_run && !folder->is_new) {
      if (auto cleared = remove_what_is_new(*folder, *tree); !cleared) return cleared;
    }
    std::vector<Node> nodes;
    auto read = read_tree(tree->text(), [&](Node&& node) -> Outcome<void> {
      nodes.push_back(std::move(node));
      if (nodes.size() < kRestoreNodes) return {};
      begin_nodes(folder, std::exchange(nodes, {}), thread);
      tree->give_back();
      return {};
    });
    if (read) begin_nodes(folder, std::move(nodes), thread);
    return read;
  }

  // And what has the name of another kind of entry. On the way to chosen paths only the latter.
  Outcome<void> remove_what_is_new(const NewFolder& folder, const LoadedTree& tree) {
    SpilledKeys known(index_.spill_folder());
    std::size_t seen = 0;
    auto read = read_tree(tree.text(), [&](Node&& node) -> Outcome<void> {
      known.insert(key_of(node.name, node.type == NodeType::Folder));
      if (++seen % kRestoreNodes == 0) tree.give_back();
      return {};
    });
    if (!read) return read;
    const auto stays = [&](const std::string& name, bool is_folder) {
      const std::string path = folder.path + "/" + name;
      if (folder.on_the_way && !selection_.names(path)) return true;
      if (known.contains(key_of(name, is_folder))) return true;
      if (known.contains(key_of(name, !is_folder))) return false;
      return folder.on_the_way || excluded_.matches(path);
    };
    const Keep keep = [&](const std::string& below) {
      const std::string path = folder.path + "/" + below;
      return keep_.contains(path) || excluded_.matches(path);
    };
    for (std::string& problem : remove_others(folder.fd.get(), stays, keep)) {
      report(folder.path, {.kind = FailureKind::Io, .message = std::move(problem)});
    }
    return {};
  }

  void begin_nodes(const NewFolderPtr& folder, std::vector<Node> nodes, unsigned thread) {
    std::vector<Node> lot;
    const auto flush = [&] {
      if (lot.empty()) return;
      if (folder->waiting > kRestoreLotsMax) {
        for (const Node& node : std::exchange(lot, {})) restore_entry(*folder, node, thread);
        return;
      }
      ++folder->waiting;
      pool_.add(TaskPool::Kind::File, [this, folder, lot = std::exchange(lot, {})](unsigned other) {
        for (const Node& node : lot) restore_entry(*folder, node, other);
        settle(folder);
      });
    };
    // The stack gives back the last first.
    for (auto node = nodes.rbegin(); node != nodes.rend(); ++node) {
      const std::string path = folder->path + "/" + node->name;
      const bool whole = !folder->on_the_way || selection_.names(path);
      if (!whole && !selection_.leads_from(path)) continue;
      if (!is_safe_name(node->name)) {
        report(path, {.kind = FailureKind::Damaged, .message = "a name that no file can have"});
      } else if (node->type != NodeType::Folder) {
        lot.push_back(std::move(*node));
        if (lot.size() == kRestoreLot) flush();
      } else {
        auto below = std::make_shared<NewFolder>();
        below->above = folder;
        below->node = std::move(*node);
        below->path = path;
        below->on_the_way = !whole;
        ++folder->waiting;
        begin(std::move(below));
      }
    }
    flush();
  }

  void settle(const NewFolderPtr& folder) {
    NewFolderPtr at = folder;
    while (at && at->waiting.fetch_sub(1) == 1) {
      const bool left_alone = options_.in_place && at->on_the_way && !at->is_new;
      if (at->above && at->fd && !left_alone && !at->left_alone) {
        if (auto set = set_metadata(at->fd.get(), at->node, write_options_); !set) {
          report(at->path, set.error());
        }
      }
      at->fd = Descriptor();
      at = at->above;
    }
  }

  void restore_entry(const NewFolder& folder, const Node& node, unsigned thread) {
    if (stop_.stop_requested()) return;
    const std::string path = folder.path + "/" + node.name;
    // Before it can be the first name of a file: no link is made to what is somebody else's.
    if (is_mounted_over(folder, node.name, path)) return note_left_alone(path);
    if (node.type == NodeType::File) return restore_file(folder, node, path, thread);
    if (node.type == NodeType::Other || node.type == NodeType::Folder) return;
    progress_.others.fetch_add(1, std::memory_order_relaxed);
    if (options_.dry_run || (node.links > 1 && !is_first_name(node, path))) return;
    if (auto made = write_special(folder.fd.get(), node, write_options_); !made) {
      report(path, made.error());
    }
  }

  // Single files are mounted, too: a container has its /etc/hosts so. One that is chosen by its own
  // path is tried.
  bool is_mounted_over(const NewFolder& folder, const std::string& name,
                       const std::string& path) const {
    if (!options_.in_place || options_.dry_run || folder.is_new) return false;
    if (selection_.names(path) || taken_.contains(path)) return false;
    const auto mount = mount_of(folder.fd.get(), name);
    return mount && *mount != folder.mount;  // A failure: nothing is there, or the restore tells.
  }

  void restore_file(const NewFolder& folder, const Node& node, const std::string& path,
                    unsigned thread) {
    progress_.files.fetch_add(1, std::memory_order_relaxed);
    if (options_.dry_run) {
      progress_.bytes.fetch_add(node.size, std::memory_order_relaxed);
      return;
    }
    if (node.links > 1 && !is_first_name(node, path)) return;
    const BlobLength lengths = [&](const Digest& id) { return length_of(id); };
    if (!folder.is_new && has_content(folder.fd.get(), node, lengths)) {
      progress_.skipped.fetch_add(1, std::memory_order_relaxed);
      progress_.bytes.fetch_add(node.size, std::memory_order_relaxed);
      return restore_metadata(folder, node, path);
    }
    ContentSource source{.blobs = blobs_through(codecs_[thread]), .lengths = lengths};
    std::optional<BlobCodec> second;
    source.second = [&] {
      if (!pool_.has_idle()) return BlobSource();
      return blobs_through(second.emplace(repository_.key(), kDefaultLevel));
    };
    const auto written = write_file(folder.fd.get(), node, source, write_options_);
    if (!written) return report(path, written.error());
    progress_.bytes.fetch_add(*written, std::memory_order_relaxed);
    if (options_.verify && !has_content(folder.fd.get(), node, lengths)) {
      report(path, {.kind = FailureKind::Damaged, .message = "what was written reads otherwise"});
    }
  }

  BlobSource blobs_through(BlobCodec& codec) const {
    return [this, &codec](const Digest& id) {
      return repository_.read_blob(index_, {.id = id, .type = BlobType::Data}, codec);
    };
  }

  void restore_metadata(const NewFolder& folder, const Node& node, const std::string& path) {
    const Descriptor file(::openat(folder.fd.get(), node.name.c_str(),
                                   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (!file) return report(path, system_failure("opening", node.name).error());
    // Its content was right a moment ago; somebody may have put something else there.
    struct stat info {};
    if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode)) {
      return report(path, {.kind = FailureKind::Invalid, .message = "it was replaced meanwhile"});
    }
    if (auto set = set_metadata(file.get(), node, write_options_); !set) report(path, set.error());
  }

  std::optional<std::uint64_t> length_of(const Digest& id) const {
    const auto place = index_.find({.id = id, .type = BlobType::Data});
    if (!place) return std::nullopt;
    const BlobEntry& entry = place->entry;
    return entry.is_compressed() ? entry.uncompressed_length : entry.length - kSealOverhead;
  }

  // The first name of a file with several is restored; the others become links to it at the end,
  // when it is sure to be there.
  bool is_first_name(const Node& node, const std::string& path) {
    const std::lock_guard lock(mutex_);
    const auto [place, first] = first_names_.emplace(std::pair(node.device_id, node.inode), path);
    if (!first) links_.emplace_back(path, place->second);
    return first;
  }

  void link_all() {
    for (const auto& [path, first] : links_) {
      if (auto linked = link(first, path); !linked) report(path, linked.error());
    }
  }

  Outcome<void> link(const std::string& first, const std::string& path) {
    const Descriptor from = open_above(first);
    const Descriptor to = open_above(path);
    struct stat before {};
    if (!from || !to || ::fstat(to.get(), &before) != 0) return system_failure("linking", path);
    auto linked = write_hard_link(from.get(), std::filesystem::path(first).filename().string(),
                                  to.get(), std::filesystem::path(path).filename().string());
    // The folder was finished before.
    const std::array<timespec, 2> times = {before.st_atim, before.st_mtim};
    ::futimens(to.get(), times.data());
    return linked;
  }

  // The folder of a restored path, step by step so that no link on the way is followed.
  Descriptor open_above(const std::string& path) const {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
    Descriptor folder(::open(options_.to.c_str(), kFlags));
    for (const auto& part : std::filesystem::path(path).relative_path().parent_path()) {
      if (folder) folder = Descriptor(::openat(folder.get(), part.c_str(), kFlags | O_NOFOLLOW));
    }
    return folder;
  }

  const Repository& repository_;
  const BlobIndex& index_;
  const RestoreOptions& options_;
  RestoreProgress& progress_;
  const std::stop_token& stop_;
  const Selection selection_;
  const ExcludeList excluded_;
  const std::set<std::string> keep_;
  const std::set<std::string> taken_;  // The paths the snapshot was made of.
  const WriteOptions write_options_;
  std::vector<BlobCodec> codecs_;

  std::mutex mutex_;
  RestoreReport report_;
  std::map<std::pair<std::uint64_t, std::uint64_t>, std::string> first_names_;
  std::vector<std::pair<std::string, std::string>> links_;
  TaskPool pool_;  // Last: its threads use all of the above.
};

}  // namespace

Outcome<RestoreReport> restore(const Repository& repository, const Snapshot& snapshot,
                               const RestoreOptions& options, RestoreProgress& progress,
                               const std::stop_token& stop) {
  const auto index = repository.load_index();
  if (!index) return Unexpected(index.error());
  return Restore(repository, *index, options, progress, stop, snapshot).run(snapshot);
}

}  // namespace recover::backup
