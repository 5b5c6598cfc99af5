// One blob on its way into a pack and out of it: compress, seal; open, decompress, compare.
#pragma once

#include <functional>
#include <optional>

#include "backup/crypto/cipher.h"
#include "backup/crypto/scratch.h"
#include "backup/format/compression.h"
#include "backup/format/pack.h"
#include "backup/local/spilled_text.h"

namespace recover::backup {

// Longer trees are read and written in pieces; so are longer blobs of any kind when a pack is read
// whole. Our own data blobs are shorter.
inline constexpr std::uint64_t kLongTreeBytes = std::uint64_t{4} << 20U;
inline constexpr std::uint64_t kLongBlobBytes = std::uint64_t{9} << 20U;
inline bool is_longer(const BlobEntry& entry, std::uint64_t bytes) {
  return entry.length > bytes || entry.uncompressed_length > bytes;
}

// Owns the contexts of both libraries, so one a thread.
class BlobCodec {
 public:
  BlobCodec(const MasterKey& key, int level) : cipher_(key), compressor_(level) {}

  void set_level(int level) { compressor_.set_level(level); }
  // Appends the sealed blob to `pack` and returns its entry. What was sealed is opened again and
  // compared before it is trusted: memory that lies is found here, not in a restore.
  Outcome<BlobEntry> seal(BlobType type, const Digest& id, View plain, Bytes& pack);
  // The same, and the sealed bytes in the codec's own room: valid until its next call. The entry's
  // offset is 0.
  struct Sealed {
    BlobEntry entry;
    View bytes;
  };
  Outcome<Sealed> seal(BlobType type, const Digest& id, View plain);
  // A tree that is too long to be held; it is appended to `sealed`, which has to be empty.
  Outcome<BlobEntry> seal_long(const Digest& id, const Pieces& text, SpilledText& sealed);
  // Of a sealed blob `length` bytes from `offset`.
  using SealedPart = std::function<Outcome<Bytes>(std::uint64_t offset, std::uint64_t length)>;
  // Calls `use` with the plaintext of a blob that is too long to be held, piece by piece, after its
  // tag was verified: it is read twice. Damaged as open(), and then what was used is worth nothing.
  Outcome<void> read_long(const BlobEntry& entry, const SealedPart& sealed,
                          const std::function<Outcome<void>(View)>& use);
  // As open() below, in the codec's own room: valid until its next call.
  Outcome<View> read(const BlobEntry& entry, View sealed);
  // The same of what a store puts into the codec's room: `fill` is given it and says whether it
  // could. None: it could not, or the blob is damaged.
  template <class Fill>
  std::optional<View> read_filled(const BlobEntry& entry, Fill&& fill) {
    const std::span<std::uint8_t> sealed = sealed_.room(entry.length);
    if (!fill(sealed)) return std::nullopt;
    const auto plain = open_room(entry, sealed);
    return plain ? std::optional(*plain) : std::nullopt;
  }
  // The plaintext of a sealed blob. Damaged unless its SHA-256 is the entry's ID.
  Outcome<Bytes> open(const BlobEntry& entry, View sealed);

  Cipher& cipher() noexcept { return cipher_; }

 private:
  // `sealed` is lost.
  Outcome<View> open_room(const BlobEntry& entry, std::span<std::uint8_t> sealed);
  Outcome<View> finish_reading(const BlobEntry& entry, View payload);
  // Whether the sealed frame holds exactly these bytes; opened piece by piece.
  bool decodes_to(View sealed, View plain);
  Outcome<void> open_pieces(const BlobEntry& entry, const SealedPart& sealed,
                            const std::function<Outcome<void>(View)>& use);

  Cipher cipher_;
  Compressor compressor_;
  Decompressor decompressor_;
  Scratch sealed_;
  Scratch plain_;
  Scratch opened_;
};

}  // namespace recover::backup
