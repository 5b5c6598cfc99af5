// Which mount a file lies in: folders that are mounted a second time (bind mounts) share their
// st_dev with the rest of the file system, but not this.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>

#include "backup/failure.h"

namespace recover::backup {

struct Mount {
  dev_t device = 0;
  std::uint64_t id = 0;  // 0: the system does not tell.

  friend bool operator==(const Mount&, const Mount&) = default;
};

Outcome<Mount> mount_of(int fd);
// Of an entry of the open folder; no link is followed.
Outcome<Mount> mount_of(int folder, const std::string& name);

}  // namespace recover::backup
