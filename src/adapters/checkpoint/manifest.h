// A checkpoint as one file: JSON, then a line `sha256:` with the digest of that JSON.
//
// Refuses a file whose digest does not fit, and a content that does not give the id it is named by.
#pragma once

#include <string>
#include <string_view>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

// 32 digits from what makes the state: service, paths, and each file's kind, mode, owner, target
// and content. Neither times nor facts: they do not make another state.
std::string id_of(const ports::CheckpointContents& contents);

std::string encode(const ports::CheckpointContents& contents);
// Corrupt, naming `path`, for anything encode() did not write. Leaves info.names empty.
Result<ports::CheckpointContents, CheckpointError> decode(std::string_view text,
                                                          const std::string& path);

}  // namespace recover::adapters::checkpoint
