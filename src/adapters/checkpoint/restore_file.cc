#include "adapters/checkpoint/restore_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <functional>
#include <utility>

#include "adapters/checkpoint/restore_removal.h"
#include "adapters/checkpoint/survey.h"

namespace recover::adapters::checkpoint {
namespace {

using ports::CheckpointFile;

// The same for the same file, so that the next attempt meets what this one left.
std::string temporary_for(const std::string& name) {
  Sha256 sha;
  sha.add(name);
  return std::string(kTemporaryPrefix) + sha.hex().substr(0, 16);
}

Result<bool, CheckpointError> same_content(const RestoreWork& work, int parent,
                                           const std::string& name, const CheckpointFile& file,
                                           const struct stat& now) {
  if (!S_ISREG(now.st_mode) || static_cast<std::uint64_t>(now.st_size) != file.size) return false;
  const Descriptor open(
      ::openat(parent, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!open) return false;
  return work.objects.is_content(open.get(), file, work.limits);
}

// Where a file goes, and what is there.
struct Place {
  int parent;
  const std::string& name;
  const CheckpointFile& file;
  const std::optional<struct stat>& now;
};

// A rename does not replace a folder.
Done make_way(RestoreWork& work, const Place& at) {
  if (!at.now || !S_ISDIR(at.now->st_mode)) return {};
  return remove_name(work, at.parent, at.name, at.file.path, at.now->st_dev);
}

Done put_in_place(RestoreWork& work, const Place& at, const std::string& temporary) {
  if (auto gone = make_way(work, at); !gone) return gone;
  if (::renameat(at.parent, temporary.c_str(), at.parent, at.name.c_str()) != 0) {
    return Unexpected(io_error("replace", at.file.path));
  }
  work.dirty.insert(folder_of(at.file.path));
  return {};
}

// `make` brings about the new one under a temporary name, which then takes the old one's place.
Done replace(RestoreWork& work, const Place& at,
             const std::function<Done(const std::string& temporary)>& make) {
  work.report.written.push_back(at.file.path);
  if (work.dry) return make_way(work, at);
  const std::string temporary = temporary_for(at.name);
  work.touched = true;
  ::unlinkat(at.parent, temporary.c_str(), 0);
  Done done = make(temporary);
  if (done) done = put_in_place(work, at, temporary);
  if (!done) ::unlinkat(at.parent, temporary.c_str(), 0);
  return done;
}

Done make_file(const RestoreWork& work, const Place& at, const std::string& temporary) {
  const Descriptor out(::openat(at.parent, temporary.c_str(),
                                O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!out) return Unexpected(io_error("create beside", at.file.path));
  Done done = work.objects.copy_to(out.get(), at.file, work.limits);
  if (done) done = dress(work, out.get(), at.file);
  if (done && ::fsync(out.get()) != 0) done = Unexpected(io_error("sync", at.file.path));
  return done;
}

Done make_link(const RestoreWork& work, const Place& at, const std::string& temporary) {
  if (::symlinkat(at.file.target.c_str(), at.parent, temporary.c_str()) != 0) {
    return Unexpected(io_error("create beside", at.file.path));
  }
  if (work.root_user && ::fchownat(at.parent, temporary.c_str(), at.file.uid, at.file.gid,
                                   AT_SYMLINK_NOFOLLOW) != 0) {
    return Unexpected(io_error("change the owner of", at.file.path));
  }
  return {};
}

}  // namespace

Done apply_file(RestoreWork& work, int parent, const std::string& name, const CheckpointFile& file,
                const std::optional<struct stat>& now) {
  if (now && (now->st_mode & 07777U) == file.mode && work.same_owner(file, *now)) {
    const auto same = same_content(work, parent, name, file, *now);
    if (!same) return Unexpected(same.error());
    if (*same) {
      ++work.report.unchanged;
      return {};
    }
  }
  // Also when only the mode differs: the content may be shared with a link elsewhere.
  const Place at{parent, name, file, now};
  return replace(work, at,
                 [&](const std::string& temporary) { return make_file(work, at, temporary); });
}

Done apply_link(RestoreWork& work, int parent, const std::string& name, const CheckpointFile& file,
                const std::optional<struct stat>& now) {
  if (now && S_ISLNK(now->st_mode) && work.same_owner(file, *now)) {
    const auto target = link_target(parent, name, file.path);
    if (target && *target == file.target) {
      ++work.report.unchanged;
      return {};
    }
  }
  const Place at{parent, name, file, now};
  return replace(work, at,
                 [&](const std::string& temporary) { return make_link(work, at, temporary); });
}

}  // namespace recover::adapters::checkpoint
