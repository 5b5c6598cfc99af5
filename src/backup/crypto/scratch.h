// Room that is reused: its bytes are nobody's until written, so nothing is zeroed, copied or
// returned to the system between two uses.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <span>

namespace recover::backup {

class Scratch {
 public:
  // `size` bytes of any value, valid until the next call. What was there is lost.
  std::span<std::uint8_t> room(std::size_t size) {
    const bool wasteful = capacity_ > kKeptMax && size < capacity_ / 2;
    wasted_ = wasteful ? wasted_ + 1 : 0;
    if (size > capacity_ || wasted_ > kWastedMax) {
      bytes_.reset();  // First: both at once would be the peak.
      // Steps: pages that come and go with every blob cost more than what is done with them.
      const std::size_t step = std::max(std::bit_floor(size) / 4, kStepMin);
      capacity_ = (size + step - 1) / step * step;
      bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(capacity_);
      wasted_ = 0;
    }
    return {bytes_.get(), size};
  }

 private:
  // One large blob is soon forgotten.
  static constexpr std::size_t kKeptMax = std::size_t{3} << 20U;
  static constexpr unsigned kWastedMax = 16;
  static constexpr std::size_t kStepMin = 1024;

  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t capacity_ = 0;
  unsigned wasted_ = 0;  // Uses of less than half of it in a row.
};

}  // namespace recover::backup
