// What one append writes to the stage (staged_journal.h): a frame, and how frames are read again.
//
// Layout, integers little-endian: magic (4), bytes of the payload (4), sequence of its first entry
// (8), payload, SHA-256 of (the digest of the frame before || all of this frame so far). What the
// first frame of a file builds on is the hash of the entry before it. So a torn frame, the rest of
// an earlier filling and a frame of another past are all told from one that follows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "journal/chain.h"
#include "ports/journal.h"

namespace recover::journal {

inline constexpr std::size_t kFrameHead = 16;

struct Frame {
  std::uint64_t first = 0;  // Sequence.
  std::string_view payload;
  Digest digest{};
  std::size_t bytes = 0;  // Of the whole frame.
};

// `out` becomes the frame. Returns its digest.
Digest write_frame(std::string& out, Hasher& hasher, const Digest& previous, std::uint64_t first,
                   std::string_view payload);
// The sequence that a frame at the start of `text` claims to begin with; none: there is no frame.
std::optional<std::uint64_t> frame_start(std::string_view text);
// The whole frame there; none unless it follows `previous`.
std::optional<Frame> read_frame(std::string_view text, Hasher& hasher, const Digest& previous);

// REQUIRES: the bounds of append() (kNameBytesMax, kBodyBytesMax).
std::string encode_entries(std::span<const ports::Entry> entries);
std::optional<std::vector<ports::Entry>> decode_entries(std::string_view payload);

}  // namespace recover::journal
