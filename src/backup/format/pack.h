// The layout of a pack: sealed blobs one after another, then a sealed header that lists them, then
// the header's length. And the entries of index files, which say the same.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/crypto/bytes.h"
#include "backup/crypto/cipher.h"
#include "backup/crypto/digest.h"
#include "backup/failure.h"

namespace recover::backup {

enum class BlobType : std::uint8_t { Data, Tree };

// Where a blob lies in its pack.
struct BlobEntry {
  Digest id;  // SHA-256 of the plaintext.
  BlobType type = BlobType::Data;
  std::uint32_t offset = 0;               // Bytes from the pack's start.
  std::uint32_t length = 0;               // Bytes sealed.
  std::uint32_t uncompressed_length = 0;  // Bytes of plaintext; 0: stored plain.

  bool is_compressed() const noexcept { return uncompressed_length != 0; }
  friend bool operator==(const BlobEntry&, const BlobEntry&) = default;
};

inline constexpr std::size_t kHeaderBytesMax = std::size_t{16} << 20U;
inline constexpr std::size_t kHeaderLengthBytes = 4;

std::size_t header_entry_bytes(const BlobEntry& entry);
// The whole file's size as its entries tell it.
std::uint64_t pack_bytes(const std::vector<BlobEntry>& entries);

// Plain header bytes of the entries, which must be in the order of their offsets without gaps.
Bytes header_of(const std::vector<BlobEntry>& entries);
// Damaged: an unknown type, a broken entry, or lengths beyond 32 bits.
Outcome<std::vector<BlobEntry>> parse_header(View header);
// The length of the sealed header, from a pack's last kHeaderLengthBytes bytes.
std::uint32_t header_length(View last_bytes);
void append_header_length(Bytes& pack, std::size_t length);

// One pack as an index file lists it.
struct IndexedPack {
  Digest id;
  std::vector<BlobEntry> blobs;
};

// The text of an index file, pack after pack.
class IndexText {
 public:
  void add(const IndexedPack& pack);
  std::size_t blobs() const noexcept { return blobs_; }
  std::string finish();

 private:
  std::string text_ = "{\"packs\":[";
  std::size_t blobs_ = 0;
};

// Calls `use` for each pack of an index file's text. Damaged: no index.
Outcome<void> read_index(std::string_view text,
                         const std::function<Outcome<void>(IndexedPack&&)>& use);

}  // namespace recover::backup
