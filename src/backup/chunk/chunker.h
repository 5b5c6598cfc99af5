// restic's content-defined chunker: where a file is cut depends on 64 bytes around the cut alone,
// so an insertion moves the cuts after it along instead of changing every block.
//
// A chunk is the shortest prefix of kChunkMin bytes or more whose last 64 bytes hash to 20 zero
// bits, at most kChunkMax bytes. The cuts are those of restic for the same polynomial, found in
// four independent lanes: one rolling hash waits on its own table lookups most of the time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "backup/chunk/polynomial.h"
#include "backup/crypto/bytes.h"

namespace recover::backup {

inline constexpr std::size_t kChunkMin = std::size_t{512} << 10U;
inline constexpr std::size_t kChunkMax = std::size_t{8} << 20U;

// Immutable after construction: any number of threads.
class Chunker {
 public:
  explicit Chunker(Polynomial polynomial);

  // The length of the first chunk of `data`. REQUIRES: data has kChunkMax bytes or more, or ends
  // where its file ends. 0 only for no data.
  std::size_t cut(View data) const noexcept { return next(data, 0, true); }
  // The same while more data may follow; 0: no cut in what is there. The first `scanned` bytes were
  // looked at by an earlier call.
  std::size_t next(View data, std::size_t scanned, bool ends) const noexcept;

 private:
  static constexpr std::size_t kLanes = 4;
  // What one lane looks at before the lanes are compared: long enough to pay for its first 64
  // bytes, short enough that little is hashed in vain behind a cut.
  static constexpr std::size_t kStretch = std::size_t{16} << 10U;

  std::uint64_t hash_before(const std::uint8_t* end) const noexcept;
  std::size_t scan_lanes(const std::uint8_t* from) const noexcept;
  std::size_t scan(const std::uint8_t* from, std::size_t count) const noexcept;

  std::array<std::uint64_t, 256> out_{};  // hash(b, then 63 zero bytes): takes b out of the window.
  std::array<std::uint64_t, 256> mod_{};  // (b * x^53 mod P) | b << 53: reduces after a shift.
};

}  // namespace recover::backup
