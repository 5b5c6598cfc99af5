// zstd frames as restic's decoder takes them: content size in the frame, no checksum, a window of
// 512 KiB. What would not shrink is better stored plain; the caller decides.
#pragma once

#include <cstddef>
#include <memory>

#include "backup/crypto/bytes.h"
#include "backup/failure.h"

namespace recover::backup {

inline constexpr int kDefaultLevel = 3;

// One context a thread, reused: making one costs more than compressing a small file.
class Compressor {
 public:
  explicit Compressor(int level = kDefaultLevel);
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;
  ~Compressor();

  // 1 (fastest) to 19.
  void set_level(int level);
  // Valid until the next call.
  View compress(View plain);
  // Whether compress() is worth its time: false for noise, told from a few samples of it.
  bool is_promising(View plain);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

class Decompressor {
 public:
  Decompressor();
  Decompressor(Decompressor&&) noexcept;
  Decompressor& operator=(Decompressor&&) noexcept;
  ~Decompressor();

  // Exactly `length` bytes, or Damaged.
  Outcome<Bytes> decompress(View frame, std::size_t length);
  // Of a length that nobody has declared, at most `limit` bytes, or Damaged.
  Outcome<Bytes> decompress_up_to(View frame, std::size_t limit);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace recover::backup
