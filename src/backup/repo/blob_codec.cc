#include "backup/repo/blob_codec.h"

#include <algorithm>

namespace recover::backup {

Outcome<BlobEntry> BlobCodec::seal(BlobType type, const Digest& id, View plain, Bytes& pack) {
  // A tree stored plain is valid but would be repacked by every prune of restic's.
  const bool try_to = !plain.empty() && (type == BlobType::Tree || compressor_.is_promising(plain));
  View payload = try_to ? compressor_.compress(plain) : plain;
  const bool compressed = try_to && (type == BlobType::Tree || payload.size() < plain.size());
  if (!compressed) payload = plain;

  BlobEntry entry{.id = id,
                  .type = type,
                  .offset = static_cast<std::uint32_t>(pack.size()),
                  .length = static_cast<std::uint32_t>(payload.size() + kSealOverhead),
                  .uncompressed_length = compressed ? static_cast<std::uint32_t>(plain.size()) : 0};
  cipher_.seal(payload, pack);
  auto back = cipher_.open(View(pack).subspan(entry.offset));
  if (back && compressed) back = decompressor_.decompress(*back, plain.size());
  if (!back || !std::equal(back->begin(), back->end(), plain.begin(), plain.end())) {
    pack.resize(entry.offset);
    return fail(FailureKind::Damaged,
                "blob " + hex(id) + " does not decode to what was encoded: is the memory sound?");
  }
  return entry;
}

Outcome<Bytes> BlobCodec::open(const BlobEntry& entry, View sealed) {
  auto plain = cipher_.open(sealed);
  if (plain && entry.is_compressed()) {
    plain = decompressor_.decompress(*plain, entry.uncompressed_length);
  }
  if (!plain) {
    return fail(FailureKind::Damaged, "blob " + hex(entry.id) + ": " + plain.error().message);
  }
  if (sha256(*plain) != entry.id) {
    return fail(FailureKind::Damaged, "blob " + hex(entry.id) + ": its content is another's");
  }
  return plain;
}

}  // namespace recover::backup
