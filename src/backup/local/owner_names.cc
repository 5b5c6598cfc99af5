#include "backup/local/owner_names.h"

#include <grp.h>
#include <pwd.h>

#include <vector>

namespace recover::backup {
namespace {

constexpr std::size_t kEntryBytesMax = 64UL << 10U;  // A group of a thousand members fits.

std::string ask_user(std::uint32_t uid) {
  std::vector<char> room(kEntryBytesMax);
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(uid, &entry, room.data(), room.size(), &found);
  return found != nullptr ? found->pw_name : "";
}

std::string ask_group(std::uint32_t gid) {
  std::vector<char> room(kEntryBytesMax);
  group entry{};
  group* found = nullptr;
  ::getgrgid_r(gid, &entry, room.data(), room.size(), &found);
  return found != nullptr ? found->gr_name : "";
}

}  // namespace

std::string OwnerNames::user(std::uint32_t uid) {
  const std::lock_guard lock(mutex_);
  const auto [place, fresh] = users_.try_emplace(uid);
  if (fresh) place->second = ask_user(uid);
  return place->second;
}

std::string OwnerNames::group(std::uint32_t gid) {
  const std::lock_guard lock(mutex_);
  const auto [place, fresh] = groups_.try_emplace(gid);
  if (fresh) place->second = ask_group(gid);
  return place->second;
}

}  // namespace recover::backup
