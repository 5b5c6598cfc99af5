// Names of users and groups by number, asked once each. Thread-safe.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>

namespace recover::backup {

class OwnerNames {
 public:
  // Empty when the system knows no name.
  std::string user(std::uint32_t uid);
  std::string group(std::uint32_t gid);

 private:
  std::mutex mutex_;
  std::map<std::uint32_t, std::string> users_;
  std::map<std::uint32_t, std::string> groups_;
};

}  // namespace recover::backup
