// Which packs a check reads when it does not read all. For checker.cc only.
#pragma once

#include <vector>

#include "backup/check/checker.h"

namespace recover::backup {

// Numbers of the list: see CheckOptions.
std::vector<std::size_t> packs_to_read(const PackList& packs, const CheckOptions& options);

}  // namespace recover::backup
