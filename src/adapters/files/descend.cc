#include "adapters/files/descend.h"

#include <fcntl.h>

#include <algorithm>
#include <utility>

namespace recover::adapters::files {

using posix::Descriptor;

namespace {

constexpr int kFolderFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK;
}  // namespace

Descriptor descend(Descriptor from, std::string_view path, const dev_t* device) {
  while (from && !path.empty()) {
    const std::string name(path.substr(0, path.find('/')));
    path.remove_prefix(std::min(path.size(), name.size() + 1));
    if (name.empty()) continue;
    if (name == "..") return Descriptor();
    from = Descriptor(::openat(from.get(), name.c_str(), kFolderFlags));
    struct stat folder {};
    if (!from || ::fstat(from.get(), &folder) != 0) return Descriptor();
    if (device != nullptr && folder.st_dev != *device) return Descriptor();
  }
  return from;
}

Descriptor open_root(const std::string& root) {
  return descend(Descriptor(::open("/", kFolderFlags)), std::string_view(root).substr(1), nullptr);
}

FileName open_candidate(const Candidate& candidate, struct stat& file) {
  const auto slash = candidate.path.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : candidate.path.substr(0, slash);
  FileName found{
      .folder = descend(open_root(candidate.root), folder, &candidate.device),
      .name = slash == std::string::npos ? candidate.path : candidate.path.substr(slash + 1)};
  if (!found.folder) return found;
  const bool there =
      ::fstatat(found.folder.get(), found.name.c_str(), &file, AT_SYMLINK_NOFOLLOW) == 0;
  const bool same = there && S_ISREG(file.st_mode) && file.st_dev == candidate.device &&
                    file.st_ino == candidate.inode;
  if (!same) found.folder.reset();
  return found;
}

}  // namespace recover::adapters::files
