// Which blob lies where: the union of a repository's index files.
//
// 48 bytes a blob in one sorted array, plus a hash map of what was added since it was built. Not
// thread-safe; readers may share it while nobody adds.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <optional>
#include <vector>

#include "backup/format/pack.h"

namespace recover::backup {

struct BlobKey {
  Digest id;
  BlobType type = BlobType::Data;

  friend auto operator<=>(const BlobKey&, const BlobKey&) = default;
};

struct BlobLocation {
  Digest pack;
  BlobEntry entry;
};

class BlobIndex {
 public:
  // Adds a pack of an index file. The same pack a second time changes nothing.
  void add(const IndexedPack& pack);

  bool contains(const BlobKey& key) const;
  // One place of the blob, or none.
  std::optional<BlobLocation> find(const BlobKey& key) const;
  // Every place: copies serve when one is damaged.
  std::vector<BlobLocation> find_all(const BlobKey& key) const;

  std::size_t blobs() const noexcept { return sorted_.size() + unsorted_.size(); }
  const std::vector<Digest>& packs() const noexcept { return packs_; }
  bool has_pack(const Digest& pack) const { return numbers_.contains(pack); }
  // Each pack with its blobs by offset, one after another.
  std::vector<IndexedPack> packs_with_blobs() const;

  // Sorts what was added into the array: call once after loading.
  void settle();

 private:
  static constexpr std::uint32_t kTreeBit = std::uint32_t{1} << 31U;

  struct Record {
    Digest id;
    std::uint32_t pack_and_type = 0;  // Number of the pack; kTreeBit for trees.
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
    std::uint32_t uncompressed_length = 0;

    BlobType type() const {
      return (pack_and_type & kTreeBit) != 0 ? BlobType::Tree : BlobType::Data;
    }
    std::uint32_t pack() const { return pack_and_type & ~kTreeBit; }
  };
  struct KeyHash {
    std::size_t operator()(const BlobKey& key) const noexcept {
      return std::hash<Digest>()(key.id) + static_cast<std::size_t>(key.type);
    }
  };

  BlobLocation location(const Record& record) const;

  std::vector<Digest> packs_;
  boost::unordered_flat_map<Digest, std::uint32_t, std::hash<Digest>> numbers_;
  std::vector<Record> sorted_;    // By ID.
  std::vector<Record> unsorted_;  // Added; sorted by settle().
  boost::unordered_flat_map<BlobKey, std::uint32_t, KeyHash> pending_;  // Position in unsorted_.
};

}  // namespace recover::backup
