// Which blob lies where: the union of a repository's index files.
//
// 48 bytes a blob in one sorted array and no more; of many, in a mapped file (index_records.h). Not
// thread-safe; readers may share it while nobody adds.
#pragma once

#include <boost/unordered/unordered_flat_map.hpp>

#include <cstdint>
#include <optional>
#include <vector>

#include "backup/format/pack.h"
#include "backup/local/spilled_numbers.h"
#include "backup/repo/index_records.h"

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
  // Where many blobs have room: a folder for files without a name. None: all are in memory.
  explicit BlobIndex(std::string spill_folder = {})
      : spill_folder_(std::move(spill_folder)), added_(spill_folder_) {}
  // What was settled before.
  BlobIndex(std::string spill_folder, std::vector<IndexedPackRow> packs, IndexRecords records);

  // Adds a pack of an index file. The same pack a second time changes nothing.
  void add(const IndexedPack& pack);

  bool contains(const BlobKey& key) const;
  // One place of the blob, or none.
  std::optional<BlobLocation> find(const BlobKey& key) const;
  // Every place: copies serve when one is damaged.
  std::vector<BlobLocation> find_all(const BlobKey& key) const;

  // A number below blobs() that is this blob's alone, if the index has it: for sets of blobs.
  std::optional<std::size_t> position(const BlobKey& key) const;
  // The blob of a position; REQUIRES: below blobs().
  BlobKey key_at(std::size_t position) const;
  // The position() of its key, and how many copies there are: found beside it where it can be.
  struct Copies {
    std::size_t first = 0;
    std::size_t count = 0;
  };
  Copies copies_of(std::size_t position) const;

  std::size_t blobs() const noexcept { return base_.size() + later_.size() + added_.size(); }
  const std::vector<IndexedPackRow>& packs() const noexcept { return packs_; }
  const IndexRecords& base() const noexcept { return base_; }
  const std::string& spill_folder() const noexcept { return spill_folder_; }
  bool has_pack(const Digest& pack) const { return numbers_.contains(pack); }
  // As a PackList numbers it; none: it has no such pack.
  std::optional<std::size_t> number_of(const Digest& pack) const {
    const auto found = numbers_.find(pack);
    return found == numbers_.end() ? std::nullopt : std::optional<std::size_t>(found->second);
  }
  // The index files it was made from, while nothing of theirs was left out: what a cache may keep.
  const std::optional<std::vector<Digest>>& files() const noexcept { return files_; }
  void set_files(std::optional<std::vector<Digest>> files) { files_ = std::move(files); }
  void add_file(const Digest& file) {
    if (files_) files_->push_back(file);
  }

  // Makes what was added to be found: call it after loading. What is few beside the rest is kept
  // apart, unless `whole`.
  void settle(bool whole = false);

 private:
  friend class PackList;
  friend class IndexGrowth;

  const IndexRecord& record(std::size_t position) const {
    return position < base_.size() ? base_[position] : later_[position - base_.size()];
  }
  // Calls `use` with the position of each record of the blob until it says no.
  template <class Use>
  void each_of(const BlobKey& key, Use&& use) const;
  BlobLocation location(const IndexRecord& record) const;

  std::string spill_folder_;
  std::vector<IndexedPackRow> packs_;
  boost::unordered_flat_map<Digest, std::uint32_t, std::hash<Digest>> numbers_;
  std::optional<std::vector<Digest>> files_;
  IndexRecords base_;
  IndexRecords later_;  // Few.
  RecordSorter added_;  // Found by nobody until settle().
};

// The packs that are written while an index stays as it is, for a larger one at the end.
class IndexGrowth {
 public:
  // REQUIRES: the index is settled and outlives this.
  explicit IndexGrowth(const BlobIndex& before)
      : before_(before), records_(before.spill_folder()) {}

  void add(const IndexedPack& pack);
  void add_file(const Digest& index_file) { files_.push_back(index_file); }
  std::size_t blobs() const noexcept { return records_.size(); }
  // The index before and all that was added. Once.
  BlobIndex finish();

 private:
  const BlobIndex& before_;
  std::vector<IndexedPackRow> packs_;
  std::vector<Digest> files_;
  RecordSorter records_;
};

// A set of blobs of an index: a bit each.
class BlobSet {
 public:
  // REQUIRES: the index is settled, outlives the set and stays as it is.
  explicit BlobSet(const BlobIndex& index) : bits_(index.blobs()) {}

  // False: it was there.
  bool insert(std::size_t position) {
    const bool fresh = !bits_[position];
    bits_[position] = true;
    return fresh;
  }
  bool contains(std::size_t position) const { return bits_[position]; }
  std::size_t size() const noexcept { return bits_.size(); }

 private:
  std::vector<bool> bits_;
};

// An index the other way round: pack by pack. 4 bytes a blob, in a file when there are many, and
// one pack at a time.
class PackList {
 public:
  // REQUIRES: the index is settled, outlives the list and stays as it is.
  explicit PackList(const BlobIndex& index);

  std::size_t size() const noexcept { return index_.packs_.size(); }
  const Digest& id(std::size_t number) const { return index_.packs_[number].id; }
  // Of the whole pack, as its entries tell it.
  std::uint64_t bytes(std::size_t number) const { return index_.packs_[number].bytes; }
  // With its blobs by offset.
  IndexedPack pack(std::size_t number) const;
  // The same blobs in the order of the index, each with the position of this copy.
  struct Placed {
    std::size_t position = 0;
    BlobEntry entry;
  };
  std::vector<Placed> blobs(std::size_t number) const;

 private:
  const BlobIndex& index_;
  SpilledNumbers order_;              // Positions of records, by pack and offset.
  std::vector<std::uint32_t> begin_;  // Of each pack in order_; one more than packs.
};

}  // namespace recover::backup
