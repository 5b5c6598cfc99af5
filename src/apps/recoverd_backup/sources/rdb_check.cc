#include "apps/recoverd_backup/sources/rdb_check.h"

#include <string_view>

namespace recover::apps {
namespace {

constexpr std::uint64_t kJonesReflected = 0x95ac9329ac4bc9b5;
constexpr std::uint8_t kEndMark = 0xff;
constexpr std::string_view kMagic = "REDIS";
constexpr std::uint64_t kHeadBytes = 9;  // The magic and four digits of the version.

constexpr std::array<std::uint64_t, 256> checksum_table() {
  std::array<std::uint64_t, 256> table{};
  for (std::uint64_t i = 0; i < table.size(); ++i) {
    std::uint64_t value = i;
    for (int bit = 0; bit < 8; ++bit) {
      value = (value & 1U) != 0 ? value >> 1U ^ kJonesReflected : value >> 1U;
    }
    table[i] = value;
  }
  return table;
}

constexpr std::array<std::uint64_t, 256> kChecksum = checksum_table();

}  // namespace

void RdbCheck::take(std::uint8_t byte) {
  if (count_ < begin_.size()) begin_[count_] = byte;
  std::uint8_t& oldest = tail_[count_ % kTail];
  if (count_ >= kTail) {
    checksum_ = kChecksum[(checksum_ ^ oldest) & 0xffU] ^ checksum_ >> 8U;
    last_ = oldest;
  }
  oldest = byte;
  ++count_;
}

void RdbCheck::add(std::span<const std::uint8_t> bytes) {
  for (const std::uint8_t byte : bytes) take(byte);
}

std::string RdbCheck::fault() const {
  if (count_ <= kHeadBytes + kTail ||
      std::string_view(reinterpret_cast<const char*>(begin_.data()), begin_.size()) != kMagic) {
    return "what came is no RDB file";
  }
  if (last_ != kEndMark) return "the RDB file has no end";
  std::uint64_t written = 0;
  for (std::size_t i = kTail; i-- > 0;) written = written << 8U | tail_[(count_ + i) % kTail];
  if (written != 0 && written != checksum_) return "the checksum of the RDB file is wrong";
  return {};
}

}  // namespace recover::apps
