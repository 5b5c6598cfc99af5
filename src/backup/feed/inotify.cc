// A feed from inotify: a watch on each folder. Needs no privilege; costs a folder's worth of kernel
// memory each, so the number is bounded, by us and by fs.inotify.max_user_watches.
//
// A folder is watched before it is listed: what is made in it meanwhile is told or found.
#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "backup/feed/feed.h"
#include "backup/feed/watched_paths.h"
#include "backup/local/file.h"

namespace recover::backup {
namespace {

constexpr std::uint32_t kWatched = IN_MODIFY | IN_CLOSE_WRITE | IN_ATTRIB | IN_CREATE | IN_DELETE |
                                   IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR | IN_DONT_FOLLOW;
constexpr std::uint32_t kEntryEvents = IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO;
constexpr std::size_t kInotifyBytes = std::size_t{64} << 10U;
constexpr std::size_t kInotifyReadsMax = 1024;

class InotifyFeed : public Feed {
 public:
  static Outcome<std::unique_ptr<Feed>> arm(const FeedOptions& options) {
    auto paths = WatchedPaths::look(options);
    if (!paths) return Unexpected(std::move(paths.error()));
    Descriptor fd(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!fd) return system_failure("inotify of", options.paths.front());
    std::unique_ptr<InotifyFeed> feed(new InotifyFeed(std::move(*paths), std::move(fd), options));
    for (const WatchedPaths::Mount& mount : feed->paths_.mounts_below()) {
      if (!is_remote(mount.type)) continue;
      return fail(FailureKind::Unsupported, mount.point +
                                                ": others may change a file system of type " +
                                                mount.type + " without being noticed");
    }
    for (const WatchedPath& one : feed->paths_.all()) {
      // Of a file: the folder it is in, and nothing below that.
      const std::string folder =
          one.is_folder ? one.real : std::filesystem::path(one.real).parent_path().string();
      if (auto done = feed->watch(folder, one.is_folder, one.device); !done) {
        return Unexpected(std::move(done.error()));
      }
    }
    return std::unique_ptr<Feed>(std::move(feed));
  }

  FeedKind kind() const override { return FeedKind::Inotify; }
  int descriptor() const override { return fd_.get(); }

  void drain(ChangeNotes& notes) override {
    alignas(inotify_event) std::array<char, kInotifyBytes> buffer{};
    for (std::size_t i = 0; i < kInotifyReadsMax && !lost_; ++i) {
      const ssize_t length = ::read(fd_.get(), buffer.data(), buffer.size());
      if (length < 0 && errno == EINTR) continue;
      if (length < 0 && errno != EAGAIN) lose(notes, "inotify failed");
      if (length <= 0) return;
      std::string_view bytes(buffer.data(), static_cast<std::size_t>(length));
      while (bytes.size() >= sizeof(inotify_event) && !lost_) {
        inotify_event event{};
        std::memcpy(&event, bytes.data(), sizeof event);
        const std::string_view padded = bytes.substr(sizeof event, event.len);
        take(event, padded.substr(0, padded.find('\0')), notes);
        bytes.remove_prefix(sizeof event + event.len);
      }
    }
  }

 private:
  struct Watch {
    int above = -1;
    std::string name;  // Of one that is above all others: its path.
    dev_t device = 0;  // Of the path it belongs to.
    bool is_deep = true;
    std::map<std::string, int, std::less<>> below;
  };

  InotifyFeed(WatchedPaths paths, Descriptor fd, const FeedOptions& options)
      : paths_(std::move(paths)),
        fd_(std::move(fd)),
        watches_max_(options.watches_max),
        one_file_system_(options.one_file_system) {}

  void lose(ChangeNotes& notes, const std::string& why) {
    notes.changes.add_everything(why);
    notes.is_urgent = true;
    lost_ = true;
  }

  std::string path_of(int id) const {
    const Watch& watch = watches_.at(id);
    return watch.above < 0 ? watch.name : join_path(path_of(watch.above), watch.name);
  }

  struct Wanted {
    int above = -1;
    std::string name;
    std::string path;
  };

  // A folder and, with `deep`, all below it.
  Outcome<void> watch(const std::string& path, bool deep, dev_t device) {
    return watch_all({Wanted{.above = -1, .name = path, .path = path}}, deep, device);
  }

  Outcome<void> watch_all(std::vector<Wanted> wanted, bool deep, dev_t device) {
    while (!wanted.empty()) {
      const Wanted next = std::move(wanted.back());
      wanted.pop_back();
      const int id = ::inotify_add_watch(fd_.get(), next.path.c_str(), kWatched);
      if (id < 0) {
        // Gone, or no folder any more: whoever made it so is told by the folder above.
        if ((errno == ENOENT || errno == ENOTDIR) && next.above >= 0) continue;
        return system_failure("inotify of", next.path);
      }
      if (auto added = add(id, next, deep, device); !added) return added;
      if (!deep) continue;
      if (auto listed = list(id, next.path, device, wanted); !listed) return listed;
    }
    return {};
  }

