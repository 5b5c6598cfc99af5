// A repository that is open: its store, its master key, its config; and the files of it that are
// sealed as a whole (index, snapshot, lock).
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backup/format/documents.h"
#include "backup/format/node.h"
#include "backup/repo/blob_codec.h"
#include "backup/repo/blob_index.h"
#include "backup/store/store.h"
#include "base/secret.h"

namespace recover::backup {

struct CreateOptions {
  Timestamp now;
  std::string user;
  std::string host;
  ScryptCost cost = {};
};

// The text of a tree, in memory or, of a giant folder, in a file without a name.
class LoadedTree {
 public:
  explicit LoadedTree(Bytes text) : own_(std::move(text)) {}
  explicit LoadedTree(MappedRegion region) : region_(std::move(region)) {}

  std::string_view text() const {
    if (region_.size() == 0) return text_of(own_);
    return {reinterpret_cast<const char*>(region_.data()), region_.size()};
  }
  bool is_long() const noexcept { return region_.size() != 0; }
  // The whole text, piece by piece; refers to this.
  Pieces pieces() const;
  // What was read of it is memory no more: call it every few thousand nodes.
  void give_back() const {
    if (region_.size() != 0) region_.give_back();
  }

 private:
  Bytes own_;
  MappedRegion region_;
};

// Thread-safe once open, but for load_index's result.
class Repository {
 public:
  // Exists when the store already holds a repository, or keys or snapshots of one.
  static Outcome<Repository> create(Store& store, const base::Secret& password,
                                    const CreateOptions& options);
  // NotFound: no repository. WrongPassword: no key file of at most kKeyFilesMax opens.
  static Outcome<Repository> open(Store& store, const base::Secret& password);

  static constexpr std::size_t kKeyFilesMax = 20;  // As restic tries.

  Store& store() const noexcept { return *store_; }
  const MasterKey& key() const noexcept { return key_; }
  const RepositoryConfig& config() const noexcept { return config_; }
  // Whether the bytes of a file `config` are those of this repository.
  bool is_own_config(View sealed) const;

  // The JSON text of a sealed file, its name checked against its bytes.
  Outcome<std::string> load(const FileName& name) const;
  // Seals and writes the text; the new file's ID.
  Outcome<Digest> save(FileKind kind, std::string_view text) const;

  // The folder for the sorted index between runs (index_cache.h) and for what does not fit in
  // memory; made when it is not there. None, or one that cannot be made: no cache, and /var/tmp for
  // the rest.
  void set_cache_folder(const std::string& folder);
  // What was written since an index was loaded, for the next run's. Nothing fails by it.
  void remember(IndexGrowth& growth) const;
  // An empty index with room for many blobs.
  BlobIndex new_index() const;

  // The union of all index files. List snapshots before: a snapshot's blobs are indexed when it is
  // written, so an index loaded later has them.
  Outcome<BlobIndex> load_index() const;
  // The same without packs that are missing or not of the size their entries add up to: what is to
  // be built on must be there.
  Outcome<BlobIndex> load_sound_index() const;
  // The same, and in it the packs that no index names: a writer that was broken off left them. They
  // are named in an index file first, so that what they hold need not be stored again.
  Outcome<BlobIndex> load_index_to_add_to() const;
  // One blob; a damaged copy is passed over while there is another.
  Outcome<Bytes> load_blob(const BlobIndex& index, const BlobKey& key, BlobCodec& codec) const;
  // The text of a tree, however long.
  Outcome<LoadedTree> load_tree(const BlobIndex& index, const Digest& id, BlobCodec& codec) const;
  // Calls `use` with each node of a tree, however long, in its order: see read_tree().
  Outcome<void> each_node(const BlobIndex& index, const Digest& tree, BlobCodec& codec,
                          const std::function<Outcome<void>(Node&&)>& use) const;
  // As load_blob(), in the codec's own room: valid until its next call.
  Outcome<View> read_blob(const BlobIndex& index, const BlobKey& key, BlobCodec& codec) const;

  // Whether one copy of a blob is what it says, however long.
  Outcome<void> check_copy(const BlobLocation& place, BlobCodec& codec) const;

  struct SealedBlob {
    BlobEntry entry;  // Where it was read.
    Bytes bytes;
  };
  // As it lies in its pack; it was opened and is what its ID says.
  Outcome<SealedBlob> load_sealed(const BlobIndex& index, const BlobKey& key,
                                  BlobCodec& codec) const;

  struct FoundSnapshot {
    Digest id;
    Snapshot snapshot;
    std::optional<std::int64_t> written = {};  // By the store's clock: StoredFile.
  };
  // By time, oldest first.
  Outcome<std::vector<FoundSnapshot>> snapshots() const;
  // "latest" (which is never a partial one), or an ID's beginning that fits one snapshot only.
  Outcome<FoundSnapshot> find_snapshot(std::string_view wanted) const;

  // A further password for the same repository; the ID of its key file.
  static Outcome<Digest> add_key(Store& store, const MasterKey& key, const base::Secret& password,
                                 const CreateOptions& options);
  // What a pack's own header says it holds. None: it is not a whole pack.
  std::optional<IndexedPack> pack_of(const StoredFile& file) const;

 private:
  // The blob's first copy without a byte of memory but the codec's own. None: it is not to be had
  // in this way, or damaged; read_blob() finds another or tells why there is none.
  std::optional<View> read_in_place(const BlobIndex& index, const BlobKey& key,
                                    BlobCodec& codec) const;
  Outcome<LoadedTree> load_long(const FileName& pack, const BlobEntry& entry, BlobCodec& codec,
                                SpilledText text, bool& came) const;
  Outcome<void> adopt(const std::vector<StoredFile>& packs, BlobIndex& index) const;
  // Whether a pack is there and has so many bytes.
  using PackTest = std::function<bool(const Digest& pack, std::uint64_t bytes)>;
  // `cached`: what is left from earlier runs serves.
  Outcome<BlobIndex> load_index_if(const PackTest& take, bool cached) const;
  std::optional<BlobIndex> load_cached(const std::vector<StoredFile>& files, const PackTest& take,
                                       std::vector<StoredFile>& rest) const;
  Outcome<void> read_index_file(const FileName& name, const PackTest& take, BlobIndex& index,
                                bool& whole) const;
  Repository(Store& store, const MasterKey& key, RepositoryConfig config)
      : store_(&store), key_(key), config_(std::move(config)) {}

  Store* store_;
  MasterKey key_;
  RepositoryConfig config_;
  std::string cache_folder_;
};

}  // namespace recover::backup
