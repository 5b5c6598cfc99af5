// An array of numbers that is in memory while it is small and in a file without a name when not.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <vector>

#include "backup/local/mapped_region.h"

namespace recover::backup {

class SpilledNumbers {
 public:
  // All of them 0. Where the folder is no use, or none is given, they are in memory.
  SpilledNumbers(std::size_t count, const std::string& folder) {
    if (count > kInMemory && !folder.empty()) spill(count, folder);
    if (region_.size() == 0) own_.resize(count);
  }

  std::uint32_t get(std::size_t i) const { return region_.size() == 0 ? own_[i] : *place(i); }
  void set(std::size_t i, std::uint32_t value) {
    (region_.size() == 0 ? own_[i] : *place(i)) = value;
  }

 private:
  static constexpr std::size_t kInMemory = std::size_t{1} << 18U;

  std::uint32_t* place(std::size_t i) const {
    return reinterpret_cast<std::uint32_t*>(region_.at(i * sizeof(std::uint32_t)));
  }
  void spill(std::size_t count, const std::string& folder) {
    const posix::Descriptor file = open_nameless(folder);
    const std::size_t bytes = count * sizeof(std::uint32_t);
    // With its blocks: a full disk must not be found out by writing to memory.
    if (!file || ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)) != 0) return;
    if (auto region = MappedRegion::map(file.get(), bytes, MappedRegion::Access::Write)) {
      region_ = std::move(*region);
    }
  }

  std::vector<std::uint32_t> own_;
  MappedRegion region_;
};

}  // namespace recover::backup
