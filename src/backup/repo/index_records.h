// The records of a blob index in the order of their IDs: in memory while they are few, in a file
// without a name or in a cache file, mapped, when they are many.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backup/crypto/bytes.h"
#include "backup/crypto/digest.h"
#include "backup/format/pack.h"
#include "backup/local/mapped_region.h"

namespace recover::backup {

struct IndexRecord {
  static constexpr std::uint32_t kTreeBit = std::uint32_t{1} << 31U;

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
static_assert(sizeof(IndexRecord) == 48);

struct IndexedPackRow {
  Digest id;
  std::uint64_t bytes = 0;  // Of the whole pack, as its entries tell it.
};

// Sorted by ID. Thread-safe for readers.
class IndexRecords {
 public:
  IndexRecords() = default;
  explicit IndexRecords(std::vector<IndexRecord> sorted)
      : own_(std::move(sorted)), count_(own_.size()) {}
  // `count` records from `offset` of the region.
  IndexRecords(MappedRegion region, std::size_t offset, std::size_t count)
      : region_(std::move(region)), offset_(offset), count_(count) {}

  std::size_t size() const noexcept { return count_; }
  bool is_mapped() const noexcept { return region_.size() != 0; }
  const IndexRecord& operator[](std::size_t i) const {
    if (!is_mapped()) return own_[i];
    return *reinterpret_cast<const IndexRecord*>(region_.at(offset_ + i * sizeof(IndexRecord)));
  }
  // The position of the first record that is not before `id`.
  std::size_t first_of(const Digest& id) const;

 private:
  std::vector<IndexRecord> own_;
  MappedRegion region_;
  std::size_t offset_ = 0;
  std::size_t count_ = 0;
};

// Sorts more records than may be in memory: runs of them go to a file without a name, and are
// merged at the end.
class RecordSorter {
 public:
  // So many are sorted in memory: 3 MiB.
  static constexpr std::size_t kRunRecords = std::size_t{1} << 16U;

  // The folder of its files; where it can make none, or none is given, all stays in memory.
  explicit RecordSorter(std::string folder = {}) : folder_(std::move(folder)) {}

  void add(const IndexRecord& record);
  std::size_t size() const noexcept { return written_ + run_.size(); }
  // All of `before` and all that was added; begins anew.
  IndexRecords finish(const IndexRecords& before);

 private:
  bool spill();
  std::optional<IndexRecords> merge(const IndexRecords& before);

  std::string folder_;
  std::vector<IndexRecord> run_;
  posix::Descriptor file_;
  std::vector<std::size_t> ends_;  // Of the runs in the file.
  std::size_t written_ = 0;
  bool in_memory_ = false;  // The folder is no use.
};

}  // namespace recover::backup
