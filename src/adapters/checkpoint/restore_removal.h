// Takes away what a checkpoint does not hold. Files, links, and folders of the same file system
// with what is in them; all else is left and told. Nothing outside the covered paths.
#pragma once

#include <sys/types.h>

#include <string>

#include "adapters/checkpoint/restore_work.h"

namespace recover::adapters::checkpoint {

// Below every covered folder.
Done remove_all(RestoreWork& work);
// One name, of the file `path`, in the open folder `parent` if it is on `device`.
Done remove_name(RestoreWork& work, int parent, const std::string& name, const std::string& path,
                 dev_t device);

}  // namespace recover::adapters::checkpoint
