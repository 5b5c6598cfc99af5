#include "backup/repo/blob_codec.h"

#include <algorithm>

namespace recover::backup {
namespace {

Unexpected<Failure> damaged_blob(const BlobEntry& entry, const std::string& why) {
  return fail(FailureKind::Damaged, "blob " + hex(entry.id) + ": " + why);
}

}  // namespace

Outcome<BlobCodec::Sealed> BlobCodec::seal(BlobType type, const Digest& id, View plain) {
  // A tree stored plain is valid but would be repacked by every prune of restic's.
  const bool try_to = !plain.empty() && (type == BlobType::Tree || compressor_.is_promising(plain));
  View payload = try_to ? compressor_.compress(plain) : plain;
  const bool compressed = try_to && (type == BlobType::Tree || payload.size() < plain.size());
  if (!compressed) payload = plain;

  const auto sealed = sealed_.room(payload.size() + kSealOverhead);
  cipher_.seal_into(payload, sealed);
  if (!cipher_.opens_to(sealed, payload) ||
      (compressed && !decompressor_.decompresses_to(payload, plain))) {
    return fail(FailureKind::Damaged,
                "blob " + hex(id) + " does not decode to what was encoded: is the memory sound?");
  }
  return Sealed{
      .entry = {.id = id,
                .type = type,
                .offset = 0,
                .length = static_cast<std::uint32_t>(sealed.size()),
                .uncompressed_length = compressed ? static_cast<std::uint32_t>(plain.size()) : 0},
      .bytes = sealed};
}

Outcome<BlobEntry> BlobCodec::seal(BlobType type, const Digest& id, View plain, Bytes& pack) {
  auto sealed = seal(type, id, plain);
  if (!sealed) return Unexpected(std::move(sealed.error()));
  sealed->entry.offset = static_cast<std::uint32_t>(pack.size());
  append(pack, sealed->bytes);
  return sealed->entry;
}

Outcome<std::pair<BlobEntry, Bytes>> BlobCodec::seal_long(const Digest& id,
                                                          const SpilledText& text) {
  const auto payload = compressor_.compress(
      text.size(), [&](const std::function<bool(View)>& use) { return text.each_piece(use); });
  if (!payload) return fail(FailureKind::Io, "blob " + hex(id) + ": its text cannot be read");
  Bytes sealed(payload->size() + kSealOverhead);
  cipher_.seal_into(*payload, sealed);
  Sha256 hash;
  const auto opened = decompressor_.decompress_pieces(*payload, [&](View piece) {
    hash.add(piece);
    return true;
  });
  if (!opened || hash.finish() != id || !cipher_.opens_to(sealed, *payload)) {
    return fail(FailureKind::Damaged,
                "blob " + hex(id) + " does not decode to what was encoded: is the memory sound?");
  }
  const BlobEntry entry{.id = id,
                        .type = BlobType::Tree,
                        .offset = 0,
                        .length = static_cast<std::uint32_t>(sealed.size()),
                        .uncompressed_length = static_cast<std::uint32_t>(text.size())};
  return std::pair(entry, std::move(sealed));
}

Outcome<void> BlobCodec::read_long(const BlobEntry& entry, View sealed, SpilledText& text) {
  const auto damaged = [&](const std::string& why) {
    return fail(FailureKind::Damaged, "blob " + hex(entry.id) + ": " + why);
  };
  const auto payload = sealed_.room(std::max(sealed.size(), kSealOverhead) - kSealOverhead);
  if (auto opened = cipher_.open_into(sealed, payload); !opened)
    return damaged(opened.error().message);
  Sha256 hash;
  const auto take = [&](View piece) {
    hash.add(piece);
    return text.size() + piece.size() <= entry.uncompressed_length && text.append(text_of(piece));
  };
  auto done = decompressor_.decompress_pieces(payload, take);
  sealed_ = Scratch();
  if (!done) return damaged(done.error().message);
  if (!text.flush()) return fail(FailureKind::Full, "no room for the text of a giant folder");
  if (hash.finish() != entry.id) return damaged("its content is another's");
  return {};
}

Outcome<View> BlobCodec::read(const BlobEntry& entry, View sealed) {
  const auto payload = sealed_.room(std::max(sealed.size(), kSealOverhead) - kSealOverhead);
  if (auto opened = cipher_.open_into(sealed, payload); !opened) {
    return damaged_blob(entry, opened.error().message);
  }
  return finish_reading(entry, payload);
}

Outcome<View> BlobCodec::open_room(const BlobEntry& entry, std::span<std::uint8_t> sealed) {
  const auto payload = cipher_.open_in_place(sealed);
  if (!payload) return damaged_blob(entry, payload.error().message);
  return finish_reading(entry, *payload);
}

Outcome<View> BlobCodec::finish_reading(const BlobEntry& entry, View payload) {
  View plain = payload;
  if (entry.is_compressed()) {
    const auto room = plain_.room(entry.uncompressed_length);
    if (auto done = decompressor_.decompress_into(payload, room); !done)
      return damaged_blob(entry, done.error().message);
    plain = room;
  }
  if (sha256(plain) != entry.id) return damaged_blob(entry, "its content is another's");
  return plain;
}

Outcome<Bytes> BlobCodec::open(const BlobEntry& entry, View sealed) {
  const auto plain = read(entry, sealed);
  if (!plain) return Unexpected(plain.error());
  return Bytes(plain->begin(), plain->end());
}

}  // namespace recover::backup
