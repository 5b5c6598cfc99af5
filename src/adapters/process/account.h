// The user and groups a service runs as, looked up before the fork.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

#include <recover/result.h>

namespace recover::adapters::process {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;  // Supplementary, with gid.
  std::string name;
  std::string home;
  std::string shell;
};

// `user` and `group`: names or numbers; group empty: the user's own. May ask the name service, so
// it can block where that is not local files. `supplementary`: in place of the user's own groups.
// Error: "no such user: x".
Result<Account, std::string> find_account(
    const std::string& user, const std::string& group,
    const std::optional<std::vector<std::string>>& supplementary = std::nullopt);

// A name or a number. Nothing: no such group. May block as find_account() does.
std::optional<gid_t> group_named(const std::string& name);

}  // namespace recover::adapters::process
