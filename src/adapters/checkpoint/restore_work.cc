#include "adapters/checkpoint/restore_work.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "adapters/checkpoint/survey.h"

namespace recover::adapters::checkpoint {
namespace {

constexpr long kNanosecondsPerSecond = 1'000'000'000;

timespec time_of(std::int64_t nanoseconds) {
  std::int64_t seconds = nanoseconds / kNanosecondsPerSecond;
  std::int64_t rest = nanoseconds % kNanosecondsPerSecond;
  if (rest < 0) {
    rest += kNanosecondsPerSecond;
    --seconds;
  }
  return {.tv_sec = seconds, .tv_nsec = rest};
}

}  // namespace

RestoreWork::RestoreWork(const ports::CheckpointContents& wanted, ContentSource& store,
                         const ports::RestoreRequest& request, std::vector<std::string> paths)
    : contents(wanted),
      objects(store),
      limits(request.limits),
      only(std::move(paths)),
      dry(request.dry_run),
      root_user(::geteuid() == 0) {
  for (const ports::CheckpointFile& file : contents.files) known.emplace(file.path, &file);
  report.id = contents.info.id;
}

bool RestoreWork::selected(std::string_view path) const {
  return only.empty() || std::any_of(only.begin(), only.end(),
                                     [path](const auto& top) { return is_within(path, top); });
}

bool RestoreWork::leads_to_selected(std::string_view path) const {
  return selected(path) || std::any_of(only.begin(), only.end(),
                                       [path](const auto& top) { return is_within(top, path); });
}

bool RestoreWork::is_covered(const std::string& path) const {
  return std::filesystem::path(path).lexically_normal() == path &&
         std::any_of(contents.info.paths.begin(), contents.info.paths.end(),
                     [&path](const std::string& root) { return is_within(path, root); });
}

const std::string& RestoreWork::root_of(const std::string& path) const {
  return *std::find_if(contents.info.paths.begin(), contents.info.paths.end(),
                       [&path](const std::string& root) { return is_within(path, root); });
}

bool RestoreWork::same_owner(const ports::CheckpointFile& file, const struct stat& now) const {
  return !root_user || (now.st_uid == file.uid && now.st_gid == file.gid);
}

Done dress(const RestoreWork& work, int fd, const ports::CheckpointFile& file) {
  if (work.root_user && ::fchown(fd, file.uid, file.gid) != 0) {
    return Unexpected(io_error("change the owner of", file.path));
  }
  if (::fchmod(fd, file.mode) != 0) return Unexpected(io_error("change the mode of", file.path));
  const timespec times[2] = {time_of(file.mtime_ns), time_of(file.mtime_ns)};
  if (::futimens(fd, times) != 0) return Unexpected(io_error("change the time of", file.path));
  return {};
}

}  // namespace recover::adapters::checkpoint
