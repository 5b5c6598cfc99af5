#include "adapters/process/mounts.h"

#include <fcntl.h>
#include <poll.h>

#include <algorithm>

#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr std::string_view kMountInfo = "/proc/self/mountinfo";

bool is_slow(std::string_view type) {
  static constexpr std::string_view kSlow[] = {"nfs",  "nfs4", "cifs",  "smb3",     "9p",
                                               "ceph", "afs",  "ncpfs", "glusterfs"};
  return type.starts_with("fuse") || std::ranges::find(kSlow, type) != std::end(kSlow);
}

std::string_view word(std::string_view text, int number) {
  for (; number > 0; --number) {
    const auto space = text.find(' ');
    if (space == std::string_view::npos) return {};
    text.remove_prefix(space + 1);
  }
  return text.substr(0, text.find(' '));
}

bool is_below(std::string_view path, std::string_view folder) {
  if (!path.starts_with(folder)) return false;
  return folder == "/" || path.size() == folder.size() || path[folder.size()] == '/';
}

}  // namespace

std::vector<std::string> Mounts::slow_ones(std::string_view mountinfo) {
  constexpr int kMountPoint = 4;
  constexpr std::string_view kSeparator = " - ";
  std::vector<std::string> found;
  while (!mountinfo.empty()) {
    const auto end = std::min(mountinfo.find('\n'), mountinfo.size() - 1);
    const std::string_view line = mountinfo.substr(0, end);
    mountinfo.remove_prefix(end + 1);
    const auto separator = line.find(kSeparator);
    if (separator == std::string_view::npos) continue;
    const std::string_view type = word(line.substr(separator + kSeparator.size()), 0);
    if (is_slow(type)) found.emplace_back(word(line, kMountPoint));
  }
  return found;
}

void Mounts::read_again() {
  // Polled, it tells of changes since it was opened or last polled: opened before it is read.
  if (!changes_) changes_.reset(::open(kMountInfo.data(), O_RDONLY | O_CLOEXEC));
  const auto text = read_small_file(std::string(kMountInfo));
  known_ = changes_ && text;
  slow_ = text ? slow_ones(*text) : std::vector<std::string>();
}

bool Mounts::may_hang(std::string_view path) {
  pollfd changed{.fd = changes_.get(), .events = POLLPRI, .revents = 0};
  if (!changes_ || ::poll(&changed, 1, 0) != 0) read_again();
  if (!known_) return true;
  return std::ranges::any_of(slow_, [path](const auto& mount) { return is_below(path, mount); });
}

}  // namespace recover::adapters::process