  Outcome<void> add(int id, const Wanted& wanted, bool deep, dev_t device) {
    const auto known = watches_.find(id);
    if (known != watches_.end()) {
      const std::string old = path_of(id);
      if (old == wanted.path) {
        known->second.is_deep = known->second.is_deep || deep;
        return {};
      }
      struct stat before {};
      struct stat now {};
      const bool twice = ::lstat(old.c_str(), &before) == 0 &&
                         ::lstat(wanted.path.c_str(), &now) == 0 && before.st_ino == now.st_ino &&
                         before.st_dev == now.st_dev;
      if (twice) {
        return fail(FailureKind::Unsupported, "inotify: " + old + " and " + wanted.path +
                                                  " are the same folder in two places");
      }
      detach(known->second);  // It was moved; the event of that is still to come.
    }
    if (watches_.size() >= watches_max_) {
      return fail(FailureKind::Full,
                  "inotify: more than " + std::to_string(watches_max_) + " folders to watch");
    }
    Watch& watch = watches_[id];
    watch.above = wanted.above;
    watch.name = wanted.name;
    watch.device = device;
    watch.is_deep = deep;
    if (wanted.above >= 0) watches_[wanted.above].below[wanted.name] = id;
    return {};
  }

  Outcome<void> list(int id, const std::string& path, dev_t device,
                     std::vector<Wanted>& wanted) const {
    const FolderStream stream(::opendir(path.c_str()));
    if (!stream) {
      if (errno == ENOENT || errno == ENOTDIR || errno == EACCES) return {};
      return system_failure("listing", path);
    }
    // The stream is this function's own; readdir_r is deprecated.
    // NOLINTNEXTLINE(concurrency-mt-unsafe)
    while (const dirent* const entry = ::readdir(stream.get())) {
      const std::string_view name(entry->d_name);
      if (name == "." || name == ".." || (entry->d_type != DT_DIR && entry->d_type != DT_UNKNOWN)) {
        continue;
      }
      struct stat info {};
      const bool look = one_file_system_ || entry->d_type == DT_UNKNOWN;
      if (look &&
          ::fstatat(::dirfd(stream.get()), entry->d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
          (!S_ISDIR(info.st_mode) || (one_file_system_ && info.st_dev != device))) {
        continue;
      }
      wanted.push_back({.above = id, .name = std::string(name), .path = join_path(path, name)});
    }
    return {};
  }

  void detach(const Watch& watch) {
    const auto above = watches_.find(watch.above);
    if (above != watches_.end()) above->second.below.erase(watch.name);
  }

  // No more of a folder, and of all below it.
  void forget(int id) {
    std::vector<int> ids{id};
    while (!ids.empty()) {
      const auto watch = watches_.find(ids.back());
      ids.pop_back();
      if (watch == watches_.end()) continue;
      for (const auto& below : watch->second.below) ids.push_back(below.second);
      ::inotify_rm_watch(fd_.get(), watch->first);
      watches_.erase(watch);
    }
  }

  void take(const inotify_event& event, std::string_view name, ChangeNotes& notes) {
    if ((event.mask & IN_Q_OVERFLOW) != 0) {
      // Folders may have come unnoticed: the watches are begun anew.
      return lose(notes, "more changes at once than the kernel's queue holds");
    }
    if ((event.mask & IN_UNMOUNT) != 0) return lose(notes, "a file system was unmounted");
    const auto watch = watches_.find(event.wd);
    if (watch == watches_.end()) return;
    if ((event.mask & IN_IGNORED) != 0) {
      detach(watch->second);
      forget(event.wd);
      return;
    }
    const std::string folder = path_of(event.wd);
    const bool moves = (event.mask & IN_ISDIR) != 0 && (event.mask & kEntryEvents) != 0;
    paths_.note(notes, name.empty() ? folder : join_path(folder, name), moves);
    if (moves && watch->second.is_deep) move(event, name, folder, notes);
  }

  // A folder came or went: its watches do the same.
  void move(const inotify_event& event, std::string_view name, const std::string& folder,
            ChangeNotes& notes) {
    Watch& above = watches_.at(event.wd);
    const dev_t device = above.device;
    if (const auto old = above.below.find(name); old != above.below.end()) {
      const int id = old->second;
      above.below.erase(old);
      forget(id);
    }
    if ((event.mask & (IN_CREATE | IN_MOVED_TO)) == 0) return;
    const auto done = watch_all(
        {Wanted{.above = event.wd, .name = std::string(name), .path = join_path(folder, name)}},
        true, device);
    if (!done) lose(notes, done.error().message);
  }

  WatchedPaths paths_;
  Descriptor fd_;
  const std::size_t watches_max_;
  const bool one_file_system_;
  std::unordered_map<int, Watch> watches_;
};

}  // namespace

Outcome<std::unique_ptr<Feed>> arm_inotify(const FeedOptions& options) {
  return InotifyFeed::arm(options);
}

}  // namespace recover::backup
