// Versions of the configuration: each change of its files is a snapshot beside the checkpoints.
#pragma once

#include <string>
#include <vector>

#include <recover/result.h>

#include "ports/checkpoint_store.h"

namespace recover::apps {

inline constexpr std::uint32_t kVersionsMax = 100;  // Kept.

// What the store calls the versions of an environment.
std::string history_name(const std::string& environment);

// Keeps the files as they are, unless the newest version is just that; blocks. What is no file (the
// playbooks that are built in) is not kept. Error: why not.
Result<void, std::string> keep_configuration(ports::CheckpointStore& store,
                                             const std::vector<std::string>& paths,
                                             const std::string& environment);

}  // namespace recover::apps
