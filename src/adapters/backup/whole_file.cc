#include "adapters/backup/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <fstream>
#include <iterator>
#include <system_error>

#include "posix/descriptor.h"
#include "posix/sync_folder.h"

namespace recover::adapters::backup {
namespace {

bool write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(file, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::fsync(file) == 0;
}

}  // namespace

Result<void, std::string> write_whole(const std::string& path, std::string_view text) {
  const std::string beside = path + ".new";
  const auto failed = [&](int reason) {
    ::unlink(beside.c_str());
    return Unexpected(path + ": " + std::generic_category().message(reason));
  };
  posix::Descriptor file(
      ::open(beside.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!file) return failed(errno);
  if (!write_all(file.get(), text)) return failed(errno);
  file.reset();
  if (::rename(beside.c_str(), path.c_str()) != 0) return failed(errno);
  if (!posix::sync_folder(path.substr(0, path.rfind('/')))) {
    return Unexpected(path + ": " + std::generic_category().message(errno));
  }
  return {};
}

std::optional<std::string> read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return std::nullopt;
  std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad() || text.size() > kWholeFileMax) return std::nullopt;
  return text;
}

}  // namespace recover::adapters::backup
