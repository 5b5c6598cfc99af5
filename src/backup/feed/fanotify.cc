// A feed from fanotify: one mark for each file system, whatever its size; events name a folder by
// its handle, and an entry of it. Needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH, Linux 5.9.
//
// A handle is resolved when its event is read. A folder moved in between has its new path then, and
// an event of the move in the queue: both places are looked at again.
#include <fcntl.h>
#include <sys/fanotify.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <map>
#include <optional>
#include <utility>

#include "backup/feed/feed.h"
#include "backup/feed/watched_paths.h"
#include "backup/local/file.h"

namespace recover::backup {
namespace {

constexpr std::uint64_t kEvents = FAN_MODIFY | FAN_CLOSE_WRITE | FAN_ATTRIB | FAN_CREATE |
                                  FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO | FAN_ONDIR;
constexpr std::uint64_t kOfEntries = FAN_CREATE | FAN_DELETE | FAN_MOVED_FROM | FAN_MOVED_TO;
constexpr std::size_t kEventBytes = std::size_t{64} << 10U;
constexpr std::size_t kDrainReadsMax = 1024;  // Of one drain: what comes faster waits.

using FileSystem = std::array<int, 2>;

class FanotifyFeed : public Feed {
 public:
  static Outcome<std::unique_ptr<Feed>> arm(const FeedOptions& options) {
    auto paths = WatchedPaths::look(options);
    if (!paths) return Unexpected(std::move(paths.error()));
    constexpr unsigned kFlags = FAN_CLASS_NOTIF | FAN_REPORT_DFID_NAME | FAN_NONBLOCK | FAN_CLOEXEC;
    Descriptor fd(::fanotify_init(kFlags, O_RDONLY | O_CLOEXEC));
    if (!fd) return system_failure("fanotify of", options.paths.front());
    std::unique_ptr<FanotifyFeed> feed(new FanotifyFeed(std::move(*paths), std::move(fd)));
    for (const WatchedPaths::Mount& mount : feed->paths_.mounts_below()) {
      if (auto marked = feed->mark(mount); !marked) return Unexpected(std::move(marked.error()));
    }
    return std::unique_ptr<Feed>(std::move(feed));
  }

  FeedKind kind() const override { return FeedKind::Fanotify; }
  int descriptor() const override { return fd_.get(); }

  void drain(ChangeNotes& notes) override {
    alignas(fanotify_event_metadata) std::array<char, kEventBytes> buffer{};
    for (std::size_t i = 0; i < kDrainReadsMax; ++i) {
      const ssize_t length = ::read(fd_.get(), buffer.data(), buffer.size());
      if (length < 0 && errno == EINTR) continue;
      if (length < 0 && errno != EAGAIN) lose(notes, "fanotify failed");
      if (length <= 0) break;
      take_events({buffer.data(), static_cast<std::size_t>(length)}, notes);
    }
    for (const auto& [folder, names] : told_) resolve(folder, names, notes);
    told_.clear();
  }

 private:
  // A folder as events name it: its file system and its handle there.
  struct Folder {
    FileSystem file_system{};
    int type = 0;
    std::string handle;
    friend auto operator<=>(const Folder&, const Folder&) = default;
  };

  FanotifyFeed(WatchedPaths paths, Descriptor fd) : paths_(std::move(paths)), fd_(std::move(fd)) {}

  void lose(ChangeNotes& notes, const std::string& why) {
    notes.changes.add_everything(why);
    notes.is_urgent = true;
    lost_ = true;
  }

