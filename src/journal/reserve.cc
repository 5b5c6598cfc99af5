#include "journal/reserve.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "journal/file.h"

namespace recover::journal {

void Reserve::ensure() {
  if (held_ || bytes_ == 0) return;
  struct stat existing {};
  if (::stat(path_.c_str(), &existing) == 0 &&
      static_cast<std::uint64_t>(existing.st_blocks) * 512 >= bytes_) {
    held_ = true;
    return;
  }
  const Descriptor file(::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  if (!file) return;
  struct statvfs disk {};
  const bool roomy =
      ::fstatvfs(file.get(), &disk) == 0 &&
      disk.f_bavail >= kFreeFactor * bytes_ / (disk.f_frsize == 0 ? 1 : disk.f_frsize);
  held_ = roomy && ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes_)) == 0;
  if (!held_) ::unlink(path_.c_str());
}

bool Reserve::release() {
  if (!held_) return false;
  held_ = false;
  return ::unlink(path_.c_str()) == 0;
}

}  // namespace recover::journal
