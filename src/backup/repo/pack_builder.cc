#include "backup/repo/pack_builder.h"

#include <utility>

#include <recover/check.h>

namespace recover::backup {
namespace {

constexpr std::size_t kHeaderEntryBytesMax = 41;  // pack.h: a compressed blob's.

}  // namespace

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
  return bytes_.size() >= target || (entries_.size() + 1) * kHeaderEntryBytesMax > kHeaderBytesMax;
}

FinishedPack PackBuilder::finish(Cipher& cipher) {
  RECOVER_CHECK(!entries_.empty());
  const std::size_t before = bytes_.size();
  cipher.seal(header_of(entries_), bytes_);
  append_header_length(bytes_, bytes_.size() - before);
  FinishedPack pack{.index = {.id = sha256(bytes_), .blobs = std::exchange(entries_, {})},
                    .bytes = std::exchange(bytes_, {})};
  return pack;
}

}  // namespace recover::backup
