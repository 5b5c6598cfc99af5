#include "backup/store/local_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <memory>

#include "backup/local/file.h"
#include "backup/store/layout.h"

namespace recover::backup {
namespace {

constexpr const char* kReserveName = "recoverd-reserve";

// restic's: what the owner alone may read, and also the group where the config says so.
struct Modes {
  mode_t folder = 0700;
  mode_t file = 0400;
};

Modes modes_of(const std::string& repository) {
  struct stat config {};
  const std::string path = repository + "/config";
  const bool shared = ::stat(path.c_str(), &config) == 0 && (config.st_mode & S_IRGRP) != 0;
  return shared ? Modes{.folder = 0750, .file = 0440} : Modes{};
}

// The mode is given twice: a umask takes from the first.
Outcome<void> make_folder(const std::string& path, mode_t mode) {
  if (::mkdir(path.c_str(), mode) == 0 && ::chmod(path.c_str(), mode) == 0) return {};
  if (errno == EEXIST) return {};
  return system_failure("making", path);
}

struct OpenFile {
  Descriptor file;
  std::uint64_t bytes = 0;
};

// A regular file of at most `bytes_most`. What is not one is neither waited for nor read.
Outcome<OpenFile> open_file(const std::string& path, std::uint64_t bytes_most) {
  OpenFile opened{.file = Descriptor(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK))};
  struct stat info {};
  if (!opened.file || ::fstat(opened.file.get(), &info) != 0) {
    return system_failure("reading", path);
  }
  opened.bytes = static_cast<std::uint64_t>(info.st_size);
  if (!S_ISREG(info.st_mode))
    return fail(FailureKind::Damaged, "reading " + path + ": it is no file");
  if (opened.bytes > bytes_most) {
    return fail(FailureKind::Damaged, "reading " + path + ": larger than such a file may be");
  }
  return opened;
}

// The last is ZFS, which the kernel does not name.
constexpr std::array<long, 7> kLocalFileSystems = {
    EXT4_SUPER_MAGIC,      BTRFS_SUPER_MAGIC, TMPFS_MAGIC, F2FS_SUPER_MAGIC,
    OVERLAYFS_SUPER_MAGIC, XFS_SUPER_MAGIC,   0x2fc12fc1};

// A lock that a power cut takes is one less to remove.
bool must_last(const FileName& name) {
  return name.kind != FileKind::Lock;
}

// Not every file system can: those that say so keep their names safe in another way.
bool sync(int fd) {
  return ::fsync(fd) == 0 || errno == ENOTSUP || errno == EINVAL;
}

Outcome<void> sync_folder(const std::string& path) {
  const Descriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder || !sync(folder.get())) return system_failure("syncing", path);
  return {};
}

// Whether what was written is safe with the kernel: some file systems tell only now.
bool close(Descriptor& file) {
  return ::close(file.release()) == 0;
}

// Gives the file its name unless there is one already. Where hard links are not to be had, the
// check comes first and a racing writer of the same name, so of the same bytes, is replaced.
bool give_name(const std::string& temporary, const std::string& path) {
  if (::link(temporary.c_str(), path.c_str()) == 0) return ::unlink(temporary.c_str()) == 0;
  if (errno != EPERM && errno != ENOTSUP) return false;
  if (::access(path.c_str(), F_OK) == 0) {
    errno = EEXIST;
    return false;
  }
  return ::rename(temporary.c_str(), path.c_str()) == 0;
}

