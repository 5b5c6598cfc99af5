#include "apps/recoverd/memory.h"

#include <malloc.h>
#include <sys/mman.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string_view>

namespace recover::apps {
namespace {

struct CloseStream {
  void operator()(std::FILE* stream) const noexcept { std::fclose(stream); }
};

// A mapping of /proc/self/smaps: its head line, then what it holds.
struct Mapping {
  std::uintptr_t begin = 0;
  std::uintptr_t end = 0;
  bool of_file = false;  // Of a file, and not writable.
  bool written = false;  // Some of it is ours alone: relocations.
};

// "begin-end perms offset device inode path"
bool read_head(const char* line, Mapping& mapping) noexcept {
  char* rest = nullptr;
  const auto begin = std::strtoull(line, &rest, 16);
  if (*rest != '-') return false;
  const auto end = std::strtoull(rest + 1, &rest, 16);
  if (*rest != ' ') return false;
  const char* const path = std::strchr(rest, '/');
  const bool writable = rest[2] == 'w';
  mapping = {.begin = begin, .end = end, .of_file = path != nullptr && !writable};
  return true;
}

void give_back(const Mapping& mapping) noexcept {
  if (!mapping.of_file || mapping.written) return;
  // An address the kernel told us.  NOLINTNEXTLINE(performance-no-int-to-ptr)
  ::madvise(reinterpret_cast<void*>(mapping.begin), mapping.end - mapping.begin, MADV_DONTNEED);
}

}  // namespace

void give_back_memory() noexcept {
  ::malloc_trim(0);
  const std::unique_ptr<std::FILE, CloseStream> maps(std::fopen("/proc/self/smaps", "re"));
  if (!maps) return;
  // Not the dirty ones: a program just installed is dirty in the page cache.
  constexpr std::string_view kAnonymous = "Anonymous:";
  constexpr std::size_t kLineMax = 4'352;  // A path and a little more.
  std::array<char, kLineMax> line{};
  Mapping mapping;
  while (std::fgets(line.data(), static_cast<int>(line.size()), maps.get()) != nullptr) {
    Mapping next;
    if (read_head(line.data(), next)) {
      give_back(mapping);
      mapping = next;
    }
    if (std::strncmp(line.data(), kAnonymous.data(), kAnonymous.size()) == 0) {
      mapping.written = std::strtoul(line.data() + kAnonymous.size(), nullptr, 10) > 0;
    }
  }
  give_back(mapping);
}

}  // namespace recover::apps
