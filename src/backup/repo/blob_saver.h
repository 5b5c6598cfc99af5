// Stores blobs that the repository does not have yet: seals them, gathers them in packs, writes the
// packs, and writes index files so that a crash loses only what no index names.
//
// Thread-safe: many threads store at once. Sealing runs on the caller's thread with its own codec;
// one thread hashes packs and hands them to the store, another waits until the disk has them, so
// the disk works while the processors do. Of packs there are in memory one that is written, one
// that is filled and, for each thread that waits for the writer, one that is full; their memory
// goes round. A crash takes these and the kStagedPacksMax that the disk does not have yet.
#pragma once

#include <array>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "backup/local/spilled_keys.h"
#include "backup/repo/pack_builder.h"
#include "backup/repo/repository.h"

namespace recover::backup {

struct SavedBytes {
  std::uint64_t data_blobs = 0;
  std::uint64_t tree_blobs = 0;
  std::uint64_t plain_bytes = 0;
  std::uint64_t stored_bytes = 0;  // Sealed, without pack headers.
};

class BlobSaver {
 public:
  // REQUIRES: `repository` and `index` outlive it and stay as they are. A pack is closed at
  // `pack_bytes`.
  BlobSaver(const Repository& repository, const BlobIndex& index, std::size_t pack_bytes);
  BlobSaver(const BlobSaver&) = delete;
  BlobSaver& operator=(const BlobSaver&) = delete;
  // What was not finished stays behind as packs no index names.
  ~BlobSaver();

  // Whether the blob is there already or being stored; when not, the caller must store it. `false`
  // is told to one caller only.
  bool claim(const BlobKey& key);
  // Stores a claimed blob. A failure of the writer thread comes back from here as well.
  Outcome<void> store(BlobCodec& codec, BlobType type, const Digest& id, View plain);
  // The same of a tree that is too long to be held: a pack of its own.
  Outcome<void> store_long(BlobCodec& codec, const Digest& id, const Pieces& text);
  // Closes the open packs, writes the last index; durable when it returns. Once, at the end.
  Outcome<void> finish();

  SavedBytes saved() const;
  // What was written, for Repository::remember(). REQUIRES: finish() has returned.
  IndexGrowth& growth() noexcept { return growth_; }

 private:
  static constexpr std::size_t kWaitingPacksMax = 1;
  // Which the store has taken and no crash may find yet: sent again after one.
  static constexpr std::size_t kStagedPacksMax = 2;
  // restic closes its index files at 50,000 blobs or 10 minutes. Earlier here: the text of so many
  // is 10 MiB of memory in all its forms, and what no index names is sent again after a crash.
  static constexpr std::size_t kIndexBlobsMax = 10'000;
  static constexpr std::chrono::seconds kIndexAgeMax{30};

  std::size_t target_bytes(BlobType type) const;
  std::size_t room_bytes(BlobType type) const;
  // REQUIRES: builders_mutex_ is held.
  FilledPack release(BlobType type);
  Outcome<void> enqueue(FilledPack pack);
  void run_writer();
  Outcome<void> write_pack(FilledPack pack);
  Outcome<void> write_giant(FilledPack pack);
  // To the finisher, when it has not too many already.
  Outcome<void> hand_over(IndexedPack pack, std::unique_ptr<StagedFile> file);
  void run_finisher();
  Outcome<void> finish_pack_file(const IndexedPack& pack, StagedFile* file);
  Outcome<void> write_index();
  // The end of both threads, after all that was queued.
  void close();

  const Repository& repository_;
  const BlobIndex& index_;
  const std::size_t pack_bytes_;

  std::mutex claims_mutex_;
  // 128 bits of an ID and type: enough that two blobs of one run are never taken for another.
  SpilledKeys claimed_;

  mutable std::mutex builders_mutex_;
  std::array<PackBuilder, 2> builders_;  // By BlobType.
  std::array<Bytes, 2> rooms_;  // Of packs that are written, by BlobType; under builders_mutex_.
  SavedBytes saved_;            // Under builders_mutex_.

  mutable std::mutex queue_mutex_;
  std::condition_variable queue_changed_;
  std::deque<FilledPack> waiting_;
  std::optional<Failure> failure_;  // The first; nothing is written after it.
  bool closing_ = false;
  struct StagedPack {
    IndexedPack index;
    std::unique_ptr<StagedFile> file;  // None: the store has it already.
  };
  std::deque<StagedPack> staged_;
  bool writer_done_ = false;
  Cipher cipher_;         // The writer's own.
  IndexText index_text_;  // The finisher's own, as what follows.
  IndexGrowth growth_;
  std::chrono::steady_clock::time_point index_begun_;
  std::thread writer_;
  std::thread finisher_;
};

}  // namespace recover::backup
