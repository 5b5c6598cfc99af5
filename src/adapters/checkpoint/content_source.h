// Where a restore gets the contents of files from. Implemented over the backup engine, in the
// worker's process.
#pragma once

#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

// One thread.
class ContentSource {
 public:
  ContentSource() = default;
  ContentSource(const ContentSource&) = delete;
  ContentSource& operator=(const ContentSource&) = delete;
  virtual ~ContentSource() = default;

  // Corrupt when it is missing or not what was stored.
  virtual Done check(const ports::CheckpointFile& file, const CheckpointLimits& limits) = 0;
  // Whether the open file, read from its start, has that content.
  virtual Result<bool, CheckpointError> is_content(int fd, const ports::CheckpointFile& file,
                                                   const CheckpointLimits& limits) = 0;
  // Writes it to `fd`; Corrupt as above, once something may be written.
  virtual Done copy_to(int fd, const ports::CheckpointFile& file,
                       const CheckpointLimits& limits) = 0;
};

}  // namespace recover::adapters::checkpoint
