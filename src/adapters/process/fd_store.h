// The descriptors an instance asked to be kept (sd_notify FDSTORE=1), for its next start.
//
// Bounded by what the service is allowed; the keeper holds them over a crash of the engine. They
// outlive restarts and are closed when the service is stopped. Loop thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "adapters/process/descriptor.h"
#include "adapters/process/keeper_link.h"

namespace recover::adapters::process {

inline constexpr std::size_t kStoredNameMax = 24;  // Of FDNAME; longer ones are cut.

class FdStore {
 public:
  // Takes back what an earlier engine stored for `owner` ("web@1").
  FdStore(KeeperLink& keeper, std::string_view owner);

  // Kept until `limit` is reached; false: there is no room, and it is closed.
  bool put(std::string_view name, Descriptor fd, std::uint32_t limit);
  void remove(std::string_view name);
  void clear();
  // Oldest first; borrowed.
  std::vector<std::pair<std::string, int>> all() const;

 private:
  struct Stored {
    std::string label;
    std::string name;
    Descriptor fd;
  };

  KeeperLink& keeper_;
  std::string prefix_;
  std::vector<Stored> stored_;
  std::uint32_t next_ = 0;
};

}  // namespace recover::adapters::process
