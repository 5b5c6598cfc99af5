// A journal whose appends are one write to a file beside it, and reach the database in groups.
//
// What must survive kill -9 of recoverd is with the kernel once that write returns: the stage
// (journal.stage) holds, in order, what the database does not have yet. settle() moves it there in
// one transaction; open() does so with what an earlier recoverd left. What must survive a power
// loss, and what is too large, goes through the database's own commit as before. Decided in ADR 30.
//
// Invariant: database, then stage, are the entries without gap or repetition; what the stage holds
// of an earlier filling is never taken for new (stage_frame.h).
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <recover/result.h>

#include "journal/chain.h"
#include "journal/cipher.h"
#include "journal/sqlite_journal.h"
#include "journal/stage_file.h"
#include "journal/stage_frame.h"
#include "journal/waiting.h"

namespace recover::journal {

// Waiting in the stage at most; whoever appends beyond that settles first.
inline constexpr std::size_t kStagedEntriesMax = 512;
inline constexpr std::size_t kStagedBytesMax = 512U << 10U;

// One thread.
class StagedJournal : public ports::Journal {
 public:
  // Takes over what the stage beside `journal` holds. A stage that cannot be created is done
  // without; one that is not what the journal has, or not sealed as the journal is, says so in an
  // entry "journal:tampered". Error: it is there and cannot be opened or read. REQUIRES: `journal`
  // was opened for writing with these options.
  static Result<std::unique_ptr<StagedJournal>, ports::JournalError> open(
      std::unique_ptr<SqliteJournal> journal, const OpenOptions& options);
  // Settles and empties the stage, best effort.
  ~StagedJournal() override;

  Result<std::uint64_t, ports::JournalError> append(std::span<const ports::Entry> entries,
                                                    ports::Durability durability) override;
  // These settle first; what cannot be settled is read from memory.
  Result<void, ports::JournalError> replay(
      std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) override;
  Result<std::optional<ports::StoredEntry>, ports::JournalError> latest(
      ports::EntryKind kind) override;
  Result<std::vector<ports::StoredEntry>, ports::JournalError> find(
      const ports::Filter& filter) override;
  // Of what is in the database.
  Result<ports::Verification, ports::JournalError> verify() override;

  // Moves what waits into the database. Error: it waits on, and is as safe as before.
  Result<void, ports::JournalError> settle();
  bool settled() const { return waiting_.entries.empty(); }
  SqliteJournal& database() { return *journal_; }

 private:
  StagedJournal(std::unique_ptr<SqliteJournal> journal, std::optional<StageFile> file,
                std::optional<Cipher> cipher);

  Result<void, ports::JournalError> take_over();
  struct Opened {
    std::vector<ports::Entry> entries;
    bool plain = true;  // Not sealed.
  };
  Result<Opened, ports::JournalError> entries_in(const Frame& frame) const;
  Result<bool, ports::JournalError> take(const Frame& frame,
                                         const Result<Opened, ports::JournalError>& opened,
                                         bool plain_allowed);
  Result<bool, ports::JournalError> database_has(std::uint64_t first,
                                                 std::span<const ports::Entry> entries);
  void rewind();
  void empty_stage();
  bool fits(std::span<const ports::Entry> entries) const;
  // False: nothing was appended.
  bool stage(std::span<const ports::Entry> entries);

  std::unique_ptr<SqliteJournal> journal_;
  std::optional<StageFile> file_;
  std::optional<Cipher> cipher_;
  Hasher hasher_;
  Waiting waiting_;
  std::uint64_t offset_ = 0;  // Where the next frame goes.
  Digest digest_{};           // Of the frame before that; at the start, of the last entry.
  std::string frame_;
  bool left_over_ = false;  // The stage held something when it was opened.
  // The database refused, and a crash now may leave it with or without what it was given: a frame
  // could stand in the place of that. Nothing is staged until it takes something.
  bool in_doubt_ = false;
};

}  // namespace recover::journal
