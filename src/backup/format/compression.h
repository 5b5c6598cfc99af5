// zstd frames as restic's decoder takes them: content size in the frame, no checksum, a window of
// 512 KiB. What would not shrink is better stored plain; the caller decides.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

#include "backup/crypto/bytes.h"
#include "backup/failure.h"

namespace recover::backup {

// Chosen by the size of what is compressed, so that the result is no larger than restic's own
// default makes it: measured on text, database pages and programs.
inline constexpr int kDefaultLevel = 0;

// One context a thread, reused: making one costs more than compressing a small file.
class Compressor {
 public:
  explicit Compressor(int level = kDefaultLevel);
  Compressor(Compressor&&) noexcept;
  Compressor& operator=(Compressor&&) noexcept;
  ~Compressor();

  // 1 (fastest) to 19, or kDefaultLevel.
  void set_level(int level);
  // Valid until the next call.
  View compress(View plain);
  // The same into the caller's room; how much of it was needed. REQUIRES: bound() bytes of room.
  std::size_t compress_into(View plain, std::span<std::uint8_t> room);
  static std::size_t bound(std::size_t plain);
  // The same of a text that is too long to be held: what comes of it goes to `out` in pieces.
  // False: `out` was, or the text cannot be read, or is not as long as it says.
  bool compress(const Pieces& text, const std::function<bool(View)>& out);
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
  // Fills `plain` exactly, or Damaged.
  Outcome<void> decompress_into(View frame, std::span<std::uint8_t> plain);
  // Whether the frame holds exactly these bytes; needs no room for them.
  bool decompresses_to(View frame, View plain);
  // Calls `use` with the content piece by piece, of a frame that comes piece by piece: `next` gives
  // nothing at its end. A failure of either is returned; Damaged: the frame is not whole.
  Outcome<void> decompress_pieces(const std::function<Outcome<View>()>& next,
                                  const std::function<Outcome<void>(View)>& use);
  // Of a length that nobody has declared, at most `limit` bytes, or Damaged.
  Outcome<Bytes> decompress_up_to(View frame, std::size_t limit);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace recover::backup
