#include "backup/repo/pack_builder.h"

#include <utility>

#include <recover/check.h>

namespace recover::backup {

Outcome<BlobEntry> PackBuilder::add(BlobCodec& codec, BlobType type, const Digest& id, View plain) {
  RECOVER_CHECK(entries_.empty() || entries_.front().type == type);
  auto entry = codec.seal(type, id, plain, bytes_);
  if (entry) entries_.push_back(*entry);
  return entry;
}

void PackBuilder::take(BlobEntry entry, View sealed) {
  RECOVER_CHECK(entries_.empty() || entries_.front().type == entry.type);
  entry.offset = static_cast<std::uint32_t>(bytes_.size());
  append(bytes_, sealed);
  entries_.push_back(entry);
}

bool PackBuilder::is_full(std::size_t target) const noexcept {
  return bytes_.size() >= target || entries_.size() >= kPackBlobsMax;
}

bool PackBuilder::would_exceed(std::size_t sealed, std::size_t target) const noexcept {
  return !entries_.empty() && (bytes_.size() + sealed > target || entries_.size() >= kPackBlobsMax);
}

FilledPack PackBuilder::release(Bytes room) {
  RECOVER_CHECK(!entries_.empty());
  room.clear();
  return {.entries = std::exchange(entries_, {}),
          .bytes = std::exchange(bytes_, std::move(room)),
          .file = std::nullopt};
}

FinishedPack finish_pack(FilledPack pack, Cipher& cipher) {
  const std::size_t before = pack.bytes.size();
  cipher.seal(header_of(pack.entries), pack.bytes);
  append_header_length(pack.bytes, pack.bytes.size() - before);
  const Digest id = sha256(pack.bytes);
  return {.index = {.id = id, .blobs = std::move(pack.entries)}, .bytes = std::move(pack.bytes)};
}

Outcome<IndexedPack> finish_file(FilledPack& pack, Cipher& cipher) {
  Bytes header;
  cipher.seal(header_of(pack.entries), header);
  append_header_length(header, header.size());
  Sha256 hash;
  const bool whole = pack.file->append(text_of(header)) && pack.file->flush() &&
                     pack.file->each_piece([&](View piece) {
                       hash.add(piece);
                       return true;
                     });
  if (!whole) return fail(FailureKind::Full, "no room for the pack of a giant folder");
  return IndexedPack{.id = hash.finish(), .blobs = std::move(pack.entries)};
}

Outcome<IndexedPack> write_pack(Store& store, PackBuilder& builder, Cipher& cipher) {
  FinishedPack pack = builder.finish(cipher);
  const FileName name{.kind = FileKind::Pack, .id = pack.index.id};
  if (auto written = store.write(name, pack.bytes); !written) return Unexpected(written.error());
  return std::move(pack.index);
}

}  // namespace recover::backup
