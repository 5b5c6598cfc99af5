// Where a repository's files lie. Files are written once and whole, read in any part, and removed;
// none is ever changed. Every store passes the same tests (store_conformance_test.cc).
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "backup/crypto/bytes.h"
#include "backup/crypto/digest.h"
#include "backup/failure.h"

namespace recover::backup {

enum class FileKind : std::uint8_t { Config, Key, Lock, Index, Snapshot, Pack };

// "config", "key", "lock", "index", "snapshot", "pack".
std::string_view to_string(FileKind kind);

// A file of the repository. There is one Config; its id is nothing.
struct FileName {
  FileKind kind = FileKind::Config;
  Digest id;

  friend auto operator<=>(const FileName&, const FileName&) = default;
};

// "pack 3f2a…": for messages.
std::string to_string(const FileName& name);

// Larger files of a kind are Damaged: nobody's memory is filled by what lies in a store.
std::uint64_t bytes_max(FileKind kind);

struct StoredFile {
  Digest id;
  std::uint64_t bytes = 0;
  // When, by the store's own clock: seconds since 1970 UTC. None: it does not tell.
  std::optional<std::int64_t> written = {};
};

// A file whose bytes a store has taken and that is not to be seen yet. One that is never finished
// leaves nothing behind. The store must outlive it.
class StagedFile {
 public:
  StagedFile() = default;
  StagedFile(const StagedFile&) = delete;
  StagedFile& operator=(const StagedFile&) = delete;
  virtual ~StagedFile() = default;
  // What Store::write() promises holds when this returns. Once.
  virtual Outcome<void> finish() = 0;
};

// Thread-safe: any number of calls at once. Failures say what was tried on which file.
class Store {
 public:
  Store() = default;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;
  virtual ~Store() = default;

  // For people: a path or URL without secrets.
  virtual std::string location() const = 0;
  // Makes the folders of a new repository. Repeating it changes nothing.
  virtual Outcome<void> prepare() = 0;
  // NotFound when there is none. Damaged when it is larger than bytes_max() or no file.
  virtual Outcome<Bytes> read(const FileName& name) = 0;
  // `length` bytes from `offset`; when there are fewer, Damaged.
  virtual Outcome<Bytes> read_part(const FileName& name, std::uint64_t offset,
                                   std::uint64_t length) = 0;
  // Fills the room with the same bytes, which costs no memory of its own. False: this store has no
  // such way, or they cannot be read: read_part() tells why.
  virtual bool read_in_place(const FileName& /*name*/, std::uint64_t /*offset*/,
                             std::span<std::uint8_t> /*room*/) {
    return false;
  }
  // NotFound when there is none.
  virtual Outcome<std::uint64_t> size(const FileName& name) = 0;
  // Durable when it returns (but for locks); all of it or nothing. Exists when there is one
  // already.
  virtual Outcome<void> write(const FileName& name, View bytes) = 0;
  // write() in two steps, so that the disk works while its caller does: the bytes are no longer
  // needed when this returns. None: it is written already.
  virtual Outcome<std::unique_ptr<StagedFile>> stage(const FileName& name, View bytes);
  // The same of a file that is too long to be held; a store that cannot write it piece by piece
  // holds it all the same. Io: it cannot be read.
  virtual Outcome<void> write_long(const FileName& name, const Pieces& bytes);
  // Durable when it returns. NotFound when there is none.
  virtual Outcome<void> remove(const FileName& name) = 0;
  // Removes what writers that died left half written. REQUIRES: nobody else writes.
  virtual Outcome<void> sweep() = 0;
  // What came of a part of this file is not what was written. True: the next read of it comes from
  // another copy, and may be right. False: there is none left.
  virtual bool distrust(const FileName& /*name*/) { return false; }
  // Whether a file that was written is in every list that begins later, whoever asks. If so, of two
  // who write and then list at least one sees the other without waiting.
  virtual bool shows_at_once() const { return false; }
  // Room set aside for what frees room on a full disk, which has to write a little first. Kept
  // where there is plenty; a store without such limits has none.
  virtual void keep_reserve() {}
  virtual void free_reserve() {}
  // Every file of a kind whose name is an ID, in no order. Not for Config.
  virtual Outcome<std::vector<StoredFile>> list(FileKind kind) = 0;
};

}  // namespace recover::backup
