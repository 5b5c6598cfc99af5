// The journal on SQLite in WAL mode: hash-chained, optionally encrypted, with retention.
//
// What survives what. ProcessCrash: the commit is written to the -wal file (synchronous=NORMAL), so
// it is with the kernel and a kill -9 cannot take it. PowerLoss: the same commit under
// synchronous=FULL, which syncs the whole -wal before it returns; SQLite's own path is used rather
// than a sync beside it, so that a failed sync fails the commit. An append that failed is not in
// the journal now, but a crash right then may leave it there: never assume that it is absent.
//
// verify() finds any changed, missing or reordered row between anchor and head, and through
// journal.head (head_file.h) a tail cut off or a rewrite of what the note covers. A chain alone
// cannot show: the last entries since the note removed together with it, or a rewrite by someone
// who holds the key or works without one. Copy journal.head elsewhere to close that gap.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <recover/result.h>

#include "base/secret.h"
#include "journal/chain.h"
#include "journal/cipher.h"
#include "journal/database.h"
#include "journal/file.h"
#include "journal/head_file.h"
#include "journal/reserve.h"
#include "ports/journal.h"

namespace recover::journal {

inline constexpr std::size_t kAppendEntriesMax = 10'000;    // In one append().
inline constexpr std::size_t kBodyBytesMax = 64ULL << 20U;  // Of one entry.
inline constexpr std::size_t kNameBytesMax = 4'096;         // Of type and of service.
inline constexpr std::size_t kFindEntriesMax = 100'000;     // In one find().
inline constexpr std::uint64_t kPruneEntriesMax = 10'000;   // In one prune().

struct OpenOptions {
  std::string path;       // …/journal.db; the other files stand beside it.
  base::Secret key = {};  // 32 bytes; empty: bodies are stored as they are.
  std::uint64_t reserve_bytes = 4ULL << 20U;
  bool read_only = false;            // To look or verify while a writer runs; no key needed.
  std::uint64_t head_every = 1'024;  // Entries between two notes in journal.head.
  std::string vfs = {};              // SQLite's file layer; empty: the system's.
};

// Says in the journal itself that somebody changed it.
ports::Entry tampered_entry(std::string fault);
// Fault Invalid beyond the bounds above.
Result<void, ports::JournalError> check_bounds(std::span<const ports::Entry> entries);

// What may go. An entry is pruned only when every limit given lets it go.
struct Retention {
  std::optional<std::int64_t> keep_after_wall_ns = {};
  std::optional<std::uint64_t> keep_entries = {};
};

class SqliteJournal : public ports::Journal {
 public:
  // Creates the journal unless it exists. A journal that does not fit journal.head gets an entry
  // "journal:tampered" that says so. Faults: Corrupt (see open_or_salvage), WrongKey, Version,
  // Locked, or what the disk said.
  static Result<std::unique_ptr<SqliteJournal>, ports::JournalError> open(
      const OpenOptions& options);
  // Syncs and writes journal.head, best effort.
  ~SqliteJournal() override;

  // REQUIRES: opened for writing. Faults: Invalid beyond the bounds above; Full only once the
  // reserve is used up. After an error the journal can be used on.
  Result<std::uint64_t, ports::JournalError> append(std::span<const ports::Entry> entries,
                                                    ports::Durability durability) override;
  Result<void, ports::JournalError> replay(
      std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) override;
  Result<std::optional<ports::StoredEntry>, ports::JournalError> latest(
      ports::EntryKind kind) override;
  // Notices by time, service, type, recovery or incident: through an index. Of other kinds, time
  // and service are filters over the rows from the newest back.
  Result<std::vector<ports::StoredEntry>, ports::JournalError> find(
      const ports::Filter& filter) override;
  Result<ports::Verification, ports::JournalError> verify() override;

  // Removes the oldest entries, at most kPruneEntriesMax, and returns how many: call again until 0.
  // Never removes the latest snapshot, the latest policy, or anything after either; without a
  // snapshot, nothing. So write the policy again along with each snapshot.
  Result<std::uint64_t, ports::JournalError> prune(const Retention& retention);

