// Whether bytes that pass by are a whole RDB file of Redis: its beginning, its end mark and its
// checksum. What is in between is not looked at. Pure.
// Source: https://rdb.fnordig.de/file_format.html; the checksum is CRC-64 with the polynomial of
// Jones, of all bytes before it.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace recover::apps {

class RdbCheck {
 public:
  void add(std::span<const std::uint8_t> bytes);
  // What is wrong with it; empty: nothing.
  std::string fault() const;

 private:
  static constexpr std::size_t kTail = 8;  // The checksum, little-endian; 0: the server makes none.

  void take(std::uint8_t byte);

  std::array<std::uint8_t, 5> begin_{};
  std::array<std::uint8_t, kTail> tail_{};
  std::uint64_t count_ = 0;
  std::uint64_t checksum_ = 0;
  std::uint8_t last_ = 0;  // Before the tail.
};

}  // namespace recover::apps
