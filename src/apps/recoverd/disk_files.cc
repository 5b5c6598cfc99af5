#include "apps/recoverd/disk_files.h"

#include <fnmatch.h>
#include <glob.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <system_error>

namespace recover::apps {
namespace {

constexpr std::size_t kFileBytesMax = 4U << 20U;
constexpr std::size_t kBlock = 16U << 10U;

std::string absolute(const std::string& pattern, const std::string& base_dir) {
  return pattern.starts_with('/') ? pattern : base_dir + "/" + pattern;
}

}  // namespace

Result<std::string, std::string> DiskFiles::read(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return Unexpected(std::generic_category().message(errno));
  std::string text;
  std::array<char, kBlock> block{};
  do {
    file.read(block.data(), block.size());
    text.append(block.data(), static_cast<std::size_t>(file.gcount()));
  } while (file && text.size() <= kFileBytesMax);
  if (file.bad() || (text.empty() && errno == EISDIR)) {
    return Unexpected(std::generic_category().message(errno));
  }
  if (text.size() > kFileBytesMax) return Unexpected(std::string("larger than 4 MiB"));
  text.shrink_to_fit();  // It is kept.
  return text;
}

std::vector<std::string> DiskFiles::glob(const std::string& pattern, const std::string& base_dir) {
  glob_t found{};
  std::vector<std::string> paths;
  // Unsafe in threads only with a tilde.  NOLINTNEXTLINE(concurrency-mt-unsafe)
  if (::glob(absolute(pattern, base_dir).c_str(), 0, nullptr, &found) == 0) {
    paths.assign(found.gl_pathv, found.gl_pathv + found.gl_pathc);
  }
  globfree(&found);
  return paths;
}

std::optional<std::string> DiskFiles::environment(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  if (value == nullptr) return std::nullopt;
  return value;
}

RememberedFiles::RememberedFiles(std::vector<std::pair<std::string, std::string>> sources)
    : sources_(std::move(sources)) {}

Result<std::string, std::string> RememberedFiles::read(const std::string& path) {
  const auto found = std::ranges::find(
      sources_, path, [](const auto& source) -> const auto& { return source.first; });
  if (found == sources_.end()) return disk_.read(path);
  return found->second;
}

std::vector<std::string> RememberedFiles::glob(const std::string& pattern,
                                               const std::string& base_dir) {
  std::vector<std::string> paths;
  for (const auto& [path, text] : sources_) {
    if (fnmatch(absolute(pattern, base_dir).c_str(), path.c_str(), FNM_PATHNAME) == 0) {
      paths.push_back(path);
    }
  }
  return paths;
}

std::optional<std::string> RememberedFiles::environment(const std::string& name) {
  return disk_.environment(name);
}

}  // namespace recover::apps
