#include "backup/local/spilled_keys.h"

#include <fcntl.h>

#include <utility>

namespace recover::backup {

bool SpilledKeys::insert(Key key) {
  if (key == Key()) key[0] = 1;
  Key* place = &place_of(key);
  if (*place == key) return false;
  if (4 * (count_ + 1) > 3 * slots_) {
    grow();
    place = &place_of(key);
  }
  *place = key;
  ++count_;
  return true;
}

bool SpilledKeys::contains(Key key) const {
  if (key == Key()) key[0] = 1;
  return place_of(key) == key;
}

SpilledKeys::Key& SpilledKeys::place_of(const Key& key) const {
  std::size_t i = key[0] & (slots_ - 1);
  while (slot(i) != Key() && slot(i) != key) i = (i + 1) & (slots_ - 1);
  return slot(i);
}

void SpilledKeys::grow() {
  SpilledKeys next{std::string()};
  next.slots_ = 2 * slots_;
  const std::size_t bytes = next.slots_ * sizeof(Key);
  if (next.slots_ > kInMemory && !folder_.empty()) {
    const posix::Descriptor file = open_nameless(folder_);
    // With its blocks: a full disk must not be found out by writing to memory.
    if (file && ::posix_fallocate(file.get(), 0, static_cast<off_t>(bytes)) == 0) {
      if (auto region = MappedRegion::map(file.get(), bytes, MappedRegion::Access::Write)) {
        next.region_ = std::move(*region);
      }
    }
  }
  next.own_.assign(next.is_spilled() ? 0 : next.slots_, Key());
  for (std::size_t i = 0; i < slots_; ++i) {
    const Key& key = slot(i);
    if (key != Key()) next.place_of(key) = key;
  }
  own_ = std::move(next.own_);
  region_ = std::move(next.region_);
  slots_ = next.slots_;
}

}  // namespace recover::backup
