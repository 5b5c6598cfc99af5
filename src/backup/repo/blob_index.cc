#include "backup/repo/blob_index.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include <recover/check.h>

namespace recover::backup {

void BlobIndex::add(const IndexedPack& pack) {
  const auto number = static_cast<std::uint32_t>(packs_.size());
  RECOVER_CHECK(number < kTreeBit);
  if (!numbers_.emplace(pack.id, number).second) return;
  packs_.push_back(pack.id);
  for (const BlobEntry& blob : pack.blobs) {
    unsorted_.push_back({.id = blob.id,
                         .pack_and_type = number | (blob.type == BlobType::Tree ? kTreeBit : 0U),
                         .offset = blob.offset,
                         .length = blob.length,
                         .uncompressed_length = blob.uncompressed_length});
  }
}

void BlobIndex::settle() {
  const auto by_id = [](const Record& a, const Record& b) { return a.id < b.id; };
  const auto middle = static_cast<std::ptrdiff_t>(sorted_.size());
  if (sorted_.empty()) {
    sorted_ = std::exchange(unsorted_, {});
  } else {
    sorted_.insert(sorted_.end(), unsorted_.begin(), unsorted_.end());
    unsorted_ = {};
  }
  std::sort(sorted_.begin() + middle, sorted_.end(), by_id);
  std::inplace_merge(sorted_.begin(), sorted_.begin() + middle, sorted_.end(), by_id);
}

// IDs are evenly spread: the place is known to within a few times the square root of their number.
std::vector<BlobIndex::Record>::const_iterator BlobIndex::first_of(const Digest& id) const {
  const auto before = [](const Record& record, const Digest& wanted) { return record.id < wanted; };
  std::uint32_t top = 0;
  for (std::size_t i = 0; i < sizeof top; ++i) top = top << 8U | id.bytes[i];
  const std::size_t count = sorted_.size();
  const std::size_t guess = static_cast<std::size_t>(top) * count >> 32U;
  const std::size_t spread = 8 + 2 * static_cast<std::size_t>(std::sqrt(count));
  const std::size_t low = guess > spread ? guess - spread : 0;
  const std::size_t high = std::min(count, guess + spread);
  const auto begin = sorted_.begin();
  const bool good =
      (low == 0 || sorted_[low - 1].id < id) && (high == count || !(sorted_[high].id < id));
  return good ? std::lower_bound(begin + static_cast<std::ptrdiff_t>(low),
                                 begin + static_cast<std::ptrdiff_t>(high), id, before)
              : std::lower_bound(begin, sorted_.end(), id, before);
}

BlobLocation BlobIndex::location(const Record& record) const {
  return {.pack = packs_[record.pack()],
          .entry = {.id = record.id,
                    .type = record.type(),
                    .offset = record.offset,
                    .length = record.length,
                    .uncompressed_length = record.uncompressed_length}};
}

std::optional<BlobLocation> BlobIndex::find(const BlobKey& key) const {
  for (auto record = first_of(key.id); record != sorted_.end() && record->id == key.id; ++record) {
    if (record->type() == key.type) return location(*record);
  }
  for (const Record& record : unsorted_) {
    if (record.id == key.id && record.type() == key.type) return location(record);
  }
  return std::nullopt;
}

bool BlobIndex::contains(const BlobKey& key) const {
  return find(key).has_value();
}

std::vector<BlobLocation> BlobIndex::find_all(const BlobKey& key) const {
  std::vector<BlobLocation> places;
  const auto take = [&](const Record& record) {
    if (record.id == key.id && record.type() == key.type) places.push_back(location(record));
  };
  for (auto record = first_of(key.id); record != sorted_.end() && record->id == key.id; ++record) {
    take(*record);
  }
  std::for_each(unsorted_.begin(), unsorted_.end(), take);
  return places;
}

PackList::PackList(const BlobIndex& index)
    : index_(index), order_(index.sorted_.size()), begin_(index.packs_.size() + 1) {
  RECOVER_CHECK(index.unsorted_.empty());
  for (const auto& record : index.sorted_) ++begin_[record.pack() + 1];
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  std::vector<std::uint32_t> next(begin_.begin(), begin_.end() - 1);
  for (std::uint32_t i = 0; i < order_.size(); ++i) order_[next[index.sorted_[i].pack()]++] = i;
  for (std::size_t pack = 0; pack < size(); ++pack) {
    std::sort(order_.begin() + begin_[pack], order_.begin() + begin_[pack + 1],
              [&](std::uint32_t a, std::uint32_t b) {
                return index.sorted_[a].offset < index.sorted_[b].offset;
              });
  }
}

IndexedPack PackList::pack(std::size_t number) const {
  IndexedPack pack{.id = id(number), .blobs = {}};
  pack.blobs.reserve(begin_[number + 1] - begin_[number]);
  for (std::uint32_t i = begin_[number]; i < begin_[number + 1]; ++i) {
    pack.blobs.push_back(index_.location(index_.sorted_[order_[i]]).entry);
  }
  return pack;
}

}  // namespace recover::backup
