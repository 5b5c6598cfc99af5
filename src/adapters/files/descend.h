// The way from a root down to a file: one name at a time, never through a link, never through "..".
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "adapters/files/sweep.h"
#include "posix/descriptor.h"

namespace recover::adapters::files {

// The folder `path` below `from`; with `device`, only on that file system. Empty: there is no way.
posix::Descriptor descend(posix::Descriptor from, std::string_view path, const dev_t* device);
// `root` is absolute and resolved.
posix::Descriptor open_root(const std::string& root);

struct FileName {
  posix::Descriptor folder;
  std::string name;  // In it.
};
// Where the candidate is, and what it is now, written to since or not; no folder: it is not the
// file that was found.
FileName open_candidate(const Candidate& candidate, struct stat& file);

}  // namespace recover::adapters::files
