#include "backup/archive/walk.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "backup/format/tree.h"
#include "backup/local/mount.h"

namespace recover::backup {
namespace {

// Small files go through the pool in lots: a task for each would cost more than reading it.
constexpr std::size_t kLotFiles = 32;
// Of an earlier tree so many nodes are memory at once.
constexpr std::size_t kEarlierAtOnce = 4096;

bool is_dot(std::string_view name) {
  return name == "." || name == "..";
}

std::string path_below(const OpenFolder& folder, const std::string& name) {
  return (folder.path == "/" ? "" : folder.path) + "/" + name;
}

}  // namespace

Walk::Walk(const Repository& repository, const BlobIndex& index, BlobSaver& saver,
           const ArchiveOptions& options, ArchiveProgress& progress, std::stop_token stop)
    : repository_(repository),
      index_(index),
      saver_(saver),
      options_(options),
      progress_(progress),
      stop_(std::move(stop)),
      excludes_(options.excludes),
      chunker_(repository.config().polynomial),
      pool_(options.threads) {
  for (unsigned i = 0; i <= options.threads; ++i) {
    workers_.push_back({.codec = BlobCodec(repository.key(), options.level), .buffer = {}});
  }
}

void Walk::stop_with(Failure failure) {
  const std::lock_guard lock(mutex_);
  if (!failure_) failure_ = std::move(failure);
  stopped_ = true;
}

std::optional<Failure> Walk::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

void Walk::report(const std::string& path, const std::string& problem) {
  const std::lock_guard lock(mutex_);
  ++problem_count;
  if (problems.size() >= ArchiveReport::kProblemsMax) return;
  problems.push_back(problem.find(path) == std::string::npos ? path + ": " + problem : problem);
  unread.push_back(path);
}

void Walk::read_earlier(const std::optional<Digest>& tree, unsigned thread,
                        const std::function<void(const Earlier&)>& use) {
  if (!tree) return;
  const auto loaded = repository_.load_tree(index_, *tree, workers_[thread].codec);
  if (!loaded) return;
  // One that breaks off is one with fewer nodes.
  static_cast<void>(read_tree_texts(loaded->text(),
                                    [&](Node&& node, std::string_view node_text) -> Outcome<void> {
                                      use({.node = node, .text = node_text});
                                      return {};
                                    }));
}

void Walk::begin(FolderPtr folder) {
  pool_.add(TaskPool::Kind::Folder, [this, folder = std::move(folder)](unsigned thread) {
    folder->waiting = 1;
    run_folder(folder, thread);
    settle(folder, thread);
  });
}

// By way of the open folder above, so a path may be longer than the system's longest.
Descriptor Walk::open_folder(const OpenFolder& folder) const {
  constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  if (folder.above && folder.above->fd) {
    return Descriptor(::openat(folder.above->fd.get(), folder.name.c_str(), kFlags));
  }
  return Descriptor(::open(folder.path.c_str(), kFlags));
}

void Walk::run_folder(const FolderPtr& folder, unsigned thread) {
  if (is_stopped()) {
    folder->lost = true;
    return;
  }
  folder->fd = open_folder(*folder);
  if (folder->fd && folder->changed != nullptr && sort_changes(folder, thread)) return;
  auto names = folder->fd ? list(*folder) : system_failure("opening", folder->path);
  if (!names) {
    folder->lost = true;
    report(folder->path, names.error().message);
    return;
  }
  progress_.folders.fetch_add(1, std::memory_order_relaxed);
  const bool giant = names->size() > options_.giant_entries && begin_giant(folder, *names, thread);
  if (!giant) sort_entries(folder, *names, thread);
}

Outcome<NameList> Walk::list(OpenFolder& folder) {
  NameList names;
  const int copy = ::fcntl(folder.fd.get(), F_DUPFD_CLOEXEC, 0);
  const FolderStream stream(copy < 0 ? nullptr : ::fdopendir(copy));
  if (!stream) return system_failure("opening", folder.path);
  errno = 0;
  // The stream is this function's own; readdir_r is deprecated.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* const entry = ::readdir(stream.get())) {
    if (!is_dot(entry->d_name)) names.add(entry->d_name, entry->d_type == DT_REG);
    if (names.is_full()) return fail(FailureKind::Unsupported, folder.path + ": too many entries");
    errno = 0;
  }
  if (errno != 0) return system_failure("listing", folder.path);
  names.sort();
  return names;
}

bool Walk::load_earlier_tree(OpenFolder& folder, unsigned thread) {
  if (!folder.earlier) return false;
  auto tree = repository_.load_tree(index_, *folder.earlier, workers_[thread].codec);
  if (!tree) return false;  // Then files are read again.
  folder.earlier_tree.emplace(std::move(*tree));
  folder.kept.resize(folder.slots.size());
  return true;
}

