#include "backup/local/file.h"

#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace recover::backup {
namespace {

FailureKind kind_of(int code) {
  switch (code) {
    case ENOENT: return FailureKind::NotFound;
    case EEXIST: return FailureKind::Exists;
    case EACCES:
    case EPERM:
    case EROFS: return FailureKind::NotPermitted;
    case ENOSPC:
    case EDQUOT: return FailureKind::Full;
    default: return FailureKind::Io;
  }
}

// `read` takes what is left of the room and how much is there already.
template <class Read>
ssize_t fill(std::span<std::uint8_t> room, Read&& read) {
  std::size_t done = 0;
  while (done < room.size()) {
    const ssize_t got = read(room.subspan(done), done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace

Unexpected<Failure> system_failure(std::string_view doing, const std::string& path) {
  const int code = errno;
  auto failure = fail(kind_of(code), std::string(doing) + " " + path + ": " +
                                         std::generic_category().message(code));
  failure.error().code = code;
  return failure;
}

bool write_all(int fd, View bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return true;
}

bool write_all(int fd, std::uint64_t offset, View bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes = bytes.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return true;
}

ssize_t read_up_to(int fd, std::span<std::uint8_t> room) {
  return fill(room, [&](std::span<std::uint8_t> rest, std::size_t) {
    return ::read(fd, rest.data(), rest.size());
  });
}

ssize_t read_up_to(int fd, std::uint64_t offset, std::span<std::uint8_t> room) {
  return fill(room, [&](std::span<std::uint8_t> rest, std::size_t done) {
    return ::pread(fd, rest.data(), rest.size(), static_cast<off_t>(offset + done));
  });
}

}  // namespace recover::backup
