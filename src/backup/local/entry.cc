#include "backup/local/entry.h"

#include <fcntl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

namespace recover::backup {
namespace {

constexpr std::size_t kListBytesMax = 64UL << 10U;   // XATTR_LIST_MAX
constexpr std::size_t kValueBytesMax = 64UL << 10U;  // XATTR_SIZE_MAX
constexpr mode_t kModeBits = 07777;

Timestamp time_of(const timespec& time) {
  return {.seconds = time.tv_sec, .nanoseconds = static_cast<std::uint32_t>(time.tv_nsec)};
}

// There is no *at form of the xattr calls in this kernel's time; the folder's own link in /proc is
// one, and does not race with a renamed parent.
std::string proc_path(int folder, const std::string& name) {
  if (folder == AT_FDCWD) return name;
  return "/proc/self/fd/" + std::to_string(folder) + "/" + name;
}

// `list` and `get` are the system's calls on one entry.
template <class List, class Get>
std::vector<ExtendedAttribute> read_attributes(List&& list, Get&& get) {
  thread_local std::vector<char> names(kListBytesMax);
  thread_local std::vector<char> value(kValueBytesMax);
  std::vector<ExtendedAttribute> attributes;
  const ssize_t size = list(names.data(), names.size());
  for (ssize_t at = 0; at < size;) {
    const std::string key(names.data() + at);
    at += static_cast<ssize_t>(key.size()) + 1;
    const ssize_t length = get(key.c_str(), value.data(), value.size());
    if (length >= 0) {
      attributes.push_back(
          {.name = key, .value = std::string(value.data(), static_cast<std::size_t>(length))});
    }
  }
  return attributes;
}

std::vector<ExtendedAttribute> attributes_of(int folder, const std::string& name) {
  const std::string path = proc_path(folder, name);
  return read_attributes(
      [&](char* room, std::size_t size) { return ::llistxattr(path.c_str(), room, size); },
      [&](const char* key, char* room, std::size_t size) {
        return ::lgetxattr(path.c_str(), key, room, size);
      });
}

std::vector<ExtendedAttribute> attributes_of_open(int fd) {
  return read_attributes([&](char* room, std::size_t size) { return ::flistxattr(fd, room, size); },
                         [&](const char* key, char* room, std::size_t size) {
                           return ::fgetxattr(fd, key, room, size);
                         });
}

Outcome<std::string> target_of(int folder, const std::string& name) {
  std::array<char, 4096 + 1> target{};  // PATH_MAX
  const ssize_t length = ::readlinkat(folder, name.c_str(), target.data(), target.size());
  if (length < 0) return system_failure("reading link", name);
  return std::string(target.data(), static_cast<std::size_t>(length));
}

}  // namespace

NodeType type_of(mode_t mode) {
  if (S_ISREG(mode)) return NodeType::File;
  if (S_ISDIR(mode)) return NodeType::Folder;
  if (S_ISLNK(mode)) return NodeType::Symlink;
  if (S_ISBLK(mode)) return NodeType::BlockDevice;
  if (S_ISCHR(mode)) return NodeType::CharDevice;
  if (S_ISFIFO(mode)) return NodeType::Fifo;
  return NodeType::Other;
}

Outcome<struct stat> look_at(int folder, const std::string& name) {
  struct stat info {};
  if (::fstatat(folder, name.c_str(), &info, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT) != 0) {
    return system_failure("looking at", name);
  }
  return info;
}

namespace {

// What every kind of entry has.
Node frame_of(const std::string& name, const struct stat& info, OwnerNames& owners) {
  Node node{.name = name, .type = type_of(info.st_mode), .mode = info.st_mode & kModeBits};
  node.mtime = time_of(info.st_mtim);
  node.atime = node.mtime;  // As restic without --with-atime: reading must not change the tree.
  node.ctime = time_of(info.st_ctim);
  node.uid = info.st_uid;
  node.gid = info.st_gid;
  node.user = owners.user(info.st_uid);
  node.group = owners.group(info.st_gid);
  node.inode = info.st_ino;
  node.device_id = info.st_dev;
  const bool counts_links = node.type != NodeType::Folder && node.type != NodeType::Fifo;
  if (counts_links) node.links = info.st_nlink;
  if (node.type == NodeType::File) node.size = static_cast<std::uint64_t>(info.st_size);
  return node;
}

}  // namespace

Node node_of_open(int fd, const std::string& name, const struct stat& info, OwnerNames& owners) {
  Node node = frame_of(name, info, owners);
  node.attributes = attributes_of_open(fd);
  return node;
}

Outcome<Node> node_of(int folder, const std::string& name, const struct stat& info,
                      OwnerNames& owners) {
  Node node = frame_of(name, info, owners);
  if (node.type == NodeType::BlockDevice || node.type == NodeType::CharDevice) {
    node.device = info.st_rdev;
  }
  if (node.type == NodeType::Symlink) {
    auto target = target_of(folder, name);
    if (!target) return Unexpected(std::move(target.error()));
    node.link_target = std::move(*target);
  }
  node.attributes = attributes_of(folder, name);
  return node;
}

bool is_unchanged(const Node& before, const struct stat& info) {
  return before.type == NodeType::File && S_ISREG(info.st_mode) &&
         before.size == static_cast<std::uint64_t>(info.st_size) &&
         before.mtime == time_of(info.st_mtim) && before.ctime == time_of(info.st_ctim) &&
         before.inode == info.st_ino;
}

}  // namespace recover::backup
