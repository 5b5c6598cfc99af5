#include "backup/memory_budget.h"

#include <malloc.h>

namespace recover::backup {

void keep_memory_small() {
  constexpr int kMapped = 512 * 1024;
  constexpr int kHeaps = 2;
  ::mallopt(M_MMAP_THRESHOLD, kMapped);
  ::mallopt(M_TRIM_THRESHOLD, 4 * kMapped);
  ::mallopt(M_ARENA_MAX, kHeaps);
}

}  // namespace recover::backup
