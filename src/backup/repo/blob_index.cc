#include "backup/repo/blob_index.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include <recover/check.h>

namespace recover::backup {

BlobIndex::BlobIndex(std::string spill_folder, std::vector<IndexedPackRow> packs,
                     IndexRecords records)
    : spill_folder_(std::move(spill_folder)),
      packs_(std::move(packs)),
      base_(std::move(records)),
      added_(spill_folder_) {
  for (std::uint32_t number = 0; number < packs_.size(); ++number) {
    numbers_.emplace(packs_[number].id, number);
  }
}

namespace {

void add_records(const IndexedPack& pack, std::uint32_t number, RecordSorter& to) {
  for (const BlobEntry& blob : pack.blobs) {
    const std::uint32_t type = blob.type == BlobType::Tree ? IndexRecord::kTreeBit : 0U;
    to.add({.id = blob.id,
            .pack_and_type = number | type,
            .offset = blob.offset,
            .length = blob.length,
            .uncompressed_length = blob.uncompressed_length});
  }
}

}  // namespace

void IndexGrowth::add(const IndexedPack& pack) {
  const std::size_t number = before_.packs_.size() + packs_.size();
  RECOVER_CHECK(number < IndexRecord::kTreeBit);
  packs_.push_back({.id = pack.id, .bytes = pack_bytes(pack.blobs)});
  add_records(pack, static_cast<std::uint32_t>(number), records_);
}

BlobIndex IndexGrowth::finish() {
  for (std::size_t i = 0; i < before_.later_.size(); ++i) records_.add(before_.later_[i]);
  std::vector<IndexedPackRow> packs = before_.packs_;
  packs.insert(packs.end(), packs_.begin(), packs_.end());
  BlobIndex whole(before_.spill_folder_, std::move(packs), records_.finish(before_.base_));
  whole.files_ = before_.files_;
  for (const Digest& file : files_) whole.add_file(file);
  return whole;
}

void BlobIndex::add(const IndexedPack& pack) {
  const auto number = static_cast<std::uint32_t>(packs_.size());
  RECOVER_CHECK(number < IndexRecord::kTreeBit);
  if (!numbers_.emplace(pack.id, number).second) return;
  packs_.push_back({.id = pack.id, .bytes = pack_bytes(pack.blobs)});
  add_records(pack, number, added_);
}

void BlobIndex::settle(bool whole) {
  const bool apart = base_.size() > 0 && later_.size() + added_.size() <= RecordSorter::kRunRecords;
  if (apart && !whole) {
    if (added_.size() > 0) later_ = added_.finish(later_);
    return;
  }
  for (std::size_t i = 0; i < later_.size(); ++i) added_.add(later_[i]);
  later_ = IndexRecords();
  if (added_.size() > 0) base_ = added_.finish(base_);
}

BlobLocation BlobIndex::location(const IndexRecord& record) const {
  return {.pack = packs_[record.pack()].id,
          .entry = {.id = record.id,
                    .type = record.type(),
                    .offset = record.offset,
                    .length = record.length,
                    .uncompressed_length = record.uncompressed_length}};
}

template <class Use>
void BlobIndex::each_of(const BlobKey& key, Use&& use) const {
  std::size_t before = 0;
  for (const IndexRecords* const records : {&base_, &later_}) {
    if (records->size() == 0) continue;
    for (std::size_t i = records->first_of(key.id); i < records->size(); ++i) {
      const IndexRecord& one = (*records)[i];
      if (one.id != key.id) break;
      if (one.type() == key.type && !use(before + i, one)) return;
    }
    before = base_.size();
  }
}

std::optional<BlobLocation> BlobIndex::find(const BlobKey& key) const {
  std::optional<BlobLocation> found;
  each_of(key, [&](std::size_t, const IndexRecord& one) {
    found = location(one);
    return false;
  });
  return found;
}

std::optional<std::size_t> BlobIndex::position(const BlobKey& key) const {
  std::optional<std::size_t> found;
  each_of(key, [&](std::size_t at, const IndexRecord&) {
    found = at;
    return false;
  });
  return found;
}

BlobKey BlobIndex::key_at(std::size_t position) const {
  const IndexRecord& one = record(position);
  return {.id = one.id, .type = one.type()};
}

BlobIndex::Copies BlobIndex::copies_of(std::size_t position) const {
  const BlobKey key = key_at(position);
  if (later_.size() > 0) {
    Copies copies;
    each_of(key, [&](std::size_t at, const IndexRecord&) {
      if (copies.count++ == 0) copies.first = at;
      return true;
    });
    return copies;
  }
  // All with one ID lie together, of whichever type.
  Copies copies{.first = position, .count = 1};
  for (std::size_t i = position; i > 0 && base_[i - 1].id == key.id; --i) {
    if (base_[i - 1].type() != key.type) continue;
    copies.first = i - 1;
    ++copies.count;
  }
  for (std::size_t i = position + 1; i < base_.size() && base_[i].id == key.id; ++i) {
    copies.count += base_[i].type() == key.type ? 1 : 0;
  }
  return copies;
}

bool BlobIndex::contains(const BlobKey& key) const {
  return position(key).has_value();
}

std::vector<BlobLocation> BlobIndex::find_all(const BlobKey& key) const {
  std::vector<BlobLocation> places;
  each_of(key, [&](std::size_t, const IndexRecord& one) {
    places.push_back(location(one));
    return true;
  });
  return places;
}

PackList::PackList(const BlobIndex& index)
    : index_(index), order_(index.blobs(), index.spill_folder()), begin_(index.packs_.size() + 1) {
  RECOVER_CHECK(index.added_.size() == 0);
  const std::size_t count = index.blobs();
  for (std::size_t i = 0; i < count; ++i) ++begin_[index.record(i).pack() + 1];
  std::partial_sum(begin_.begin(), begin_.end(), begin_.begin());
  std::vector<std::uint32_t> next(begin_.begin(), begin_.end() - 1);
  for (std::uint32_t i = 0; i < count; ++i) order_.set(next[index.record(i).pack()]++, i);
}

IndexedPack PackList::pack(std::size_t number) const {
  IndexedPack pack{.id = id(number), .blobs = {}};
  pack.blobs.reserve(begin_[number + 1] - begin_[number]);
  for (std::uint32_t i = begin_[number]; i < begin_[number + 1]; ++i) {
    pack.blobs.push_back(index_.location(index_.record(order_.get(i))).entry);
  }
  std::sort(pack.blobs.begin(), pack.blobs.end(),
            [](const BlobEntry& a, const BlobEntry& b) { return a.offset < b.offset; });
  return pack;
}

std::vector<PackList::Placed> PackList::blobs(std::size_t number) const {
  std::vector<Placed> blobs;
  blobs.reserve(begin_[number + 1] - begin_[number]);
  for (std::uint32_t i = begin_[number]; i < begin_[number + 1]; ++i) {
    const std::size_t position = order_.get(i);
    blobs.push_back(
        {.position = position, .entry = index_.location(index_.record(position)).entry});
  }
  return blobs;
}

}  // namespace recover::backup
