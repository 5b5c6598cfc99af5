// Which files any process has open or mapped, by device and inode, as /proc shows them.
//
// Complete only for root: other users' processes are hidden from everybody else.
#pragma once

#include <sys/types.h>

#include <set>
#include <utility>

namespace recover::adapters::files {

using FileId = std::pair<dev_t, ino_t>;

// One scan of every process. Costs a stat for each open descriptor on the machine. Blocks.
std::set<FileId> open_files();

}  // namespace recover::adapters::files
