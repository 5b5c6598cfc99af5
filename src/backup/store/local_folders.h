// Where on this machine a repository lies: what a restore there must leave alone.
#pragma once

#include <string>
#include <vector>

#include "backup/store/store.h"

namespace recover::backup {

// The folders of a store, or of each member of a mirror, absolute: as they are named and without
// links. None of a remote one.
std::vector<std::string> local_folders(const Store& store);

}  // namespace recover::backup
