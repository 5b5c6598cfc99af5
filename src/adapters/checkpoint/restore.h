// Brings a service's paths back to what a checkpoint holds.
//
// Every file is replaced by a rename, so each is always the old or the new one. A folder is entered
// one name at a time and never through a symbolic link: a link where the checkpoint has a folder is
// itself replaced. Only names below the covered paths are created or removed. Running it again
// after an interruption ends in the same place.
#pragma once

#include <recover/result.h>

#include "adapters/checkpoint/content_source.h"
#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

// Checks every object it needs before it changes anything.
Result<ports::RestoreReport, CheckpointError> restore(const ports::CheckpointContents& contents,
                                                      ContentSource& objects,
                                                      const ports::RestoreRequest& request);

}  // namespace recover::adapters::checkpoint
