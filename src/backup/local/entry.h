// One entry of a folder as the file system has it: its metadata as a node, everything but content.
#pragma once

#include <sys/stat.h>

#include <string>

#include "backup/failure.h"
#include "backup/format/node.h"
#include "backup/local/file.h"
#include "backup/local/owner_names.h"

namespace recover::backup {

// lstat of `name` in the open folder. NotFound when it vanished.
Outcome<struct stat> look_at(int folder, const std::string& name);
Outcome<Node> node_of(int folder, const std::string& name, const struct stat& info,
                      OwnerNames& owners);
// The same of an open regular file: cheaper.
Node node_of_open(int fd, const std::string& name, const struct stat& info, OwnerNames& owners);
NodeType type_of(mode_t mode);

// Whether the file is as it was when `before` was written: type, size, mtime, ctime and inode, as
// restic compares.
bool is_unchanged(const Node& before, const struct stat& info);

}  // namespace recover::backup
