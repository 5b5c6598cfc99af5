#include "backup/store/local_folders.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "backup/store/mirror/mirror_store.h"

namespace recover::backup {

std::vector<std::string> local_folders(const Store& store) {
  namespace fs = std::filesystem;
  std::vector<std::string> locations = {store.location()};
  if (const auto* const mirror = dynamic_cast<const MirrorStore*>(&store); mirror != nullptr) {
    for (const MemberStatus& member : mirror->status()) locations.push_back(member.location);
  }
  std::vector<std::string> folders;
  for (const std::string& location : locations) {
    // Remote ones begin with a scheme, and a folder of that name would do no harm.
    std::error_code failed;
    if (!fs::is_directory(location, failed)) continue;
    for (const fs::path& path :
         {fs::absolute(location, failed).lexically_normal(), fs::canonical(location, failed)}) {
      std::string folder = path.string();
      while (folder.size() > 1 && folder.ends_with('/')) folder.pop_back();
      const bool is_known = std::find(folders.begin(), folders.end(), folder) != folders.end();
      if (!folder.empty() && !is_known) folders.push_back(std::move(folder));
    }
  }
  return folders;
}

}  // namespace recover::backup
