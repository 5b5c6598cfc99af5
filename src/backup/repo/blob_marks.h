// A set of blobs that an index mostly knows: a bit each for those, and room for the few others.
// One thread at a time.
#pragma once

#include <set>
#include <utility>

#include "backup/repo/blob_index.h"

namespace recover::backup {

class BlobMarks {
 public:
  // REQUIRES: the index is settled and stays where and as it is until rebase().
  explicit BlobMarks(const BlobIndex& index) : index_(&index), bits_(index) {}

  // False: it was there.
  bool insert(const BlobKey& key) {
    const auto position = index_->position(key);
    return position ? bits_.insert(*position) : unknown_.insert(key).second;
  }
  // The same by its position in the index.
  bool insert_at(std::size_t position) { return bits_.insert(position); }
  bool contains_at(std::size_t position) const { return bits_.contains(position); }
  bool contains(const BlobKey& key) const {
    const auto position = index_->position(key);
    return position ? bits_.contains(*position) : unknown_.contains(key);
  }
  // Whether `test` says yes to every blob of the set.
  template <class Test>
  bool all_of(Test&& test) const {
    for (std::size_t position = 0; position < bits_.size(); ++position) {
      if (bits_.contains(position) && !test(index_->key_at(position))) return false;
    }
    for (const BlobKey& key : unknown_) {
      if (!test(key)) return false;
    }
    return true;
  }
  // The same blobs, of an index that was loaded anew. REQUIRES: the one before is still there.
  void rebase(const BlobIndex& index) {
    BlobMarks fresh(index);
    all_of([&](const BlobKey& key) { return fresh.insert(key), true; });
    *this = std::move(fresh);
  }

 private:
  const BlobIndex* index_;
  BlobSet bits_;
  std::set<BlobKey> unknown_;
};

}  // namespace recover::backup