// Both lists are in the order of names: one walk through the two.
void Walk::sort_entries(const FolderPtr& folder, const NameList& names, unsigned thread) {
  folder->slots.resize(names.size());
  folder->waiting += names.size();
  Work work;
  std::size_t slot = 0;
  const auto take = [&](const Earlier* earlier) {
    FileTask task{.slot = slot,
                  .name = std::string(names.name(slot)),
                  .is_file = names.is_file(slot),
                  .is_known = earlier != nullptr};
    task.changed = change_of(*folder, task.name);
    ++slot;
    take_entry(folder, std::move(task), earlier, work, thread);
  };
  if (load_earlier_tree(*folder, thread)) {
    // One that breaks off is one with fewer nodes.
    std::size_t seen = 0;
    static_cast<void>(read_tree_texts(
        folder->earlier_tree->text(), [&](Node&& node, std::string_view text) -> Outcome<void> {
          if (++seen % kEarlierAtOnce == 0) folder->earlier_tree->give_back();
          while (slot < names.size() && names.name(slot) < node.name) take(nullptr);
          const Earlier earlier{.node = node, .text = text, .stays = true};
          if (slot < names.size() && names.name(slot) == node.name) take(&earlier);
          return {};
        }));
    folder->earlier_tree->give_back();  // It stays until all below is stored.
  }
  while (slot < names.size()) take(nullptr);
  begin_work(folder, std::move(work));
}

void Walk::begin_work(const FolderPtr& folder, Work work) {
  // The stack gives back the last first: the first folder by name is the next one.
  for (auto next = work.folders.rbegin(); next != work.folders.rend(); ++next)
    begin(std::move(*next));
  add_files(folder, std::move(work.files));
}

void Walk::add_files(const FolderPtr& folder, std::vector<FileTask> files) {
  for (std::size_t from = 0; from < files.size(); from += kLotFiles) {
    const std::size_t to = std::min(files.size(), from + kLotFiles);
    const auto begin = files.begin();
    std::vector<FileTask> lot(std::make_move_iterator(begin + static_cast<std::ptrdiff_t>(from)),
                              std::make_move_iterator(begin + static_cast<std::ptrdiff_t>(to)));
    std::reverse(lot.begin(), lot.end());
    add_lot(folder, std::move(lot));
  }
}

void Walk::add_lot(const FolderPtr& folder, std::vector<FileTask> lot) {
  pool_.add(TaskPool::Kind::File, [this, folder, lot = std::move(lot)](unsigned thread) mutable {
    Worker& worker = workers_[thread];
    worker.folder = folder;
    worker.rest = std::move(lot);
    while (!worker.rest.empty()) {
      const FileTask task = std::move(worker.rest.back());
      worker.rest.pop_back();
      folder->slots[task.slot] = read_entry(*folder, task, thread, task.name);
      settle(folder, thread);
    }
    worker.folder = nullptr;
  });
}

void Walk::give_away_rest(unsigned thread) {
  Worker& worker = workers_[thread];
  if (!worker.rest.empty()) add_lot(worker.folder, std::exchange(worker.rest, {}));
}

void Walk::take_entry(const FolderPtr& folder, FileTask task, const Earlier* earlier, Work& work,
                      unsigned thread) {
  if (is_stopped() || (!excludes_.empty() && excludes_.matches(path_below(*folder, task.name)))) {
    return settle(folder, thread);
  }
  // What is known to be a file and to nobody else is looked at when it is open.
  if (task.is_file && earlier == nullptr) {
    work.files.push_back(std::move(task));
    return;
  }
  const auto info = look_at(folder->fd.get(), task.name);
  if (!info) {
    const bool gone = task.may_be_gone && info.error().kind == FailureKind::NotFound;
    if (!gone) report(path_below(*folder, task.name), info.error().message);
    return settle(folder, thread);
  }
  const NodeType type = type_of(info->st_mode);
  task.is_file = type == NodeType::File;
  // What was named as changed is read whatever its times say: a write through a mapping moves them
  // late, and two writes within a tick of the clock once.
  const bool was_named = task.changed != nullptr && task.is_file;
  const bool is_kept = earlier != nullptr && !was_named && is_as_it_was(*earlier, *info);
  if (is_kept) keep_entry(*folder, task, *earlier, *info);
  // A socket holds nothing that could be kept.
  if (type == NodeType::Other || is_kept) return settle(folder, thread);
  if (type != NodeType::Folder) {
    work.files.push_back(std::move(task));
    return;
  }
  FolderPtr below = open_below(folder, task, earlier, *info);
  if (!below) return settle(folder, thread);
  // Its folder had to be listed, but nothing in it changed.
  const bool is_listed_only = folder->changed != nullptr && task.changed == nullptr;
  if (is_listed_only && below->is_same && below->earlier) {
    keep_tree(below, *below->earlier);
    return settle(folder, thread);
  }
  if (stays_out(*folder, *below, *info)) {
    below->waiting = 1;
    return settle(below, thread);  // The mount point itself, as an empty folder.
  }
  work.folders.push_back(std::move(below));
}

bool Walk::stays_out(const OpenFolder& folder, const OpenFolder& below,
                     const struct stat& info) const {
  if (!options_.takes_mount) return options_.one_file_system && info.st_dev != folder.device;
  const auto mount = mount_of(folder.fd.get(), below.name);
  const auto around = mount_of(folder.fd.get());
  return mount && around && *mount != *around && !options_.takes_mount(below.path);
}