  Outcome<void> mark(const WatchedPaths::Mount& mount) {
    if (is_remote(mount.type)) {
      return fail(FailureKind::Unsupported, mount.point +
                                                ": others may change a file system of type " +
                                                mount.type + " without being noticed");
    }
    Descriptor point(::open(mount.point.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    // A file can be a mount point.
    if (!point) point = Descriptor(::open(mount.point.c_str(), O_PATH | O_CLOEXEC));
    struct statfs info {};
    if (!point || ::fstatfs(point.get(), &info) != 0) return system_failure("opening", mount.point);
    if (::fanotify_mark(fd_.get(), FAN_MARK_ADD | FAN_MARK_FILESYSTEM, kEvents, AT_FDCWD,
                        mount.point.c_str()) != 0) {
      return system_failure("fanotify of", mount.point);
    }
    FileSystem file_system{};
    std::memcpy(file_system.data(), &info.f_fsid, sizeof file_system);
    // Whether handles can be opened at all is better known now than at the first event.
    if (auto opened = try_handle(point.get(), mount.point); !opened) return opened;
    mounts_[file_system].push_back(std::move(point));
    return {};
  }

  static Outcome<void> try_handle(int point, const std::string& path) {
    alignas(file_handle) std::array<char, sizeof(file_handle) + MAX_HANDLE_SZ> room{};
    auto* const handle = reinterpret_cast<file_handle*>(room.data());
    handle->handle_bytes = MAX_HANDLE_SZ;
    int mount = 0;
    if (::name_to_handle_at(point, "", handle, &mount, AT_EMPTY_PATH) != 0) {
      return system_failure("taking the handle of", path);
    }
    const Descriptor again(::open_by_handle_at(point, handle, O_PATH | O_CLOEXEC));
    if (!again) return system_failure("opening by its handle", path);
    return {};
  }

  void take_events(std::string_view bytes, ChangeNotes& notes) {
    while (bytes.size() >= sizeof(fanotify_event_metadata)) {
      fanotify_event_metadata event{};
      std::memcpy(&event, bytes.data(), sizeof event);
      if (event.vers != FANOTIFY_METADATA_VERSION || event.event_len < sizeof event ||
          event.event_len > bytes.size()) {
        return lose(notes, "fanotify speaks another version");
      }
      if ((event.mask & FAN_Q_OVERFLOW) != 0) {
        notes.changes.add_everything("more changes at once than the kernel's queue holds");
        notes.is_urgent = true;
      }
      take_information(bytes.substr(event.metadata_len, event.event_len - event.metadata_len),
                       event.mask);
      bytes.remove_prefix(event.event_len);
    }
  }

  void take_information(std::string_view bytes, std::uint64_t mask) {
    while (bytes.size() >= sizeof(fanotify_event_info_header)) {
      fanotify_event_info_header header{};
      std::memcpy(&header, bytes.data(), sizeof header);
      if (header.len < sizeof header || header.len > bytes.size()) return;
      const std::string_view record = bytes.substr(0, header.len);
      const bool named = header.info_type == FAN_EVENT_INFO_TYPE_DFID_NAME;
      if (named || header.info_type == FAN_EVENT_INFO_TYPE_DFID) take_folder(record, mask, named);
      bytes.remove_prefix(header.len);
    }
  }

  void take_folder(std::string_view record, std::uint64_t mask, bool named) {
    constexpr std::size_t kHandleAt = sizeof(fanotify_event_info_header) + sizeof(__kernel_fsid_t);
    file_handle head{};
    if (record.size() < kHandleAt + sizeof head) return;
    Folder folder;
    std::memcpy(folder.file_system.data(), record.data() + sizeof(fanotify_event_info_header),
                sizeof folder.file_system);
    std::memcpy(&head, record.data() + kHandleAt, sizeof head);
    record.remove_prefix(kHandleAt + sizeof head);
    if (head.handle_bytes > record.size()) return;
    folder.type = head.handle_type;
    folder.handle = record.substr(0, head.handle_bytes);
    record.remove_prefix(head.handle_bytes);
    std::string_view name = named ? record.substr(0, record.find('\0')) : std::string_view();
    if (name == ".") name = {};
    const bool deep = (mask & FAN_ONDIR) != 0 && (mask & kOfEntries) != 0;
    bool& is_deep = told_[std::move(folder)][std::string(name)];
    is_deep = is_deep || deep;
  }

  void resolve(const Folder& folder, const std::map<std::string, bool>& names, ChangeNotes& notes) {
    const auto mounts = mounts_.find(folder.file_system);
    if (mounts == mounts_.end()) return;
    alignas(file_handle) std::array<char, sizeof(file_handle) + MAX_HANDLE_SZ> room{};
    if (folder.handle.size() > MAX_HANDLE_SZ) return lose(notes, "a handle is too long");
    auto* const handle = reinterpret_cast<file_handle*>(room.data());
    handle->handle_bytes = static_cast<unsigned>(folder.handle.size());
    handle->handle_type = folder.type;
    std::memcpy(room.data() + sizeof(file_handle), folder.handle.data(), folder.handle.size());
    for (const Descriptor& point : mounts->second) {
      const Descriptor fd(::open_by_handle_at(point.get(), handle, O_PATH | O_CLOEXEC));
      if (!fd) {
        // Gone: the folder above it tells of that.
        if (errno == ESTALE || errno == ENOENT) continue;
        return lose(notes, "a folder cannot be opened by its handle: " +
                               std::string(std::strerror(errno)));  // NOLINT(concurrency-mt-unsafe)
      }
      const auto path = path_of(fd.get());
      if (!path) {
        notes.changes.add_everything("a path longer than the longest changed");
        notes.is_urgent = true;
        return;
      }
      if (path->empty()) continue;
      for (const auto& [name, deep] : names) {
        paths_.note(notes, name.empty() ? *path : join_path(*path, name), deep);
      }
    }
  }

  // None: it is too long. Empty: it is removed, or cannot be reached from its mount point.
  static std::optional<std::string> path_of(int fd) {
    std::array<char, 4096 + 16> room{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = ::readlink(link.c_str(), room.data(), room.size());
    struct stat info {};
    if (length < 0) return std::nullopt;
    if (room[0] != '/' || ::fstat(fd, &info) != 0) return std::string();
    std::string path(room.data(), static_cast<std::size_t>(length));
    if (!path.ends_with(" (deleted)")) return path;
    struct stat there {};
    const bool is_name = ::lstat(path.c_str(), &there) == 0 && there.st_ino == info.st_ino &&
                         there.st_dev == info.st_dev;
    return is_name ? path : std::string();
  }

  WatchedPaths paths_;
  Descriptor fd_;
  std::map<FileSystem, std::vector<Descriptor>> mounts_;
  std::map<Folder, std::map<std::string, bool>> told_;  // Names, and whether deep.
};

}  // namespace

Outcome<std::unique_ptr<Feed>> arm_fanotify(const FeedOptions& options) {
  return FanotifyFeed::arm(options);
}

}  // namespace recover::backup
