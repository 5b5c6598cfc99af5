// How much memory processes and all they started take, by what the kernel tells of each.
//
// Resident pages: what several processes share counts for each, so it errs upwards. Any thread;
// reads /proc and may block.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace recover::adapters::probe {

inline constexpr std::size_t kTreeProcessesMax = 10'000;  // Looked at; more are not counted.

// A process and its descendants, or all of a cgroup.
struct Tree {
  std::int64_t pid = 0;
  std::string cgroup = {};  // Folder; empty: the descendants.
};

std::uint64_t resident_bytes(const std::vector<Tree>& trees);

}  // namespace recover::adapters::probe
