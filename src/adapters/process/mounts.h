// Which files may take for ever to open: those on a network or on somebody's program (FUSE).
//
// The list of mounts is read again when the kernel says it changed. Loop thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "adapters/process/descriptor.h"

namespace recover::adapters::process {

class Mounts {
 public:
  // Judged by the path as it is written; unknown mounts count as slow.
  bool may_hang(std::string_view path);
  // The mount points of that kind in a text like /proc/self/mountinfo, and whether there was any
  // at all.
  static std::vector<std::string> slow_ones(std::string_view mountinfo);

 private:
  void read_again();

  Descriptor changes_;
  std::vector<std::string> slow_;
  bool known_ = false;
};

}  // namespace recover::adapters::process
