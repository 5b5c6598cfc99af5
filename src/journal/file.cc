#include "journal/file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>
#include <utility>

#include "posix/sync_folder.h"

namespace recover::journal {

using ports::JournalError;
using ports::JournalFault;

JournalError system_error(std::string_view doing, const std::string& path) {
  const int code = errno;
  JournalFault fault = JournalFault::Io;
  if (code == ENOSPC || code == EDQUOT) fault = JournalFault::Full;
  if (code == EROFS || code == EACCES || code == EPERM) fault = JournalFault::ReadOnly;
  return {.message = "journal: " + std::string(doing) + " " + path + ": " +
                     std::generic_category().message(code),
          .fault = fault};
}

std::string beside(const std::string& path, std::string_view extension) {
  return std::filesystem::path(path).replace_extension(extension).string();
}

Result<void, JournalError> sync_folder(const std::string& path) {
  std::string folder = std::filesystem::path(path).parent_path().string();
  if (folder.empty()) folder = ".";
  if (!posix::sync_folder(folder)) return Unexpected(system_error("fsync", folder));
  return {};
}

Result<Descriptor, JournalError> lock_file(const std::string& path) {
  Descriptor descriptor(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!descriptor) return Unexpected(system_error("open", path));
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  if (::fcntl(descriptor.get(), F_SETLK, &lock) == 0) return descriptor;
  JournalError error = system_error("lock", path);
  if (errno == EAGAIN || errno == EACCES) {
    error.fault = JournalFault::Locked;
    error.message += " (another recoverd writes this journal)";
  }
  return Unexpected(std::move(error));
}

}  // namespace recover::journal
