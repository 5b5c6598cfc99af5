// A user of this machine, for programs that must not run as root. Without privileges to give up
// there is none: then programs run as we do.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace recover::apps {

struct Account {
  uid_t uid = 0;
  gid_t gid = 0;
  std::vector<gid_t> groups;
  std::string name;
  std::string home;

  // The first of them that exists. None: we are not root, or no such user.
  static std::optional<Account> first_of(const std::vector<std::string>& names);
  // Who owns the file. None: we are not root, or root owns it, or it cannot be told.
  static std::optional<Account> owner_of(const std::string& path);
};

}  // namespace recover::apps
