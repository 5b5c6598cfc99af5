// The index of a repository that stays open while others write to it and prune it: told anew before
// each use, at the price of one list of the index files.
#pragma once

#include <optional>
#include <set>

#include "backup/repo/blob_index.h"
#include "backup/repo/repository.h"

namespace recover::backup {

class LiveIndex {
 public:
  // `repository` outlives it.
  explicit LiveIndex(const Repository& repository) : repository_(repository) {}

  // Adds what was written since; when index files are gone, somebody has pruned and all is loaded
  // anew. REQUIRES: the caller holds a lock, so that what is there now stays.
  Outcome<void> refresh();
  // REQUIRES: refresh() succeeded once.
  const BlobIndex& index() const { return *index_; }

 private:
  const Repository& repository_;
  std::set<Digest> files_;
  std::optional<BlobIndex> index_;
};

}  // namespace recover::backup
