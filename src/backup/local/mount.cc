#include "backup/local/mount.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <fstream>

#include "backup/local/file.h"

namespace recover::backup {
namespace {

// As kernels before 5.8 tell it.
std::uint64_t id_in_proc(int fd) {
  constexpr std::string_view kKey = "mnt_id:";
  std::ifstream file("/proc/self/fdinfo/" + std::to_string(fd));
  std::string line;
  while (std::getline(file, line)) {
    if (line.starts_with(kKey)) return std::strtoull(line.c_str() + kKey.size(), nullptr, 10);
  }
  return 0;
}

Outcome<Mount> mount_at(int folder, const char* name, int flags) {
  struct statx info {};
  if (::statx(folder, name, flags | AT_NO_AUTOMOUNT, STATX_TYPE | STATX_MNT_ID, &info) != 0) {
    return system_failure("looking at", name);
  }
  Mount mount{.device = ::makedev(info.stx_dev_major, info.stx_dev_minor)};
  if ((info.stx_mask & STATX_MNT_ID) != 0) {
    mount.id = info.stx_mnt_id;
  } else if (*name == '\0') {
    mount.id = id_in_proc(folder);
  } else {
    const Descriptor file(::openat(folder, name, O_PATH | O_NOFOLLOW | O_CLOEXEC));
    if (file) mount.id = id_in_proc(file.get());
  }
  return mount;
}

}  // namespace

Outcome<Mount> mount_of(int fd) {
  return mount_at(fd, "", AT_EMPTY_PATH);
}

Outcome<Mount> mount_of(int folder, const std::string& name) {
  return mount_at(folder, name.c_str(), AT_SYMLINK_NOFOLLOW);
}

}  // namespace recover::backup
