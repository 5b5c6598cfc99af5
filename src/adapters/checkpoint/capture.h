// Looks at a service's state paths and puts what is there into the object store.
//
// Follows no link, crosses no mount, skips what is not a folder, a file or a link, and gives up
// beyond its bounds.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"
#include "adapters/checkpoint/object_store.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

inline constexpr std::size_t kFilesMax = 100'000;
inline constexpr std::uint64_t kBytesMax = 4ULL << 30U;
inline constexpr int kDepthMax = 64;

// Names that a restore uses for files it has not finished.
inline constexpr std::string_view kTemporaryPrefix = ".recoverd-restore-";

struct Captured {
  std::vector<ports::CheckpointFile> files;
  std::vector<std::string> not_held;
  std::uint64_t bytes_stored = 0;
};

// Absolute, normal, without a slash at the end, none inside another, in order. Refused for a
// relative path and for "/".
Result<std::vector<std::string>, CheckpointError> normal_paths(
    const std::vector<std::string>& paths);

// REQUIRES: paths are normal. When it returns, every object is durable.
Result<Captured, CheckpointError> capture(const std::vector<std::string>& paths,
                                          const ObjectStore& objects,
                                          const CheckpointLimits& limits);

// "/a/b" -> "/a" and "b". REQUIRES: normal.
std::string folder_of(const std::string& path);
std::string name_of(const std::string& path);
// Whether `path` is `top` or below it.
bool is_within(std::string_view path, std::string_view top);

}  // namespace recover::adapters::checkpoint
