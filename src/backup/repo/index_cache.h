// The sorted index of a repository kept between runs: a file beside which only the index files
// written since have to be read.
//
// It is sealed with the repository's key and names the index files that it was made from. What is
// cut off, changed, of another repository, or made from an index file that is gone, is removed and
// made anew. Nothing is ever removed from a repository by what it says: prune reads the store.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "backup/crypto/cipher.h"
#include "backup/repo/blob_index.h"

namespace recover::backup {

// Where caches lie: below what CACHE_DIRECTORY, XDG_CACHE_HOME or HOME names. Empty: none does.
// REQUIRES: no other thread changes the environment.
std::string default_cache_folder();

class IndexCache {
 public:
  // Fewer blobs are read from the store as fast.
  static constexpr std::size_t kBlobsMin = std::size_t{1} << 14U;

  // `folder` is made when it is not there; `repository` is the ID of the repository's config.
  IndexCache(std::string folder, const std::string& repository, const MasterKey& key);

  struct Found {
    std::vector<Digest> files;  // The index files that it was made from.
    BlobIndex index;
  };
  // None when there is none that is whole, or one of its files is not in `listed`.
  std::optional<Found> load(const std::vector<Digest>& listed) const;
  // Replaces what is there, as a whole. What cannot be written is not: the next run reads the
  // store. REQUIRES: the index is settled whole, and has its files().
  void save(const BlobIndex& index) const;

  const std::string& path() const noexcept { return path_; }

 private:
  struct Header;
  Digest seal_of(const Digest& content) const;

  std::string folder_;
  std::string path_;
  MasterKey key_;
};

}  // namespace recover::backup
