#include "apps/recoverd_backup/account.h"

#include <grp.h>
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

namespace recover::apps {
namespace {

constexpr int kGroupsMax = 256;

Account account_from(const passwd& entry) {
  Account account{.uid = entry.pw_uid,
                  .gid = entry.pw_gid,
                  .groups = std::vector<gid_t>(kGroupsMax),
                  .name = entry.pw_name,
                  .home = entry.pw_dir};
  int count = kGroupsMax;
  ::getgrouplist(entry.pw_name, entry.pw_gid, account.groups.data(), &count);
  account.groups.resize(static_cast<std::size_t>(count < kGroupsMax ? count : kGroupsMax));
  return account;
}

}  // namespace

std::optional<Account> Account::first_of(const std::vector<std::string>& names) {
  if (::geteuid() != 0) return std::nullopt;
  std::array<char, 4096> room{};
  for (const std::string& name : names) {
    passwd entry{};
    passwd* found = nullptr;
    ::getpwnam_r(name.c_str(), &entry, room.data(), room.size(), &found);
    if (found != nullptr) return account_from(*found);
  }
  return std::nullopt;
}

std::optional<Account> Account::owner_of(const std::string& path) {
  struct stat info {};
  if (::geteuid() != 0 || ::stat(path.c_str(), &info) != 0 || info.st_uid == 0) return std::nullopt;
  std::array<char, 4096> room{};
  passwd entry{};
  passwd* found = nullptr;
  ::getpwuid_r(info.st_uid, &entry, room.data(), room.size(), &found);
  if (found == nullptr) {
    return Account{.uid = info.st_uid, .gid = info.st_gid, .groups = {}, .name = {}, .home = "/"};
  }
  return account_from(*found);
}

}  // namespace recover::apps
