#include "adapters/process/account.h"

#include <grp.h>
#include <pwd.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <optional>

namespace recover::adapters::process {
namespace {

constexpr std::size_t kEntryMax = 64U << 10U;
constexpr int kGroupsMax = 1024;

std::optional<id_t> as_number(const std::string& text) {
  id_t id = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, id);
  return error == std::errc() && stop == end ? std::optional(id) : std::nullopt;
}

std::optional<Account> account_of(const std::string& user, std::optional<id_t> number) {
  std::vector<char> text(kEntryMax);
  passwd entry{};
  passwd* found = nullptr;
  if (number) {
    ::getpwuid_r(*number, &entry, text.data(), text.size(), &found);
  } else {
    ::getpwnam_r(user.c_str(), &entry, text.data(), text.size(), &found);
  }
  if (found == nullptr) return std::nullopt;
  return Account{.uid = entry.pw_uid,
                 .gid = entry.pw_gid,
                 .groups = {},
                 .name = entry.pw_name,
                 .home = entry.pw_dir,
                 .shell = entry.pw_shell};
}

void add_groups(Account& account) {
  std::array<gid_t, kGroupsMax> groups{};
  int count = kGroupsMax;
  if (account.name.empty() ||
      ::getgrouplist(account.name.c_str(), account.gid, groups.data(), &count) < 0) {
    account.groups = {account.gid};
    return;
  }
  account.groups.assign(groups.begin(), groups.begin() + count);
}

}  // namespace

std::optional<gid_t> group_named(const std::string& name) {
  if (const auto number = as_number(name)) return *number;
  std::vector<char> text(kEntryMax);
  group entry{};
  group* found = nullptr;
  ::getgrnam_r(name.c_str(), &entry, text.data(), text.size(), &found);
  return found == nullptr ? std::nullopt : std::optional(entry.gr_gid);
}

Result<Account, std::string> find_account(
    const std::string& user, const std::string& group,
    const std::optional<std::vector<std::string>>& supplementary) {
  const auto number = user.empty() ? std::optional<id_t>(::geteuid()) : as_number(user);
  auto account = account_of(user, number);
  if (!account && !number) return Unexpected("no such user: " + user);
  if (!account) {
    account.emplace();
    account->uid = account->gid = *number;
  }
  if (!group.empty()) {
    const auto gid = group_named(group);
    if (!gid) return Unexpected("no such group: " + group);
    account->gid = *gid;
  }
  if (!supplementary) {
    add_groups(*account);
    return *account;
  }
  account->groups = {account->gid};
  for (const std::string& name : *supplementary) {
    const auto gid = group_named(name);
    if (!gid) return Unexpected("no such group: " + name);
    account->groups.push_back(*gid);
  }
  return *account;
}

}  // namespace recover::adapters::process
