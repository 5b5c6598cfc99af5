#include "apps/recoverd/configuration.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <system_error>

#include "apps/recoverd/disk_files.h"

namespace recover::apps {
namespace {

std::vector<std::string> lines_of(const std::vector<config::Mistake>& mistakes) {
  std::vector<std::string> lines;
  lines.reserve(mistakes.size());
  for (const config::Mistake& mistake : mistakes) lines.push_back(config::to_string(mistake));
  return lines;
}

bool write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::fsync(fd) == 0;
}

}  // namespace

Result<config::Loaded, std::vector<std::string>> load_configuration(const std::string& path,
                                                                    const std::string& state_dir,
                                                                    config::TreeMemory* trees) {
  DiskFiles files(trees);
  auto loaded = config::load(path, files);
  if (!loaded) return Unexpected(lines_of(loaded.error()));
  if (!state_dir.empty()) loaded->policy.state_dir = state_dir;
  return std::move(*loaded);
}

Result<core::Policy, std::string> load_remembered(const runtime::PolicyText& text) {
  if (text.sources.empty()) return Unexpected(std::string("its configuration is empty"));
  RememberedFiles files(text.sources);
  auto loaded = config::load(text.sources.front().first, files);
  if (!loaded) return Unexpected(lines_of(loaded.error()).front());
  return std::move(loaded->policy);
}

Result<void, std::string> write_configuration(const std::string& path, std::string_view text) {
  const std::string beside = path + ".new";
  struct stat status {};
  const mode_t mode = ::stat(path.c_str(), &status) == 0 ? status.st_mode & 07777U : 0600U;
  const int fd =
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, mode);
  if (fd < 0) return Unexpected(beside + ": " + std::generic_category().message(errno));
  const bool written = write_all(fd, text) && ::fchmod(fd, mode) == 0;
  const int error = errno;
  ::close(fd);
  if (written && ::rename(beside.c_str(), path.c_str()) == 0) return {};
  const std::string why = std::generic_category().message(written ? errno : error);
  ::unlink(beside.c_str());
  return Unexpected(path + ": " + why);
}

}  // namespace recover::apps
