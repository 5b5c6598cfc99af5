// Makes the names in a folder durable.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <string>

#include "posix/descriptor.h"

namespace recover::posix {

// False: errno says why. A link is followed.
inline bool sync_folder(const std::string& folder) {
  const Descriptor open(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return open && ::fsync(open.get()) == 0;
}

}  // namespace recover::posix
