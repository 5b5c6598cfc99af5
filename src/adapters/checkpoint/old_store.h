// What a recoverd before 0.2 kept of checkpoints: a manifest each, and the contents of files by
// their SHA-256. Read once, to be taken over.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

// Corrupt for what is no manifest of that form; NotFound: it is a record of today.
Result<ports::CheckpointContents, CheckpointError> decode_manifest(std::string_view text,
                                                                   const std::string& path);

// Makes what the checkpoint holds anew below `folder`, which is empty: /etc/x as folder/etc/x.
// Corrupt when an object of it is damaged or missing.
Done lay_out(const ports::CheckpointContents& contents, const std::string& root,
             const std::string& folder);

}  // namespace recover::adapters::checkpoint
