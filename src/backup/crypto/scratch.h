// Room that is reused: its bytes are nobody's until written, so nothing is zeroed, copied or
// returned to the system between two uses.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

namespace recover::backup {

class Scratch {
 public:
  // `size` bytes of any value, valid until the next call. What was there is lost.
  std::span<std::uint8_t> room(std::size_t size) {
    const bool wasteful = capacity_ > kKeptMax && size < capacity_ / 2;
    if (size > capacity_ || wasteful) {
      bytes_.reset();  // First: both at once would be the peak.
      bytes_ = std::make_unique_for_overwrite<std::uint8_t[]>(size);
      capacity_ = size;
    }
    return {bytes_.get(), size};
  }

 private:
  // One large blob is soon forgotten.
  static constexpr std::size_t kKeptMax = std::size_t{2} << 20U;

  std::unique_ptr<std::uint8_t[]> bytes_;
  std::size_t capacity_ = 0;
};

}  // namespace recover::backup
