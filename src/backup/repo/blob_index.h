// Which blob lies where: the union of a repository's index files.
//
// 48 bytes a blob in one sorted array and no more. Not thread-safe; readers may share it while
// nobody adds.
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
  // Sorts what was added into the array: call once after loading. Until then what was added is
  // found by looking at all of it.
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
  friend class PackList;

  // The records of an ID in the sorted array begin here, if there are any.
  std::vector<Record>::const_iterator first_of(const Digest& id) const;
  BlobLocation location(const Record& record) const;

  std::vector<Digest> packs_;
  boost::unordered_flat_map<Digest, std::uint32_t, std::hash<Digest>> numbers_;
  std::vector<Record> sorted_;    // By ID.
  std::vector<Record> unsorted_;  // Added; sorted by settle().
};

// An index the other way round: pack by pack. 4 bytes a blob, and one pack at a time.
class PackList {
 public:
  // REQUIRES: the index is settled, outlives the list and stays as it is.
  explicit PackList(const BlobIndex& index);

  std::size_t size() const noexcept { return index_.packs_.size(); }
  const Digest& id(std::size_t number) const { return index_.packs_[number]; }
  // With its blobs by offset.
  IndexedPack pack(std::size_t number) const;

 private:
  const BlobIndex& index_;
  std::vector<std::uint32_t> order_;  // Positions of records, by pack and offset.
  std::vector<std::uint32_t> begin_;  // Of each pack in order_; one more than packs.
};

}  // namespace recover::backup
