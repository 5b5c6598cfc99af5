// Takes away what a folder has and a snapshot has not.
//
// Goes by descriptors, follows no link and enters nothing that is mounted below.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backup/failure.h"

namespace recover::backup {

// Removes the entry and all below it. NotFound: it is not there. Invalid: something is mounted at
// it or below it, or it is deeper than kRemovalDepthMax; what was reached before is gone.
Outcome<void> remove_entry(int folder, const std::string& name);

// Removes each entry of the open folder that `stays` refuses. What could not be removed, as
// sentences.
std::vector<std::string> remove_others(
    int folder, const std::function<bool(const std::string& name, bool is_folder)>& stays);

constexpr unsigned kRemovalDepthMax = 500;  // Each level keeps a descriptor open.

}  // namespace recover::backup
