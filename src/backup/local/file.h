// System calls on files, retried where they must be and with failures that say what was tried.
#pragma once

#include <dirent.h>
#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "backup/crypto/bytes.h"
#include "backup/failure.h"
#include "posix/descriptor.h"

namespace recover::backup {

using posix::Descriptor;

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};
// A folder while it is listed.
using FolderStream = std::unique_ptr<DIR, CloseFolder>;

// From errno: "opening /a/b: Permission denied".
Unexpected<Failure> system_failure(std::string_view doing, const std::string& path);

// False: errno says why.
bool write_all(int fd, View bytes);
// The same at a place in the file, which does not move.
bool write_all(int fd, std::uint64_t offset, View bytes);
// Until `room` is full or the file ends: the number of bytes, or -1 and errno.
ssize_t read_up_to(int fd, std::span<std::uint8_t> room);
// The same from a place in the file, which does not move.
ssize_t read_up_to(int fd, std::uint64_t offset, std::span<std::uint8_t> room);

}  // namespace recover::backup
