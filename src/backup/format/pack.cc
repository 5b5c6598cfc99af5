#include "backup/format/pack.h"

#include <algorithm>
#include <limits>

#include <recover/check.h>

namespace recover::backup {
namespace {

constexpr std::size_t kPlainEntryBytes = 1 + 4 + kDigestBytes;
constexpr std::size_t kCompressedEntryBytes = kPlainEntryBytes + 4;
constexpr std::uint8_t kTreeBit = 1;
constexpr std::uint8_t kCompressedBit = 2;

void append_le32(Bytes& out, std::uint32_t value) {
  for (unsigned shift = 0; shift < 32; shift += 8) {
    out.push_back(static_cast<std::uint8_t>(value >> shift));
  }
}

std::uint32_t le32(View bytes) {
  std::uint32_t value = 0;
  for (unsigned i = 0; i < 4; ++i) value |= static_cast<std::uint32_t>(bytes[i]) << (8 * i);
  return value;
}

}  // namespace

std::size_t header_entry_bytes(const BlobEntry& entry) {
  return entry.is_compressed() ? kCompressedEntryBytes : kPlainEntryBytes;
}

std::uint64_t pack_bytes(const std::vector<BlobEntry>& entries) {
  std::uint64_t bytes = kSealOverhead + kHeaderLengthBytes;
  for (const BlobEntry& entry : entries) bytes += entry.length + header_entry_bytes(entry);
  return bytes;
}

Bytes header_of(const std::vector<BlobEntry>& entries) {
  Bytes header;
  header.reserve(entries.size() * kCompressedEntryBytes);
  for (const BlobEntry& entry : entries) {
    const bool tree = entry.type == BlobType::Tree;
    header.push_back(static_cast<std::uint8_t>((tree ? kTreeBit : 0U) |
                                               (entry.is_compressed() ? kCompressedBit : 0U)));
    append_le32(header, entry.length);
    if (entry.is_compressed()) append_le32(header, entry.uncompressed_length);
    append(header, entry.id.bytes);
  }
  return header;
}

Outcome<std::vector<BlobEntry>> parse_header(View header) {
  std::vector<BlobEntry> entries;
  std::uint64_t offset = 0;
  while (!header.empty()) {
    const std::uint8_t kind = header[0];
    const bool compressed = (kind & kCompressedBit) != 0;
    const std::size_t bytes = compressed ? kCompressedEntryBytes : kPlainEntryBytes;
    if (kind > (kTreeBit | kCompressedBit) || header.size() < bytes) {
      return fail(FailureKind::Damaged,
                  "pack header: entry " + std::to_string(entries.size()) + " is none");
    }
    BlobEntry entry{.id = {},
                    .type = (kind & kTreeBit) != 0 ? BlobType::Tree : BlobType::Data,
                    .offset = static_cast<std::uint32_t>(offset),
                    .length = le32(header.subspan(1)),
                    .uncompressed_length = compressed ? le32(header.subspan(5)) : 0};
    const View id = header.subspan(bytes - kDigestBytes, kDigestBytes);
    std::copy(id.begin(), id.end(), entry.id.bytes.begin());
    offset += entry.length;
    // Nothing is stored plain: a frame of it would be taken for its content.
    const bool is_empty_frame = compressed && entry.uncompressed_length == 0;
    if (offset > std::numeric_limits<std::uint32_t>::max() || entry.length < kSealOverhead ||
        is_empty_frame) {
      return fail(FailureKind::Damaged, "pack header: impossible lengths");
    }
    entries.push_back(entry);
    header = header.subspan(bytes);
  }
  return entries;
}

std::uint32_t header_length(View last_bytes) {
  RECOVER_CHECK(last_bytes.size() >= kHeaderLengthBytes);
  return le32(last_bytes.last(kHeaderLengthBytes));
}

void append_header_length(Bytes& pack, std::size_t length) {
  RECOVER_CHECK(length <= kHeaderBytesMax + kSealOverhead);
  append_le32(pack, static_cast<std::uint32_t>(length));
}

}  // namespace recover::backup
