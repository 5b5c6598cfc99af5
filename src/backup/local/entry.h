// One entry of a folder as the file system has it: its metadata as a node, everything but content.
#pragma once

#include <sys/stat.h>

#include <string>

#include "backup/failure.h"
#include "backup/format/node.h"
#include "backup/local/owner_names.h"

namespace recover::backup {

// A file descriptor that closes itself.
class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  Descriptor& operator=(Descriptor&& other) noexcept;
  ~Descriptor();

  int get() const noexcept { return fd_; }
  explicit operator bool() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// lstat of `name` in the open folder. NotFound when it vanished.
Outcome<struct stat> look_at(int folder, const std::string& name);
Outcome<Node> node_of(int folder, const std::string& name, const struct stat& info,
                      OwnerNames& owners);
NodeType type_of(mode_t mode);

// Whether the file is as it was when `before` was written: type, size, mtime, ctime and inode, as
// restic compares.
bool is_unchanged(const Node& before, const struct stat& info);

// From errno: "opening /a/b: Permission denied".
Unexpected<Failure> system_failure(std::string_view doing, const std::string& path);

}  // namespace recover::backup