// Distinct among all writers of this process and, by its id, of this machine.
std::string temporary_name(const std::string& path) {
  static std::atomic<std::uint64_t> counter{0};
  return path + "-tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

// Written under its temporary name; the disk has begun with it.
class LocalStagedFile final : public StagedFile {
 public:
  // `folder`: to be synced with it; empty: it need not last.
  LocalStagedFile(Descriptor file, std::string temporary, std::string path, std::string folder)
      : file_(std::move(file)),
        temporary_(std::move(temporary)),
        path_(std::move(path)),
        folder_(std::move(folder)) {
    if (!folder_.empty()) (void)::sync_file_range(file_.get(), 0, 0, SYNC_FILE_RANGE_WRITE);
  }
  ~LocalStagedFile() override {
    if (!temporary_.empty()) ::unlink(temporary_.c_str());
  }

  Outcome<void> finish() override {
    const bool durable = !folder_.empty();
    if ((durable && !sync(file_.get())) || !close(file_) || !give_name(temporary_, path_)) {
      return system_failure("writing", path_);
    }
    temporary_.clear();
    return durable ? sync_folder(folder_) : Outcome<void>();
  }

 private:
  Descriptor file_;
  std::string temporary_;  // Empty: it has its name.
  std::string path_;
  std::string folder_;
};

// Adds the files of one folder whose names are IDs. A folder that is not there has none.
Outcome<void> list_folder(const std::string& path, std::vector<StoredFile>& files) {
  const FolderStream folder(::opendir(path.c_str()));
  if (!folder) {
    if (errno == ENOENT) return {};
    return system_failure("listing", path);
  }
  errno = 0;
  // The stream is this function's own; readdir_r is deprecated.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* const entry = ::readdir(folder.get())) {
    const auto id = parse_digest(entry->d_name);
    struct stat info {};
    const bool there = id && ::fstatat(::dirfd(folder.get()), entry->d_name, &info, 0) == 0;
    // Removed meanwhile is none; what is only not to be seen now must not count as missing.
    if (id && !there && errno != ENOENT) return system_failure("listing", path);
    if (there && S_ISREG(info.st_mode)) {
      // Unlike mtime, ctime cannot be set to what one likes.
      files.push_back({.id = *id,
                       .bytes = static_cast<std::uint64_t>(info.st_size),
                       .written = info.st_ctim.tv_sec});
    }
    errno = 0;
  }
  if (errno != 0) return system_failure("listing", path);
  return {};
}

}  // namespace

std::string LocalStore::folder_of(const FileName& name) const {
  const std::string path = path_of(name);
  return path.substr(0, path.rfind('/'));
}

std::string LocalStore::path_of(const FileName& name) const {
  return folder_ + "/" + relative_path(name);
}

Outcome<void> LocalStore::prepare() {
  const mode_t mode = modes_of(folder_).folder;
  if (auto made = make_folder(folder_, mode); !made) return made;
  for (const std::string& folder : all_folders()) {
    if (auto made = make_folder(folder_ + "/" + folder, mode); !made) return made;
  }
  if (auto synced = sync_folder(folder_ + "/data"); !synced) return synced;
  return sync_folder(folder_);
}

Outcome<Bytes> LocalStore::read(const FileName& name) {
  const std::string path = path_of(name);
  const auto opened = open_file(path, bytes_max(name.kind));
  if (!opened) return Unexpected(opened.error());
  Bytes bytes(static_cast<std::size_t>(opened->bytes));
  const ssize_t got = read_up_to(opened->file.get(), 0, bytes);
  if (got < 0) return system_failure("reading", path);
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

Outcome<Bytes> LocalStore::read_part(const FileName& name, std::uint64_t offset,
                                     std::uint64_t length) {
  const std::string path = path_of(name);
  const auto opened = open_file(path, std::numeric_limits<std::uint64_t>::max());
  if (!opened) return Unexpected(opened.error());
  const auto too_short = [&] {
    return fail(FailureKind::Damaged, "reading " + path + ": " + std::to_string(length) +
                                          " bytes from " + std::to_string(offset) +
                                          " are more than it has");
  };
  // Before there is room for them: a length may be anything that a damaged index says.
  if (offset > opened->bytes || length > opened->bytes - offset) return too_short();
  Bytes bytes(static_cast<std::size_t>(length));
  const ssize_t got = read_up_to(opened->file.get(), offset, bytes);
  if (got < 0) return system_failure("reading", path);
  if (static_cast<std::uint64_t>(got) != length) return too_short();
  return bytes;
}

std::shared_ptr<const posix::Descriptor> LocalStore::opened(const FileName& name) {
  {
    const std::lock_guard lock(kept_mutex_);
    for (const KeptOpen& one : kept_) {
      if (one.file && one.name == name) return one.file;
    }
  }
  auto opened = open_file(path_of(name), std::numeric_limits<std::uint64_t>::max());
  if (!opened) return nullptr;
  auto file = std::make_shared<const posix::Descriptor>(std::move(opened->file));
  const std::lock_guard lock(kept_mutex_);
  kept_[next_kept_++ % kKeptOpen] = {.name = name, .file = file};
  return file;
}

bool LocalStore::read_in_place(const FileName& name, std::uint64_t offset,
                               std::span<std::uint8_t> room) {
  if (name.kind != FileKind::Pack) return false;
  const auto file = opened(name);
  return file && read_up_to(file->get(), offset, room) == static_cast<ssize_t>(room.size());
}

Outcome<std::uint64_t> LocalStore::size(const FileName& name) {
  const std::string path = path_of(name);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return system_failure("looking at", path);
  if (!S_ISREG(info.st_mode)) return fail(FailureKind::Damaged, path + ": it is no file");
  return static_cast<std::uint64_t>(info.st_size);
}

Outcome<void> LocalStore::write(const FileName& name, View bytes) {
  auto staged = stage(name, bytes);
  if (!staged) return Unexpected(std::move(staged.error()));
  return (*staged)->finish();
}

Outcome<void> LocalStore::write_long(const FileName& name, const Pieces& bytes) {
  auto staged = stage_pieces(name, bytes);
  if (!staged) return Unexpected(std::move(staged.error()));
  return (*staged)->finish();
}

Outcome<std::unique_ptr<StagedFile>> LocalStore::stage(const FileName& name, View bytes) {
  return stage_pieces(
      name, {.size = bytes.size(), .each = [bytes](const auto& use) { return use(bytes); }});
}

Outcome<std::unique_ptr<StagedFile>> LocalStore::stage_pieces(const FileName& name,
                                                              const Pieces& bytes) {
  const std::string path = path_of(name);
  const std::string temporary = temporary_name(path);
  const Modes modes = modes_of(folder_);
  const auto open = [&] {
    return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, modes.file);
  };
  int fd = open();
  if (fd < 0 && errno == ENOENT) {
    if (auto made = make_missing_folder(name, modes.folder); !made) {
      return Unexpected(std::move(made.error()));
    }
    fd = open();
  }
  Descriptor file(fd);
  if (!file) return system_failure("creating", temporary);
  // Not every file system has modes.
  (void)::fchmod(file.get(), modes.file);
  errno = EIO;  // Where what is to be written cannot be read.
  const bool whole = bytes.each([&](View piece) { return write_all(file.get(), piece); });
  const int code = errno;
  auto staged = std::make_unique<LocalStagedFile>(
      std::move(file), temporary, path, must_last(name) ? folder_of(name) : std::string());
  errno = code;
  if (!whole) return system_failure("writing", path);
  return std::unique_ptr<StagedFile>(std::move(staged));
}