  std::uint64_t last_sequence() const { return head_.sequence; }
  const Link& head() const { return head_; }
  // What the hash of that entry was, or would be, made from; none when it is not known any more.
  Result<std::optional<Digest>, ports::JournalError> hash_before(std::uint64_t sequence);
  // Whether what was not sealed may follow the head: there is no key, or nothing was sealed with it
  // yet, the key being new.
  Result<bool, ports::JournalError> accepts_plain();
  bool reserve_held() const { return reserve_.held(); }

 private:
  SqliteJournal(const OpenOptions& options, Descriptor lock, Database database);

  Result<void, ports::JournalError> prepare_to_write();
  Result<void, ports::JournalError> load();
  Result<void, ports::JournalError> check_key();
  Result<void, ports::JournalError> compare_key(std::string_view sealed) const;
  Result<void, ports::JournalError> compare_with_head_file();
  Result<Link, ports::JournalError> link_in(const char* table);
  Result<std::optional<Digest>, ports::JournalError> hash_at(std::uint64_t sequence);
  Result<void, ports::JournalError> store_link(const char* table, const Link& link);

  Result<void, ports::JournalError> commit_with_room(std::span<const ports::Entry> entries,
                                                     bool sync);
  Result<void, ports::JournalError> commit(std::span<const ports::Entry> entries, bool sync);
  Result<void, ports::JournalError> write_head_row(std::uint64_t sequence, const Link& head);
  Result<void, ports::JournalError> write_transaction(std::span<const ports::Entry> entries,
                                                      Link& head);
  Result<void, ports::JournalError> insert(const ports::Entry& entry, Link& head);
  Result<void, ports::JournalError> step(Statement& statement, const char* doing);
  Result<void, ports::JournalError> set_sync(bool full);
  void roll_back();
  void note_head();

  Result<std::vector<ports::StoredEntry>, ports::JournalError> search(const ports::Filter& filter,
                                                                      bool exact);
  Result<std::vector<ports::StoredEntry>, ports::JournalError> search_by_type(
      const ports::Filter& filter);
  Result<ports::StoredEntry, ports::JournalError> entry_of(const Statement& row) const;
  // What the note in journal.head contradicts, if anything.
  Result<std::optional<std::string>, ports::JournalError> fault_of(
      const std::optional<HeadNote>& note);
  Result<ports::Verification, ports::JournalError> verify_rows();
  Result<std::uint64_t, ports::JournalError> expired_end(const Retention& retention,
                                                         std::uint64_t anchor) const;
  Result<std::uint64_t, ports::JournalError> prune_end(const Retention& retention);

  const Cipher* cipher() const { return cipher_ ? &*cipher_ : nullptr; }

  OpenOptions options_;
  Descriptor lock_;
  Database database_;
  Statement begin_, commit_, rollback_, insert_, update_head_;
  std::optional<Cipher> cipher_;
  Hasher hasher_;
  Reserve reserve_;
  Link head_;
  std::uint64_t noted_ = 0;  // The sequence in journal.head.
  std::uint64_t appends_ = 0;
  bool sync_full_ = false;
  bool key_is_new_ = false;  // This opening gave the journal its key.
  // A sync failed: what it was to make durable may be gone from the kernel's cache as well. The
  // next durable commit first copies the whole -wal into the database.
  bool sync_in_doubt_ = false;
};

// A journal that is there in any case but a wrong key, a later version, or a disk that refuses.
struct SalvagedJournal {
  std::unique_ptr<SqliteJournal> journal;
  std::string moved_to;  // Where the corrupt one went; empty: it was whole.
};
// As open(), but a corrupt journal is moved aside to journal.corrupt-<n>.db and a new one begun
// whose first entry, "journal:salvaged", says so.
Result<SalvagedJournal, ports::JournalError> open_or_salvage(const OpenOptions& options);
// The same for a journal that opened but turned out to be corrupt later. REQUIRES: it is closed.
Result<SalvagedJournal, ports::JournalError> salvage(const OpenOptions& options,
                                                     const std::string& reason);
inline constexpr int kCorruptKeptMax = 99;  // The last one is overwritten after that.

}  // namespace recover::journal
