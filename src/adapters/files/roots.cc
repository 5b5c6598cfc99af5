#include "adapters/files/roots.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <system_error>

namespace recover::adapters::files {
namespace {

// Never, nor anything below.
constexpr auto kTrees =
    std::to_array<std::string_view>({"/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64",
                                     "/libx32", "/proc", "/sbin", "/sys", "/usr"});
// Never as a whole; a folder below may be a root.
constexpr auto kTops = std::to_array<std::string_view>(
    {"/", "/home", "/media", "/mnt", "/opt", "/root", "/run", "/srv", "/var", "/var/lib",
     "/var/lib/dpkg", "/var/lib/recoverd", "/var/spool"});

}  // namespace

bool is_protected(const std::string& path) {
  if (std::ranges::find(kTops, path) != kTops.end()) return true;
  return std::ranges::any_of(kTrees, [&](std::string_view tree) {
    return path == tree || (path.starts_with(tree) && path[tree.size()] == '/');
  });
}

Result<std::string, std::string> resolve_root(const std::string& root) {
  if (!root.starts_with('/')) return Unexpected(root + ": not an absolute path");
  const std::unique_ptr<char, void (*)(void*)> real(::realpath(root.c_str(), nullptr), &::free);
  if (!real) {
    if (errno == ENOENT) return std::string();
    return Unexpected(root + ": " + std::generic_category().message(errno));
  }
  const std::string path = real.get();
  if (is_protected(path) || is_protected(root)) {
    return Unexpected(root + ": a folder of the system, never cleaned");
  }
  return path;
}

}  // namespace recover::adapters::files