void Walk::keep_entry(OpenFolder& folder, const FileTask& task, const Earlier& earlier,
                      const struct stat& info) {
  if (earlier.node.links > 1 && options_.on_linked) {
    options_.on_linked(path_below(folder, task.name), earlier.node);
  }
  // ctime vouches for everything but where the file lies.
  if (earlier.stays && !earlier.text.empty() && earlier.node.device_id == info.st_dev) {
    folder.kept[task.slot] = earlier.text;
  } else {
    folder.slots[task.slot] = text_where_it_lies(earlier, info);
  }
}

bool Walk::is_as_it_was(const Earlier& earlier, const struct stat& info) {
  const Node& node = earlier.node;
  if (!is_unchanged(node, info) || !is_stored(node)) return false;
  progress_.files_unmodified.fetch_add(1, std::memory_order_relaxed);
  progress_.bytes.fetch_add(node.size, std::memory_order_relaxed);
  return true;
}

std::string Walk::text_where_it_lies(const Earlier& earlier, const struct stat& info) {
  if (!earlier.text.empty() && earlier.node.device_id == info.st_dev) {
    return std::string(earlier.text);
  }
  Node moved = earlier.node;
  moved.device_id = info.st_dev;
  std::string text;
  append_node(text, moved);
  return text;
}

// None, and a problem, when its metadata cannot be read.
FolderPtr Walk::open_below(const FolderPtr& folder, const FileTask& task, const Earlier* earlier,
                           const struct stat& info) {
  auto node = node_of(folder->fd.get(), task.name, info, owners_);
  if (!node) {
    report(path_below(*folder, task.name), node.error().message);
    return nullptr;
  }
  auto below = std::make_shared<OpenFolder>();
  below->above = folder;
  below->slot = task.slot;
  below->name = task.name;
  below->path = path_below(*folder, task.name);
  below->node = std::move(*node);
  below->device = folder->device;
  if (earlier != nullptr) {
    const Node& then = earlier->node;
    below->earlier = then.subtree;
    below->is_same = then.inode == info.st_ino && then.device_id == info.st_dev;
  }
  if (below->is_same && task.changed != nullptr && !task.changed->is_deep) {
    below->changed = task.changed;
  }
  return below;
}

// Whether every blob of it is still there: a damaged repository heals by being backed up into.
bool Walk::is_stored(const Node& earlier) const {
  return std::all_of(earlier.content.begin(), earlier.content.end(), [&](const Digest& id) {
    return index_.contains({.id = id, .type = BlobType::Data});
  });
}

void Walk::settle(const FolderPtr& folder, unsigned thread) {
  FolderPtr at = folder;
  while (at && at->waiting.fetch_sub(1) == 1) {
    if (at->giant && end_lot(at)) return;
    store_tree(at, thread);
    at = at->above;
  }
}

namespace {

std::string_view node_text(const OpenFolder& folder, std::size_t slot) {
  const bool kept = folder.slots[slot].empty() && !folder.kept.empty();
  return kept ? folder.kept[slot] : std::string_view(folder.slots[slot]);
}

bool take_piece(std::string_view& text, std::string_view begin) {
  if (!text.starts_with(begin)) return false;
  text.remove_prefix(begin.size());
  return true;
}

}  // namespace

bool Walk::is_earlier_tree(const OpenFolder& folder) {
  if (!folder.earlier_tree) return false;
  std::string_view rest = folder.earlier_tree->text();
  bool same = take_piece(rest, "{\"nodes\":[");
  bool first = true;
  for (std::size_t slot = 0; same && slot < folder.slots.size(); ++slot) {
    const std::string_view node = node_text(folder, slot);
    if (node.empty()) continue;
    same = (std::exchange(first, false) || take_piece(rest, ",")) && take_piece(rest, node);
  }
  return same && rest == "]}\n";
}

void Walk::store_tree(const FolderPtr& folder, unsigned thread) {
  if (is_failed()) return;
  folder->fd = Descriptor();
  if (folder->lost) return;
  if (folder->giant) return store_giant(folder, thread);
  if (is_earlier_tree(*folder)) return keep_tree(folder, *folder->earlier);
  TreeText tree;
  for (std::size_t slot = 0; slot < folder->slots.size(); ++slot) {
    if (const auto node = node_text(*folder, slot); !node.empty()) tree.add_text(node);
  }
  folder->slots = {};
  folder->kept = {};
  folder->earlier_tree.reset();
  const std::string text = tree.finish();
  const Digest id = sha256(view_of(text));
  if (!saver_.claim({.id = id, .type = BlobType::Tree})) {
    auto stored = saver_.store(workers_[thread].codec, BlobType::Tree, id, view_of(text));
    if (!stored) return stop_with(std::move(stored.error()));
  }
  keep_tree(folder, id);
}

void Walk::keep_tree(const FolderPtr& folder, const Digest& id) {
  if (!folder->above) {
    root = id;
    return;
  }
  folder->node->subtree = id;
  append_node(folder->above->slots[folder->slot], *folder->node);
}

}  // namespace recover::backup
