#include "backup/repo/blob_index.h"

#include <algorithm>
#include <limits>

#include <recover/check.h>

namespace recover::backup {

void BlobIndex::add(const IndexedPack& pack) {
  const auto number = static_cast<std::uint32_t>(packs_.size());
  RECOVER_CHECK(number < kTreeBit);
  if (!numbers_.emplace(pack.id, number).second) return;
  packs_.push_back(pack.id);
  for (const BlobEntry& blob : pack.blobs) {
    pending_.emplace(BlobKey{.id = blob.id, .type = blob.type},
                     static_cast<std::uint32_t>(unsorted_.size()));
    unsorted_.push_back({.id = blob.id,
                         .pack_and_type = number | (blob.type == BlobType::Tree ? kTreeBit : 0U),
                         .offset = blob.offset,
                         .length = blob.length,
                         .uncompressed_length = blob.uncompressed_length});
  }
}

void BlobIndex::settle() {
  pending_ = {};
  const auto middle = static_cast<std::ptrdiff_t>(sorted_.size());
  sorted_.insert(sorted_.end(), unsorted_.begin(), unsorted_.end());
  unsorted_ = {};
  const auto by_id = [](const Record& a, const Record& b) { return a.id < b.id; };
  std::sort(sorted_.begin() + middle, sorted_.end(), by_id);
  std::inplace_merge(sorted_.begin(), sorted_.begin() + middle, sorted_.end(), by_id);
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
  if (const auto added = pending_.find(key); added != pending_.end()) {
    return location(unsorted_[added->second]);
  }
  auto record = std::lower_bound(sorted_.begin(), sorted_.end(), key.id,
                                 [](const Record& r, const Digest& id) { return r.id < id; });
  for (; record != sorted_.end() && record->id == key.id; ++record) {
    if (record->type() == key.type) return location(*record);
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
  auto record = std::lower_bound(sorted_.begin(), sorted_.end(), key.id,
                                 [](const Record& r, const Digest& id) { return r.id < id; });
  for (; record != sorted_.end() && record->id == key.id; ++record) take(*record);
  if (pending_.contains(key)) std::for_each(unsorted_.begin(), unsorted_.end(), take);
  return places;
}

std::vector<IndexedPack> BlobIndex::packs_with_blobs() const {
  std::vector<IndexedPack> packs(packs_.size());
  for (std::size_t i = 0; i < packs_.size(); ++i) packs[i].id = packs_[i];
  const auto take = [&](const Record& record) {
    packs[record.pack()].blobs.push_back(location(record).entry);
  };
  std::for_each(sorted_.begin(), sorted_.end(), take);
  std::for_each(unsorted_.begin(), unsorted_.end(), take);
  for (IndexedPack& pack : packs) {
    std::sort(pack.blobs.begin(), pack.blobs.end(),
              [](const BlobEntry& a, const BlobEntry& b) { return a.offset < b.offset; });
  }
  return packs;
}

}  // namespace recover::backup
