#include "backup/restore/removal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "backup/local/entry.h"

namespace recover::backup {
namespace {

Outcome<std::vector<std::string>> names_in(int folder) {
  // Opened anew: a duplicate would share its place in the listing.
  const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const FolderStream stream(fd < 0 ? nullptr : ::fdopendir(fd));
  if (!stream) return system_failure("opening", "a folder");
  std::vector<std::string> names;
  errno = 0;
  // The stream is this function's own; readdir_r is deprecated.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* const entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.emplace_back(name);
  }
  if (errno != 0) return system_failure("listing", "a folder");
  return names;
}

// At most kRemovalDepthMax deep.  NOLINTNEXTLINE(misc-no-recursion)
Outcome<void> remove_below(int above, const std::string& name, dev_t device, unsigned depth) {
  const auto info = look_at(above, name);
  if (!info) return Unexpected(info.error());
  if (!S_ISDIR(info->st_mode)) {
    if (::unlinkat(above, name.c_str(), 0) != 0) return system_failure("removing", name);
    return {};
  }
  if (info->st_dev != device) {
    return fail(FailureKind::Invalid, name + ": something is mounted there; it stays");
  }
  if (depth == 0) return fail(FailureKind::Invalid, name + ": too deep to remove");
  const Descriptor folder(
      ::openat(above, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!folder) return system_failure("opening", name);
  const auto names = names_in(folder.get());
  if (!names) return Unexpected(names.error());
  for (const std::string& one : *names) {
    if (auto removed = remove_below(folder.get(), one, device, depth - 1); !removed) return removed;
  }
  if (::unlinkat(above, name.c_str(), AT_REMOVEDIR) != 0) return system_failure("removing", name);
  return {};
}

}  // namespace

Outcome<void> remove_entry(int folder, const std::string& name) {
  struct stat above {};
  if (::fstat(folder, &above) != 0) return system_failure("looking at the folder of", name);
  return remove_below(folder, name, above.st_dev, kRemovalDepthMax);
}

std::vector<std::string> remove_others(
    int folder, const std::function<bool(const std::string& name, bool is_folder)>& stays) {
  const auto names = names_in(folder);
  if (!names) return {names.error().message};
  std::vector<std::string> problems;
  for (const std::string& name : *names) {
    const auto info = look_at(folder, name);
    if (info && stays(name, S_ISDIR(info->st_mode))) continue;
    const auto removed =
        info ? remove_entry(folder, name) : Outcome<void>(Unexpected(info.error()));
    if (!removed && removed.error().kind != FailureKind::NotFound) {
      problems.push_back(removed.error().message);
    }
  }
  return problems;
}

}  // namespace recover::backup
