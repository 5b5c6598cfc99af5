#include "adapters/checkpoint/restore_removal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "adapters/checkpoint/survey.h"

namespace recover::adapters::checkpoint {
namespace {

using ports::FileKind;

constexpr std::ptrdiff_t kRemoveDepthMax = 256;

bool is_held_back(const RestoreWork& work, const std::string& path) {
  return std::find(work.contents.not_held.begin(), work.contents.not_held.end(), path) !=
         work.contents.not_held.end();
}

// As deep as kRemoveDepthMax.  NOLINTNEXTLINE(misc-no-recursion)
Done empty_folder(RestoreWork& work, int parent, const std::string& name, const std::string& path,
                  dev_t device) {
  if (std::count(path.begin(), path.end(), '/') > kRemoveDepthMax) {
    work.report.left.push_back(path);
    return {};
  }
  const Descriptor folder = open_folder_at(parent, name);
  if (!folder) return Unexpected(io_error("open", path));
  const auto names = names_in(folder.get(), path);
  if (!names) return Unexpected(names.error());
  for (const std::string& child : *names) {
    if (auto done = remove_name(work, folder.get(), child, path + "/" + child, device); !done) {
      return done;
    }
  }
  return {};
}

Done remove_unknown(RestoreWork& work, int folder, const std::string& path);

// NOLINTNEXTLINE(misc-no-recursion)
Done remove_if_unknown(RestoreWork& work, int folder, const std::string& name,
                       const std::string& path, dev_t device) {
  const auto known = work.known.find(path);
  if (known == work.known.end()) {
    return work.selected(path) ? remove_name(work, folder, name, path, device) : Done{};
  }
  if (known->second->kind != FileKind::Directory) return {};
  const Descriptor next = open_folder_at(folder, name);
  struct stat status {};
  // What was mounted there since is none of the checkpoint's.
  const bool same = next && ::fstat(next.get(), &status) == 0 && status.st_dev == device;
  return same ? remove_unknown(work, next.get(), path) : Done{};
}

// As deep as the folders that the checkpoint knows.  NOLINTNEXTLINE(misc-no-recursion)
Done remove_unknown(RestoreWork& work, int folder, const std::string& path) {
  if (auto go = go_on(work.limits); !go) return go;
  struct stat status {};
  if (::fstat(folder, &status) != 0) return Unexpected(io_error("look at", path));
  const auto names = names_in(folder, path);
  if (!names) return Unexpected(names.error());
  for (const std::string& name : *names) {
    const std::string child = path + "/" + name;
    if (!work.leads_to_selected(child) || is_held_back(work, child)) continue;
    if (auto done = remove_if_unknown(work, folder, name, child, status.st_dev); !done) return done;
  }
  return {};
}

}  // namespace

// NOLINTNEXTLINE(misc-no-recursion)
Done remove_name(RestoreWork& work, int parent, const std::string& name, const std::string& path,
                 dev_t device) {
  const auto now = look_at(parent, name);
  if (!now) return {};
  const bool folder = S_ISDIR(now->st_mode);
  if (now->st_dev != device || !(folder || S_ISREG(now->st_mode) || S_ISLNK(now->st_mode))) {
    work.report.left.push_back(path);
    return {};
  }
  if (folder) {
    if (auto done = empty_folder(work, parent, name, path, device); !done) return done;
  }
  if (!work.dry) {
    work.touched = true;
    const bool gone = ::unlinkat(parent, name.c_str(), folder ? AT_REMOVEDIR : 0) == 0;
    if (!gone && errno != ENOTEMPTY && errno != EEXIST && errno != EBUSY) {
      return Unexpected(io_error("remove", path));
    }
    if (!gone) {
      work.report.left.push_back(path);
      return {};
    }
    work.dirty.insert(folder_of(path));
  }
  if (!name.starts_with(kTemporaryPrefix)) work.report.removed.push_back(path);
  return {};
}

Done remove_all(RestoreWork& work) {
  for (const std::string& root : work.contents.info.paths) {
    const auto known = work.known.find(root);
    if (known == work.known.end() || known->second->kind != FileKind::Directory) continue;
    if (!work.leads_to_selected(root)) continue;
    const Descriptor parent = open_folder(folder_of(root));
    const Descriptor folder = parent ? open_folder_at(parent.get(), name_of(root)) : Descriptor();
    if (!folder && work.dry) continue;
    if (!folder) return Unexpected(io_error("open", root));
    if (auto done = remove_unknown(work, folder.get(), root); !done) return done;
  }
  return {};
}

}  // namespace recover::adapters::checkpoint
