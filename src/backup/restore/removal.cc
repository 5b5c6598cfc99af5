#include "backup/restore/removal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "backup/archive/name_list.h"
#include "backup/local/entry.h"
#include "backup/local/mount.h"

namespace recover::backup {
namespace {

Outcome<NameList> names_in(int folder) {
  // Opened anew: a duplicate would share its place in the listing.
  const int fd = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const FolderStream stream(fd < 0 ? nullptr : ::fdopendir(fd));
  if (!stream) return system_failure("opening", "a folder");
  NameList names;
  errno = 0;
  // The stream is this function's own; readdir_r is deprecated.
  // NOLINTNEXTLINE(concurrency-mt-unsafe)
  while (const dirent* const entry = ::readdir(stream.get())) {
    const std::string_view name = entry->d_name;
    if (name != "." && name != "..") names.add(name, false);
    if (names.is_full()) return fail(FailureKind::Unsupported, "a folder with too many entries");
  }
  if (errno != 0) return system_failure("listing", "a folder");
  return names;
}

class Removal {
 public:
  Removal(const Mount& mount, const Keep& keep) : mount_(mount), keep_(keep) {}

  // False: something of it stays. At most kRemovalDepthMax deep.
  // NOLINTNEXTLINE(misc-no-recursion)
  Outcome<bool> remove(int above, const std::string& name, const std::string& path,
                       unsigned depth) const {
    const auto info = look_at(above, name);
    if (!info) return Unexpected(info.error());
    const auto mount = mount_of(above, name);
    if (!mount) return Unexpected(mount.error());
    if (*mount != mount_ || keep_(path)) return false;
    if (!S_ISDIR(info->st_mode)) {
      if (::unlinkat(above, name.c_str(), 0) != 0) return system_failure("removing", name);
      return true;
    }
    if (depth == 0) return fail(FailureKind::Invalid, name + ": too deep to remove");
    const Descriptor folder(
        ::openat(above, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!folder) return system_failure("opening", name);
    const auto opened = mount_of(folder.get());
    if (!opened) return Unexpected(opened.error());
    if (*opened != mount_) return false;  // Mounted since.
    const auto names = names_in(folder.get());
    if (!names) return Unexpected(names.error());
    bool is_empty = true;
    for (std::size_t i = 0; i < names->size(); ++i) {
      const std::string one(names->name(i));
      const auto gone = remove(folder.get(), one, path + "/" + one, depth - 1);
      if (!gone) return gone;
      is_empty = is_empty && *gone;
    }
    if (!is_empty) return false;
    if (::unlinkat(above, name.c_str(), AT_REMOVEDIR) != 0) return system_failure("removing", name);
    return true;
  }

 private:
  const Mount mount_;
  const Keep& keep_;
};

}  // namespace

Outcome<void> remove_entry(int folder, const std::string& name, const Keep& keep) {
  const auto above = mount_of(folder);
  if (!above) return Unexpected(above.error());
  const auto removed = Removal(*above, keep).remove(folder, name, name, kRemovalDepthMax);
  if (!removed) return Unexpected(removed.error());
  return {};
}

std::vector<std::string> remove_others(
    int folder, const std::function<bool(const std::string& name, bool is_folder)>& stays,
    const Keep& keep) {
  const auto names = names_in(folder);
  if (!names) return {names.error().message};
  std::vector<std::string> problems;
  for (std::size_t i = 0; i < names->size(); ++i) {
    const std::string name(names->name(i));
    const auto info = look_at(folder, name);
    if (info && stays(name, S_ISDIR(info->st_mode))) continue;
    const auto removed =
        info ? remove_entry(folder, name, keep) : Outcome<void>(Unexpected(info.error()));
    if (!removed && removed.error().kind != FailureKind::NotFound) {
      problems.push_back(removed.error().message);
    }
  }
  return problems;
}

}  // namespace recover::backup
