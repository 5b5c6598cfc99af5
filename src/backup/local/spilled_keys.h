// A set of keys of 128 random bits each, in memory while it is small and in a file without a name
// when not. One thread at a time.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "backup/local/mapped_region.h"

namespace recover::backup {

class SpilledKeys {
 public:
  using Key = std::array<std::uint64_t, 2>;

  // Where the folder is no use, or none is given, all are in memory.
  explicit SpilledKeys(std::string folder) : folder_(std::move(folder)), own_(kFirstSlots) {}

  // False: it was there.
  bool insert(Key key);
  bool contains(Key key) const;
  std::size_t size() const noexcept { return count_; }
  bool is_spilled() const noexcept { return region_.size() != 0; }

 private:
  static constexpr std::size_t kFirstSlots = std::size_t{1} << 12U;
  static constexpr std::size_t kInMemory = std::size_t{1} << 17U;  // Slots: 2 MiB.

  // An empty slot is zeros; the table is at most three quarters full.
  Key& slot(std::size_t i) const {
    if (region_.size() == 0) return own_[i];
    return *reinterpret_cast<Key*>(region_.at(i * sizeof(Key)));
  }
  Key& place_of(const Key& key) const;
  void grow();

  std::string folder_;
  mutable std::vector<Key> own_;  // slot() gives a place in it
  MappedRegion region_;
  std::size_t slots_ = kFirstSlots;  // A power of two.
  std::size_t count_ = 0;
};

}  // namespace recover::backup
