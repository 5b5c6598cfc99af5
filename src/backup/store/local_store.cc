#include "backup/store/local_store.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <memory>

#include "backup/local/file.h"

namespace recover::backup {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kFileMode = 0400;

Outcome<void> make_folder(const std::string& path) {
  if (::mkdir(path.c_str(), kFolderMode) == 0 || errno == EEXIST) return {};
  return system_failure("making", path);
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
    if (id && ::fstatat(::dirfd(folder.get()), entry->d_name, &info, 0) == 0) {
      files.push_back({.id = *id, .bytes = static_cast<std::uint64_t>(info.st_size)});
    }
    errno = 0;
  }
  if (errno != 0) return system_failure("listing", path);
  return {};
}

std::string two_digits(unsigned value) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  return {kDigits[value >> 4U], kDigits[value & 15U]};
}

std::string_view folder_name(FileKind kind) {
  switch (kind) {
    case FileKind::Config: return "";
    case FileKind::Key: return "/keys";
    case FileKind::Lock: return "/locks";
    case FileKind::Index: return "/index";
    case FileKind::Snapshot: return "/snapshots";
    case FileKind::Pack: return "/data";
  }
  return "";
}

}  // namespace

std::string LocalStore::folder_of(const FileName& name) const {
  std::string path = folder_ + std::string(folder_name(name.kind));
  if (name.kind == FileKind::Pack) path += "/" + two_digits(name.id.bytes[0]);
  return path;
}

std::string LocalStore::path_of(const FileName& name) const {
  return folder_of(name) + "/" + (name.kind == FileKind::Config ? "config" : hex(name.id));
}

Outcome<void> LocalStore::prepare() {
  if (auto made = make_folder(folder_); !made) return made;
  for (const FileKind kind :
       {FileKind::Key, FileKind::Lock, FileKind::Index, FileKind::Snapshot, FileKind::Pack}) {
    if (auto made = make_folder(folder_ + std::string(folder_name(kind))); !made) return made;
  }
  for (unsigned first = 0; first < 256; ++first) {
    if (auto made = make_folder(folder_ + "/data/" + two_digits(first)); !made) return made;
  }
  return sync_folder(folder_);
}

Outcome<Bytes> LocalStore::read(const FileName& name) {
  const std::string path = path_of(name);
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat info {};
  if (!file || ::fstat(file.get(), &info) != 0) return system_failure("reading", path);
  Bytes bytes(static_cast<std::size_t>(info.st_size));
  const ssize_t got = read_up_to(file.get(), 0, bytes);
  if (got < 0) return system_failure("reading", path);
  bytes.resize(static_cast<std::size_t>(got));
  return bytes;
}

Outcome<Bytes> LocalStore::read_part(const FileName& name, std::uint64_t offset,
                                     std::uint64_t length) {
  const std::string path = path_of(name);
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return system_failure("reading", path);
  Bytes bytes(static_cast<std::size_t>(length));
  const ssize_t got = read_up_to(file.get(), offset, bytes);
  if (got < 0) return system_failure("reading", path);
  if (static_cast<std::uint64_t>(got) != length) {
    return fail(FailureKind::Damaged,
                "reading " + path + ": it ends before byte " + std::to_string(offset + length));
  }
  return bytes;
}

Outcome<std::uint64_t> LocalStore::size(const FileName& name) {
  const std::string path = path_of(name);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return system_failure("looking at", path);
  return static_cast<std::uint64_t>(info.st_size);
}

Outcome<void> LocalStore::write(const FileName& name, View bytes) {
  const std::string path = path_of(name);
  const std::string temporary = temporary_name(path);
  const auto open = [&] {
    return ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, kFileMode);
  };
  int fd = open();
  if (fd < 0 && errno == ENOENT) {
    if (auto made = make_folder(folder_of(name)); !made) return made;
    fd = open();
  }
  Descriptor file(fd);
  if (!file) return system_failure("creating", temporary);
  if (!write_all(file.get(), bytes) || !sync(file.get()) || !close(file) ||
      !give_name(temporary, path)) {
    const auto failure = system_failure("writing", path);
    ::unlink(temporary.c_str());
    return failure;
  }
  return sync_folder(folder_of(name));
}

Outcome<void> LocalStore::remove(const FileName& name) {
  const std::string path = path_of(name);
  if (::unlink(path.c_str()) != 0) return system_failure("removing", path);
  return sync_folder(folder_of(name));
}

Outcome<void> LocalStore::sweep() {
  namespace fs = std::filesystem;
  std::error_code error;
  for (fs::recursive_directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    const std::string name = at->path().filename().string();
    const bool temporary = name.size() > 2 * kDigestBytes &&
                           parse_digest(name.substr(0, 2 * kDigestBytes)) &&
                           std::string_view(name).substr(2 * kDigestBytes).starts_with("-tmp-");
    if (temporary) fs::remove(at->path(), error);
  }
  if (error) return fail(FailureKind::Io, "sweeping " + folder_ + ": " + error.message());
  return {};
}

Outcome<std::vector<StoredFile>> LocalStore::list(FileKind kind) {
  std::vector<StoredFile> files;
  const std::string root = folder_ + std::string(folder_name(kind));
  if (kind != FileKind::Pack) {
    if (auto listed = list_folder(root, files); !listed) return Unexpected(listed.error());
    return files;
  }
  for (unsigned first = 0; first < 256; ++first) {
    if (auto listed = list_folder(root + "/" + two_digits(first), files); !listed) {
      return Unexpected(listed.error());
    }
  }
  return files;
}

}  // namespace recover::backup
