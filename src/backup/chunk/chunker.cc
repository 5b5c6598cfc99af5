#include "backup/chunk/chunker.h"

#include <algorithm>

namespace recover::backup {
namespace {

constexpr std::size_t kWindow = 64;
constexpr std::uint64_t kCutMask = (std::uint64_t{1} << 20U) - 1;
constexpr unsigned kTopShift = kPolynomialDegree - 8;

}  // namespace

Chunker::Chunker(Polynomial polynomial) {
  const std::uint64_t p = polynomial.bits();
  for (std::uint64_t byte = 0; byte < 256; ++byte) {
    std::uint64_t hash = remainder(byte, p);
    for (std::size_t i = 1; i < kWindow; ++i) hash = remainder(hash << 8U, p);
    out_[byte] = hash;
    const std::uint64_t top = byte << static_cast<unsigned>(kPolynomialDegree);
    mod_[byte] = remainder(top, p) | top;
  }
}

// Of the 64 bytes before `end`.
std::uint64_t Chunker::hash_before(const std::uint8_t* end) const noexcept {
  std::uint64_t hash = 0;
  for (const std::uint8_t* at = end - kWindow; at != end; ++at) {
    const std::uint64_t top = hash >> kTopShift;
    hash = ((hash << 8U) | *at) ^ mod_[top];
  }
  return hash;
}

// The number of bytes after `from` up to and with the first at which to cut; 0: none of `count`.
std::size_t Chunker::scan(const std::uint8_t* from, std::size_t count) const noexcept {
  std::uint64_t hash = hash_before(from);
  for (std::size_t i = 0; i < count; ++i) {
    hash ^= out_[*(from + i - kWindow)];
    const std::uint64_t top = hash >> kTopShift;
    hash = ((hash << 8U) | from[i]) ^ mod_[top];
    if ((hash & kCutMask) == 0) return i + 1;
  }
  return 0;
}

// scan() over kLanes * kStretch bytes. Each lane remembers its first hit; the first lane's counts.
std::size_t Chunker::scan_lanes(const std::uint8_t* from) const noexcept {
  std::array<const std::uint8_t*, kLanes> start{};
  std::array<std::uint64_t, kLanes> hash{};
  for (std::size_t lane = 0; lane < kLanes; ++lane) {
    start[lane] = from + lane * kStretch;
    hash[lane] = hash_before(start[lane]);
  }
  std::array<std::size_t, kLanes> hit{};
  for (std::size_t i = 0; i < kStretch; ++i) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) {
      const std::uint8_t* const at = start[lane] + i;
      std::uint64_t value = hash[lane] ^ out_[*(at - kWindow)];
      const std::uint64_t top = value >> kTopShift;
      value = ((value << 8U) | *at) ^ mod_[top];
      hash[lane] = value;
      if ((value & kCutMask) == 0 && hit[lane] == 0) hit[lane] = i + 1;
    }
    if (hit[0] != 0) return hit[0];
  }
  for (std::size_t lane = 1; lane < kLanes; ++lane) {
    if (hit[lane] != 0) return lane * kStretch + hit[lane];
  }
  return 0;
}

std::size_t Chunker::next(View data, std::size_t scanned, bool ends) const noexcept {
  if (data.size() <= kChunkMin) return ends ? data.size() : 0;
  const std::size_t limit = std::min(data.size(), kChunkMax);
  if (scanned <= kChunkMin && (hash_before(data.data() + kChunkMin) & kCutMask) == 0) {
    return kChunkMin;
  }
  std::size_t at = std::clamp(scanned, kChunkMin, limit);
  for (; at + kLanes * kStretch <= limit; at += kLanes * kStretch) {
    if (const std::size_t hit = scan_lanes(data.data() + at)) return at + hit;
  }
  if (const std::size_t hit = scan(data.data() + at, limit - at)) return at + hit;
  return ends || limit == kChunkMax ? limit : 0;
}

}  // namespace recover::backup
