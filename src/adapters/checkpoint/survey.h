// A look at a service's state paths: what is there, without its contents, and what a checkpoint
// leaves out.
//
// Follows no link, crosses no mount, and gives up beyond its bounds. Two surveys with the same
// fingerprint saw the same state: names, kinds, sizes, owners, modes, inodes and times of change.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

inline constexpr std::size_t kFilesMax = 100'000;
inline constexpr std::uint64_t kBytesMax = 4ULL << 30U;
inline constexpr int kDepthMax = 64;

// Names that a restore uses for files it has not finished.
inline constexpr std::string_view kTemporaryPrefix = ".recoverd-restore-";

struct Survey {
  std::string fingerprint;
  std::int64_t newest_ns = 0;         // When something last changed (ctime).
  std::vector<std::string> present;   // Of the paths.
  std::vector<std::string> absent;    // The others.
  std::vector<std::string> not_held;  // Sockets, devices, other file systems, the store itself.
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;
  bool has_strays = false;  // What a restore that was broken off left.
};

// Absolute, normal, without a slash at the end, none inside another, in order. Refused for a
// relative path and for "/".
Result<std::vector<std::string>, CheckpointError> normal_paths(
    const std::vector<std::string>& paths);

// REQUIRES: paths are normal. `store`: the folder of the checkpoints, which is none of the state.
Result<Survey, CheckpointError> survey(const std::vector<std::string>& paths,
                                       const std::string& store, const CheckpointLimits& limits);

// "/a/b" -> "/a" and "b". REQUIRES: normal.
std::string folder_of(const std::string& path);
std::string name_of(const std::string& path);
// Whether `path` is `top` or below it.
bool is_within(std::string_view path, std::string_view top);

}  // namespace recover::adapters::checkpoint
