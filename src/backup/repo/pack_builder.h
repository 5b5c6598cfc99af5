// A pack while it is filled: sealed blobs of one type, then its header.
#pragma once

#include <optional>
#include <vector>

#include "backup/repo/blob_codec.h"
#include "backup/store/store.h"

namespace recover::backup {

// Half of restic's default: two data packs at once (filled, written) are most of the
// memory that a backup needs.
inline constexpr std::size_t kPackBytesDefault = std::size_t{8} << 20U;
inline constexpr std::size_t kTreePackBytesDefault = std::size_t{4} << 20U;

// A pack of a hundred thousand tiny blobs would be 20 MiB of text in its index file.
inline constexpr std::size_t kPackBlobsMax = 16'000;

struct FinishedPack {
  IndexedPack index;
  Bytes bytes;
};

// The blobs of a pack, without its header yet.
struct FilledPack {
  std::vector<BlobEntry> entries;
  Bytes bytes;
  std::optional<SpilledText> file = {};  // Instead of `bytes`: of a giant.
};

// Adds the header and names the pack. REQUIRES: it has entries.
FinishedPack finish_pack(FilledPack pack, Cipher& cipher);
// The same in its file. Full: there is no room for the header.
Outcome<IndexedPack> finish_file(FilledPack& pack, Cipher& cipher);

class PackBuilder {
 public:
  // Seals the blob into the pack.
  Outcome<BlobEntry> add(BlobCodec& codec, BlobType type, const Digest& id, View plain);
  // Takes a blob that was sealed elsewhere; its offset becomes the one in this pack.
  void take(BlobEntry entry, View sealed);
  std::size_t bytes() const noexcept { return bytes_.size(); }
  bool empty() const noexcept { return entries_.empty(); }
  void reserve(std::size_t bytes) { bytes_.reserve(bytes); }
  // Whether the pack has reached `target` bytes, or as many blobs as are good for its index.
  bool is_full(std::size_t target) const noexcept;
  // Whether a blob of `sealed` bytes more would make the pack larger than it should be.
  bool would_exceed(std::size_t sealed, std::size_t target) const noexcept;
  // What was added; begins anew in `room`, whose content is lost. REQUIRES: not empty().
  FilledPack release(Bytes room = {});
  // Adds the header, names the pack; begins anew. REQUIRES: not empty().
  FinishedPack finish(Cipher& cipher) { return finish_pack(release(), cipher); }

 private:
  Bytes bytes_;
  std::vector<BlobEntry> entries_;
};

// Writes a pack of `builder`, which begins anew. REQUIRES: it is not empty().
Outcome<IndexedPack> write_pack(Store& store, PackBuilder& builder, Cipher& cipher);

}  // namespace recover::backup
