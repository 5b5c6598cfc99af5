// How much memory a command may have at its peak, and what follows from it: how many threads work
// at once, each of which may hold a chunk of the largest size in three forms, and how large a pack
// is, of which three are held.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace recover::backup {

struct MemoryBudget {
  static constexpr std::uint64_t kMibMin = 48;  // Opening the key alone takes 32.
  static constexpr std::uint64_t kMibMax = 65'536;
  std::uint64_t mib = 64;

  // Of so many processors; at least one.
  unsigned threads(unsigned processors) const {
    constexpr std::uint64_t kShared = 32;
    constexpr std::uint64_t kPerThread = 16;
    const std::uint64_t most = (std::max(mib, kMibMin) - kShared) / kPerThread;
    return static_cast<unsigned>(std::clamp<std::uint64_t>(processors, 1, most));
  }
  std::size_t pack_bytes() const {
    constexpr std::uint64_t kPackMibMin = 6;
    constexpr std::uint64_t kPackMibMax = 16;  // As restic has it.
    return static_cast<std::size_t>(std::clamp(mib / 8, kPackMibMin, kPackMibMax)) << 20U;
  }
};

// Of the process, before it has threads: what is freed goes back to the system at once, and threads
// share what is not. Buffers are few and large and must not stay behind in every thread's own heap.
void keep_memory_small();

}  // namespace recover::backup
