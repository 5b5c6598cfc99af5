#include "apps/recoverd/companion.h"

#include <unistd.h>

#include <filesystem>

namespace recover::apps {

std::string own_path() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).string();
}

std::vector<std::string> companion_places(const std::string& self, const std::string& name) {
  const auto folder = std::filesystem::path(self).parent_path();
  return {(folder / name).string(),
          (folder / "../lib/recoverd" / name).lexically_normal().string()};
}

std::string companion(const std::string& self, const std::string& name) {
  const std::vector<std::string> places = companion_places(self, name);
  for (const std::string& place : places) {
    if (::access(place.c_str(), X_OK) == 0) return place;
  }
  return places.front();
}

}  // namespace recover::apps
