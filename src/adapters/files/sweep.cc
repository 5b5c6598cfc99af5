#include "adapters/files/sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

#include "adapters/files/descend.h"
#include "adapters/files/glob.h"
#include "posix/descriptor.h"

namespace recover::adapters::files {
namespace {

constexpr std::uint64_t kBlock = 512;  // Of st_blocks, always.

using posix::Descriptor;

class Finder {
 public:
  Finder(std::string root, const core::CleanFilesAction& action,
         std::chrono::system_clock::time_point now, const Stopped& stopped)
      : root_(std::move(root)), action_(action), now_(now), stopped_(stopped) {}

  std::vector<Candidate> find() && {
    Descriptor root = open_root(root_);
    struct stat folder {};
    if (root && ::fstat(root.get(), &folder) == 0) {
      device_ = folder.st_dev;
      visit(std::move(root), "", 0);
    }
    return std::move(found_);
  }

 private:
  // As deep as kDepthMax.  NOLINTNEXTLINE(misc-no-recursion)
  void visit(Descriptor descriptor, const std::string& prefix, std::size_t depth) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(descriptor.get()), &::closedir);
    if (!folder) return;
    const int at = descriptor.release();  // closedir() closes it.
    while (const dirent* entry = ::readdir(folder.get())) {
      if (found_.size() >= kCandidatesMax || stopped_()) return;
      const std::string name = entry->d_name;
      if (name != "." && name != "..") visit_entry(at, name, prefix, depth);
    }
  }

  // NOLINTNEXTLINE(misc-no-recursion)
  void visit_entry(int at, const std::string& name, const std::string& prefix, std::size_t depth) {
    struct stat file {};
    if (::fstatat(at, name.c_str(), &file, AT_SYMLINK_NOFOLLOW) != 0) return;
    if (file.st_dev != device_) return;
    if (S_ISREG(file.st_mode)) consider(prefix + name, file);
    if (!S_ISDIR(file.st_mode) || depth >= kDepthMax) return;
    Descriptor next = descend(Descriptor(::fcntl(at, F_DUPFD_CLOEXEC, 0)), name, &device_);
    if (next) visit(std::move(next), prefix + name + "/", depth + 1);
  }

  void consider(const std::string& path, const struct stat& file) {
    const auto changed = std::chrono::system_clock::time_point(
        std::chrono::seconds(file.st_mtim.tv_sec) +
        std::chrono::microseconds(file.st_mtim.tv_nsec / 1000));
    if (now_ - changed < action_.older_than) return;
    if (static_cast<std::uint64_t>(file.st_size) < action_.larger_than) return;
    const bool wanted = std::ranges::any_of(
        action_.globs, [&](const std::string& glob) { return matches(glob, path); });
    if (!wanted) return;
    found_.push_back({.root = root_,
                      .path = path,
                      .device = file.st_dev,
                      .inode = file.st_ino,
                      .changed = file.st_mtim});
  }

  std::string root_;
  const core::CleanFilesAction& action_;
  std::chrono::system_clock::time_point now_;
  const Stopped& stopped_;
  dev_t device_ = 0;
  std::vector<Candidate> found_;
};

// Removes one file if it is still the one that was found, as it was found.
void remove_one(const Candidate& candidate, Sweep& sweep) {
  struct stat file {};
  const FileName name = open_candidate(candidate, file);
  const bool unchanged = name.folder && file.st_mtim.tv_sec == candidate.changed.tv_sec &&
                         file.st_mtim.tv_nsec == candidate.changed.tv_nsec;
  if (!unchanged) return;
  const std::string full = candidate.root + "/" + candidate.path;
  if (::unlinkat(name.folder.get(), name.name.c_str(), 0) != 0) {
    if (sweep.errors.size() < kNamesMax) {
      sweep.errors.push_back(full + ": " + std::generic_category().message(errno));
    }
    return;
  }
  ++sweep.removed;
  if (file.st_nlink == 1) sweep.freed += static_cast<std::uint64_t>(file.st_blocks) * kBlock;
  if (sweep.names.size() < kNamesMax) sweep.names.push_back(full);
}

}  // namespace

std::vector<Candidate> find_candidates(const std::string& root,
                                       const core::CleanFilesAction& action,
                                       std::chrono::system_clock::time_point now,
                                       const Stopped& stopped) {
  return Finder(root, action, now, stopped).find();
}

Sweep remove_files(std::vector<Candidate> candidates, const core::CleanFilesAction& action,
                   const std::set<FileId>& open, const Stopped& stopped) {
  std::ranges::sort(candidates, [](const Candidate& a, const Candidate& b) {
    return std::pair(a.changed.tv_sec, a.changed.tv_nsec) <
           std::pair(b.changed.tv_sec, b.changed.tv_nsec);
  });
  Sweep sweep;
  for (const Candidate& candidate : candidates) {
    if (sweep.removed >= action.max_files) break;
    if (action.free_target && sweep.freed >= *action.free_target) break;
    if (stopped()) {
      sweep.stopped = true;
      break;
    }
    if (open.contains({candidate.device, candidate.inode})) {
      ++sweep.in_use;
      continue;
    }
    remove_one(candidate, sweep);
  }
  return sweep;
}

}  // namespace recover::adapters::files