// One of the 256, say, that somebody removed as empty. Not a repository's own folder: what is not
// mounted is not made anew.
Outcome<void> LocalStore::make_missing_folder(const FileName& name, mode_t mode) const {
  const std::string folder = folder_of(name);
  if (auto made = make_folder(folder, mode); !made) return made;
  return sync_folder(std::filesystem::path(folder).parent_path().string());
}

Outcome<void> LocalStore::remove(const FileName& name) {
  if (name.kind == FileKind::Pack) {
    // Its room on the disk is wanted back.
    const std::lock_guard lock(kept_mutex_);
    for (KeptOpen& one : kept_) {
      if (one.name == name) one = {};
    }
  }
  const std::string path = path_of(name);
  if (::unlink(path.c_str()) != 0) return system_failure("removing", path);
  return must_last(name) ? sync_folder(folder_of(name)) : Outcome<void>();
}

bool LocalStore::shows_at_once() const {
  struct statfs info {};
  return ::statfs(folder_.c_str(), &info) == 0 &&
         std::find(kLocalFileSystems.begin(), kLocalFileSystems.end(), info.f_type) !=
             kLocalFileSystems.end();
}

Outcome<void> LocalStore::sweep() {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (is_temporary(name)) fs::remove(at->path(), error);
  }
  if (error) return fail(FailureKind::Io, "sweeping " + folder_ + ": " + error.message());
  return {};
}

Outcome<std::vector<StoredFile>> LocalStore::list(FileKind kind) {
  std::vector<StoredFile> files;
  for (const std::string& folder : folders_of(kind)) {
    if (auto listed = list_folder(folder_ + "/" + folder, files); !listed) {
      return Unexpected(listed.error());
    }
  }
  return files;
}

void LocalStore::keep_reserve() {
  constexpr off_t kReserveBytes = off_t{8} << 20U;
  constexpr std::uint64_t kPlenty = 10;  // Times as much has to be free.
  struct statvfs disk {};
  const bool plenty = ::statvfs(folder_.c_str(), &disk) == 0 &&
                      disk.f_bavail * disk.f_frsize > kPlenty * kReserveBytes;
  const std::string path = folder_ + "/" + kReserveName;
  struct stat info {};
  if (!plenty || (::lstat(path.c_str(), &info) == 0 && info.st_size >= kReserveBytes)) return;
  const Descriptor file(
      ::open(path.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, S_IRUSR | S_IWUSR));
  if (!file || ::posix_fallocate(file.get(), 0, kReserveBytes) != 0) ::unlink(path.c_str());
}

void LocalStore::free_reserve() {
  ::unlink((folder_ + "/" + kReserveName).c_str());
}

}  // namespace recover::backup
