// zstd frames as restic's decoder takes them: content size in the frame, no checksum, a window of
// 512 KiB. What would not shrink is better stored plain; the caller decides.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>

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
  // The same of a text that is too long to be held: `pieces` calls what it is given with each part
  // in turn and is false when it cannot. None then, or when it is not `size` bytes in all.
  using Pieces = std::function<bool(const std::function<bool(View)>&)>;
  std::optional<Bytes> compress(std::uint64_t size, const Pieces& pieces);
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
  // Calls `use` with the content piece by piece until it says no; Damaged then, and when the frame
  // is not whole.
  Outcome<void> decompress_pieces(View frame, const std::function<bool(View)>& use);
  // Of a length that nobody has declared, at most `limit` bytes, or Damaged.
  Outcome<Bytes> decompress_up_to(View frame, std::size_t limit);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace recover::backup
