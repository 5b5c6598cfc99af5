// Takes away what a folder has and a snapshot has not.
//
// Goes by descriptors, follows no link, enters nothing that is mounted below and leaves what it is
// told to keep, with the folders on the way to it.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "backup/failure.h"

namespace recover::backup {

// Of an entry by its path below the folder ("name", "name/below"): whether it stays, with all
// below.
using Keep = std::function<bool(const std::string& path)>;

// Removes the entry and all below it but what `keep` or a mount keeps. NotFound: it is not there.
// Invalid: it is deeper than kRemovalDepthMax; what was reached before is gone.
Outcome<void> remove_entry(int folder, const std::string& name, const Keep& keep);

// Removes each entry of the open folder that `stays` refuses, as above. What could not be removed,
// as sentences.
std::vector<std::string> remove_others(
    int folder, const std::function<bool(const std::string& name, bool is_folder)>& stays,
    const Keep& keep);

constexpr unsigned kRemovalDepthMax = 500;  // Each level keeps a descriptor open.

}  // namespace recover::backup
