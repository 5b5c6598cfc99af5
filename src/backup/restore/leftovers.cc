#include "backup/restore/leftovers.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <string_view>

#include "backup/local/file.h"

namespace recover::backup {
namespace {

constexpr std::string_view kTemporary = ".recover-restore-";

// Of "<prefix><pid>-<n>": whether that process is gone.
bool is_left_over(std::string_view name) {
  if (!name.starts_with(kTemporary)) return false;
  const std::string_view number = name.substr(kTemporary.size());
  pid_t pid = 0;
  const auto read = std::from_chars(number.data(), number.data() + number.size(), pid);
  const bool whole = read.ec == std::errc() && read.ptr != number.data() + number.size() &&
                     *read.ptr == '-' && pid > 0;
  return whole && ::kill(pid, 0) != 0 && errno == ESRCH;
}

}  // namespace

std::string temporary_name() {
  static std::atomic<std::uint64_t> counter{0};
  return std::string(kTemporary) + std::to_string(::getpid()) + "-" + std::to_string(counter++);
}

void remove_leftovers(int folder) {
  const int copy = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const FolderStream stream(copy < 0 ? nullptr : ::fdopendir(copy));
  if (!stream) return;
  // The stream is this function's own; readdir_r is deprecated.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* const entry = ::readdir(stream.get())) {
    if (is_left_over(entry->d_name)) ::unlinkat(folder, entry->d_name, 0);
  }
}

}  // namespace recover::backup
