// Brings one file or link back to what the checkpoint holds, by a rename: it is always the old or
// the new one.
#pragma once

#include <optional>
#include <string>

#include "adapters/checkpoint/restore_work.h"

namespace recover::adapters::checkpoint {

// `name` in the open folder `parent`; `now`: what is there.
Done apply_file(RestoreWork& work, int parent, const std::string& name,
                const ports::CheckpointFile& file, const std::optional<struct stat>& now);
Done apply_link(RestoreWork& work, int parent, const std::string& name,
                const ports::CheckpointFile& file, const std::optional<struct stat>& now);

}  // namespace recover::adapters::checkpoint
