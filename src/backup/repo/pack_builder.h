// A pack while it is filled: sealed blobs of one type, then its header.
#pragma once

#include <vector>

#include "backup/repo/blob_codec.h"

namespace recover::backup {

inline constexpr std::size_t kPackBytesDefault = std::size_t{16} << 20U;

struct FinishedPack {
  IndexedPack index;
  Bytes bytes;
};

class PackBuilder {
 public:
  // Seals the blob into the pack.
  Outcome<BlobEntry> add(BlobCodec& codec, BlobType type, const Digest& id, View plain);
  // Takes a blob that was sealed elsewhere; its offset becomes the one in this pack.
  void take(BlobEntry entry, View sealed);
  std::size_t bytes() const noexcept { return bytes_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  // Whether the pack has reached `target` bytes, or its header its largest size.
  bool is_full(std::size_t target) const noexcept;
  // Adds the header, names the pack; begins anew. REQUIRES: not empty().
  FinishedPack finish(Cipher& cipher);

 private:
  Bytes bytes_;
  std::vector<BlobEntry> entries_;
};

}  // namespace recover::backup
