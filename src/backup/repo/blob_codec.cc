#include "backup/repo/blob_codec.h"

#include <algorithm>

#include "backup/local/file.h"

namespace recover::backup {
namespace {

Unexpected<Failure> damaged_blob(const BlobEntry& entry, const std::string& why) {
  return fail(FailureKind::Damaged, "blob " + hex(entry.id) + ": " + why);
}

}  // namespace

Outcome<BlobCodec::Sealed> BlobCodec::seal(BlobType type, const Digest& id, View plain) {
  // A tree stored plain is valid but would be repacked by every prune of restic's.
  const bool try_to = !plain.empty() && (type == BlobType::Tree || compressor_.is_promising(plain));
  const auto room =
      sealed_.room(kSealOverhead + (try_to ? Compressor::bound(plain.size()) : plain.size()));
  std::span<std::uint8_t> sealed = room.first(plain.size() + kSealOverhead);
  bool compressed = false;
  if (try_to) {
    const std::size_t length =
        compressor_.compress_into(plain, room.subspan(kIvBytes, room.size() - kSealOverhead));
    compressed = type == BlobType::Tree || length < plain.size();
    if (compressed) sealed = room.first(length + kSealOverhead);
  }
  if (compressed) {
    cipher_.seal_in_place(sealed);
  } else {
    cipher_.seal_into(plain, sealed);
  }
  if (compressed ? !decodes_to(sealed, plain) : !cipher_.opens_to(sealed, plain)) {
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

bool BlobCodec::decodes_to(View sealed, View plain) {
  constexpr std::size_t kPieceBytes = std::size_t{128} << 10U;
  View rest = sealed.subspan(kIvBytes, sealed.size() - kSealOverhead);
  cipher_.begin_check(sealed.first(kIvBytes));
  cipher_.check_piece(rest);
  if (!cipher_.end_check(sealed.last(kTagBytes))) return false;
  cipher_.begin_open(sealed.first(kIvBytes));
  const auto next = [&]() -> Outcome<View> {
    const auto piece = opened_.room(std::min(rest.size(), kPieceBytes));
    std::copy_n(rest.begin(), piece.size(), piece.begin());
    rest = rest.subspan(piece.size());
    cipher_.open_piece(piece);
    return View(piece);
  };
  if (rest.size() <= kPieceBytes) return decompressor_.decompresses_to(*next(), plain);
  const auto same = decompressor_.decompress_pieces(next, [&](View piece) -> Outcome<void> {
    const bool fits =
        piece.size() <= plain.size() && std::equal(piece.begin(), piece.end(), plain.begin());
    if (!fits) return fail(FailureKind::Damaged, "other bytes");
    plain = plain.subspan(piece.size());
    return {};
  });
  return same && plain.empty();
}

Outcome<BlobEntry> BlobCodec::seal(BlobType type, const Digest& id, View plain, Bytes& pack) {
  auto sealed = seal(type, id, plain);
  if (!sealed) return Unexpected(std::move(sealed.error()));
  sealed->entry.offset = static_cast<std::uint32_t>(pack.size());
  append(pack, sealed->bytes);
  return sealed->entry;
}

Outcome<BlobEntry> BlobCodec::seal_long(const Digest& id, const Pieces& text, SpilledText& sealed) {
  bool room = sealed.append(text_of(cipher_.begin_seal()));
  Bytes piece;
  const bool compressed = compressor_.compress(text, [&](View more) {
    piece.assign(more.begin(), more.end());
    cipher_.seal_piece(piece);
    room = sealed.append(text_of(piece));
    return room;
  });
  room = room && sealed.append(text_of(cipher_.end_seal())) && sealed.flush();
  if (!room) return fail(FailureKind::Full, "no room for the tree of a giant folder");
  if (!compressed) return fail(FailureKind::Io, "blob " + hex(id) + ": its text cannot be read");
  if (sealed.size() > UINT32_MAX || text.size > UINT32_MAX) {
    return fail(FailureKind::Unsupported, "a folder whose tree is larger than 4 GiB");
  }
  const BlobEntry entry{.id = id,
                        .type = BlobType::Tree,
                        .offset = 0,
                        .length = static_cast<std::uint32_t>(sealed.size()),
                        .uncompressed_length = static_cast<std::uint32_t>(text.size)};
  const auto part = [&](std::uint64_t offset, std::uint64_t length) -> Outcome<Bytes> {
    auto bytes = sealed.part(offset, length);
    if (!bytes) return system_failure("reading", "the tree of a giant folder");
    return std::move(*bytes);
  };
  const auto same = read_long(entry, part, [](View) { return Outcome<void>(); });
  if (same) return entry;
  if (same.error().kind != FailureKind::Damaged) return Unexpected(same.error());
  return fail(FailureKind::Damaged,
              "blob " + hex(id) + " does not decode to what was encoded: is the memory sound?");
}

namespace {

// Of a sealed blob, read at a time.
constexpr std::uint64_t kSealedPieceBytes = std::uint64_t{1} << 20U;

// Between IV and tag.
Outcome<void> each_sealed_piece(const BlobEntry& entry, const BlobCodec::SealedPart& sealed,
                                const std::function<void(Bytes&)>& use) {
  const std::uint64_t end = entry.length - kTagBytes;
  for (std::uint64_t at = kIvBytes; at < end;) {
    auto piece = sealed(at, std::min(kSealedPieceBytes, end - at));
    if (!piece) return Unexpected(std::move(piece.error()));
    if (piece->empty()) return fail(FailureKind::Damaged, "it is cut off");
    at += piece->size();
    use(*piece);
  }
  return {};
}

}  // namespace

Outcome<void> BlobCodec::read_long(const BlobEntry& entry, const SealedPart& sealed,
                                   const std::function<Outcome<void>(View)>& use) {
  const auto damaged = [&](const std::string& why) {
    return fail(FailureKind::Damaged, "blob " + hex(entry.id) + ": " + why);
  };
  if (entry.length < kSealOverhead) return damaged("encrypted data is too short to be any");
  const auto iv = sealed(0, kIvBytes);
  if (!iv) return Unexpected(iv.error());
  const auto tag = sealed(entry.length - kTagBytes, kTagBytes);
  if (!tag) return Unexpected(tag.error());
  if (iv->size() != kIvBytes) return damaged("it is cut off");
  cipher_.begin_check(*iv);
  const auto looked =
      each_sealed_piece(entry, sealed, [&](const Bytes& piece) { cipher_.check_piece(piece); });
  if (!looked) return looked;
  if (!cipher_.end_check(*tag)) return damaged("the authentication tag does not fit the bytes");
  cipher_.begin_open(*iv);
  Sha256 hash;
  std::uint64_t length = 0;
  const auto take = [&](View piece) -> Outcome<void> {
    hash.add(piece);
    length += piece.size();
    const std::uint64_t wanted =
        entry.is_compressed() ? entry.uncompressed_length : entry.length - kSealOverhead;
    return length <= wanted ? use(piece) : damaged("it is longer than it was said to be");
  };
  if (auto done = open_pieces(entry, sealed, take); !done) return done;
  if (entry.is_compressed() && length != entry.uncompressed_length) {
    return damaged("it is shorter than it was said to be");
  }
  return hash.finish() == entry.id ? Outcome<void>() : damaged("its content is another's");
}

Outcome<void> BlobCodec::open_pieces(const BlobEntry& entry, const SealedPart& sealed,
                                     const std::function<Outcome<void>(View)>& use) {
  const std::uint64_t end = entry.length - kTagBytes;
  std::uint64_t at = kIvBytes;
  Bytes piece;
  const auto next = [&]() -> Outcome<View> {
    if (at == end) return View();
    auto more = sealed(at, std::min(kSealedPieceBytes, end - at));
    if (!more) return Unexpected(std::move(more.error()));
    if (more->empty()) return fail(FailureKind::Damaged, "it is cut off");
    piece = std::move(*more);
    at += piece.size();
    cipher_.open_piece(piece);
    return View(piece);
  };
  if (entry.is_compressed()) {
    auto done = decompressor_.decompress_pieces(next, use);
    if (done || done.error().kind != FailureKind::Damaged) return done;
    return fail(FailureKind::Damaged, "blob " + hex(entry.id) + ": " + done.error().message);
  }
  while (true) {
    const auto plain = next();
    if (!plain) return Unexpected(plain.error());
    if (plain->empty()) return {};
    if (auto used = use(*plain); !used) return used;
  }
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
