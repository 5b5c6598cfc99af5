#include "journal/sqlite_journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include <recover/check.h>

#include "journal/head_file.h"
#include "journal/schema.h"

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;
using ports::JournalError;
using ports::JournalFault;

using Done = Result<void, JournalError>;

// Appends between two looks at whether the reserve can be put aside again.
constexpr std::uint64_t kReserveEvery = 256;
constexpr std::string_view kKeyCheck = "recoverd journal key";

// auto_vacuum counts only before the first table.
constexpr std::int64_t kIncremental = 2;
constexpr const char* kNewFile = "PRAGMA auto_vacuum = INCREMENTAL";
constexpr const char* kWriter =
    "PRAGMA journal_size_limit = 33554432; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -256";
constexpr std::uint64_t kPageBytes = 4'096;
constexpr std::uint64_t kWalPagesMin = 64;
constexpr std::uint64_t kWalPages = 1'024;

// How long the -wal grows before it is copied into the database. Not more than the reserve holds:
// then giving up the reserve is enough to copy it, and the -wal can be used again from its start.
std::string wal_limit(std::uint64_t reserve_bytes) {
  const std::uint64_t pages = reserve_bytes == 0
                                  ? kWalPages
                                  : std::clamp(reserve_bytes / kPageBytes, kWalPagesMin, kWalPages);
  return "PRAGMA wal_autocheckpoint = " + std::to_string(pages);
}

JournalError corrupt(std::string message) {
  return {.message = std::move(message), .fault = JournalFault::Corrupt};
}

Done create_private(const std::string& path) {
  // Only a file that nobody has: closing it would drop SQLite's locks on an open one.
  const Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file && errno != EEXIST) return Unexpected(system_error("create", path));
  if (file) return sync_folder(path);
  return {};
}

}  // namespace

Entry tampered_entry(std::string fault) {
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  return {.kind = EntryKind::Notice,
          .wall_ns = std::chrono::duration_cast<std::chrono::nanoseconds>(wall).count(),
          .at = SteadyClock::instance().now(),
          .type = "journal:tampered",
          .service = {},
          .body = R"({"message":")" + std::move(fault) + R"("})"};
}

Result<void, JournalError> check_bounds(std::span<const Entry> entries) {
  bool fits = entries.size() <= kAppendEntriesMax;
  for (const Entry& entry : entries) {
    fits = fits && entry.body.size() <= kBodyBytesMax && entry.type.size() <= kNameBytesMax &&
           entry.service.size() <= kNameBytesMax;
  }
  if (fits) return {};
  return Unexpected(JournalError{.message = "journal: too many entries at once, or one too large",
                                 .fault = JournalFault::Invalid});
}

SqliteJournal::SqliteJournal(const OpenOptions& options, Descriptor lock, Database database)
    : options_(options),
      lock_(std::move(lock)),
      database_(std::move(database)),
      reserve_(beside(options.path, "reserve"), options.reserve_bytes) {}

Result<std::unique_ptr<SqliteJournal>, JournalError> SqliteJournal::open(
    const OpenOptions& options) {
  Descriptor lock;
  if (!options.read_only) {
    auto locked = lock_file(beside(options.path, "lock"));
    if (!locked) return Unexpected(std::move(locked).error());
    lock = std::move(*locked);
    if (auto created = create_private(options.path); !created) return Unexpected(created.error());
  }
  const int mode = options.read_only ? SQLITE_OPEN_READONLY : SQLITE_OPEN_READWRITE;
  auto database = Database::open(options.path, mode | SQLITE_OPEN_NOMUTEX, options.vfs);
  if (!database) return Unexpected(std::move(database).error());

  std::unique_ptr<SqliteJournal> journal(
      new SqliteJournal(options, std::move(lock), std::move(*database)));
  auto ready = options.read_only ? check_version(journal->database_) : journal->prepare_to_write();
  if (ready) ready = journal->load();
  if (ready) ready = journal->check_key();
  if (ready && !options.read_only) ready = journal->compare_with_head_file();
  if (!ready) return Unexpected(std::move(ready).error());
  return journal;
}

SqliteJournal::~SqliteJournal() {
  if (options_.read_only || noted_ == head_.sequence) return;
  // A passive checkpoint syncs the -wal, or does not and says so.
  if (database_.integer("PRAGMA wal_checkpoint(PASSIVE)").value_or(1) == 0) note_head();
}

Done SqliteJournal::prepare_to_write() {
  // Said again it would be written again, and synced: milliseconds in which nothing is supervised.
  const auto vacuum = database_.integer("PRAGMA auto_vacuum");
  if (!vacuum) return Unexpected(vacuum.error());
  if (*vacuum != kIncremental) {
    if (auto done = database_.run(kNewFile); !done) return done;
  }
  auto mode = database_.prepare("PRAGMA journal_mode = WAL");
  if (!mode) return Unexpected(std::move(mode).error());
  if (const int code = mode->step(); code != SQLITE_ROW) {
    return Unexpected(database_.error(code, "journal_mode"));
  }
  if (mode->text(0) != "wal") {
    return Unexpected(JournalError{
        .message = "journal " + options_.path + ": this file system cannot hold it (no WAL)",
        .fault = JournalFault::Io});
  }
  mode->reset();
  if (auto done = database_.run(kWriter); !done) return done;
  if (auto done = database_.run(wal_limit(options_.reserve_bytes).c_str()); !done) return done;
  if (auto done = migrate(database_); !done) return done;

  const std::pair<Statement&, const char*> statements[] = {
      {begin_, "BEGIN IMMEDIATE"},
      {commit_, "COMMIT"},
      {rollback_, "ROLLBACK"},
      {insert_, "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"},
      {update_head_, "UPDATE head SET seq = ?, hash = ? WHERE id = 1"},
  };
  for (const auto& [statement, sql] : statements) {
    auto prepared = database_.prepare(sql);
    if (!prepared) return Unexpected(std::move(prepared).error());
    statement = std::move(*prepared);
  }
  reserve_.ensure();
  return {};
}

Result<Link, JournalError> SqliteJournal::link_in(const char* table) {
  auto row = database_.prepare(std::string("SELECT seq, hash FROM ") + table + " WHERE id = 1");
  if (!row) return Unexpected(std::move(row).error());
  const int code = row->step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) return Unexpected(database_.error(code, table));
  if (code == SQLITE_DONE || row->blob(1).size() != kDigestBytes) {
    return Unexpected(corrupt("journal " + options_.path + ": no " + table));
  }
  Link link;
  link.sequence = static_cast<std::uint64_t>(row->integer(0));
  std::copy_n(row->blob(1).begin(), kDigestBytes, link.hash.begin());
  return link;
}

Result<std::optional<Digest>, JournalError> SqliteJournal::hash_at(std::uint64_t sequence) {
  auto row = database_.prepare("SELECT hash FROM entries WHERE seq = ?");
  if (!row) return Unexpected(std::move(row).error());
  row->bind(1, static_cast<std::int64_t>(sequence));
  const int code = row->step();
  if (code == SQLITE_DONE) return std::optional<Digest>();
  if (code != SQLITE_ROW) return Unexpected(database_.error(code, "read a hash"));
  if (row->blob(0).size() != kDigestBytes) return std::optional<Digest>();
  Digest hash{};
  std::copy_n(row->blob(0).begin(), kDigestBytes, hash.begin());
  return std::optional(hash);
}

Result<std::optional<Digest>, JournalError> SqliteJournal::hash_before(std::uint64_t sequence) {
  RECOVER_CHECK(sequence > 0);
  const auto anchor = link_in("anchor");
  if (!anchor) return Unexpected(anchor.error());
  if (anchor->sequence == sequence - 1) return std::optional(anchor->hash);
  return hash_at(sequence - 1);
}

Done SqliteJournal::load() {
  auto head = link_in("head");
  if (!head) return Unexpected(std::move(head).error());
  const auto anchor = link_in("anchor");
  if (!anchor) return Unexpected(anchor.error());
  const auto last = database_.integer("SELECT ifnull(max(seq), 0) FROM entries");
  if (!last) return Unexpected(last.error());
  const auto hash = hash_at(head->sequence);
  if (!hash) return Unexpected(hash.error());
  const bool empty = *last == 0 && head->sequence == anchor->sequence;
  const bool whole = static_cast<std::uint64_t>(*last) == head->sequence && *hash == head->hash;
  if (!empty && !whole) {
    return Unexpected(corrupt("journal " + options_.path + ": its last entry is not its head"));
  }
  head_ = *head;
  return {};
}

// The key must be the one that sealed the check stored when the journal was made.
Done SqliteJournal::compare_key(std::string_view sealed) const {
  if (cipher_) {
    const auto text = cipher_->open(0, EntryKind::Event, sealed);
    if (text && *text == kKeyCheck) return {};
    return Unexpected(JournalError{
        .message = "journal " + options_.path + ": encrypted with another key than the one given",
        .fault = JournalFault::WrongKey});
  }
  if (options_.read_only) return {};
  return Unexpected(
      JournalError{.message = "journal " + options_.path + ": encrypted, and no key is given",
                   .fault = JournalFault::WrongKey});
}

Done SqliteJournal::check_key() {
  if (!options_.key.empty()) {
    auto cipher = Cipher::from(options_.key);
    if (!cipher) return Unexpected(std::move(cipher).error());
    cipher_ = *cipher;
  }
  auto known = database_.prepare("SELECT value FROM facts WHERE name = 'key_check'");
  if (!known) return Unexpected(std::move(known).error());
  const int code = known->step();
  if (code != SQLITE_ROW && code != SQLITE_DONE) {
    return Unexpected(database_.error(code, "read the key check"));
  }
  if (code == SQLITE_ROW) return compare_key(known->blob(0));
  if (!cipher_ || options_.read_only) return {};
  known->reset();
  const auto sealed = cipher_->seal(0, EntryKind::Event, kKeyCheck);
  if (!sealed) return Unexpected(sealed.error());
  auto store = database_.prepare("INSERT INTO facts VALUES ('key_check', ?)");
  if (!store) return Unexpected(std::move(store).error());
  store->bind_blob(1, *sealed);
  key_is_new_ = true;
  return step(*store, "store the key check");
}

Done SqliteJournal::compare_with_head_file() {
  // Before the journal had a key the note could not be signed.
  const std::string path = beside(options_.path, "head");
  const auto note = read_head(path, key_is_new_ ? nullptr : cipher());
  if (!note) return Unexpected(note.error());
  if (*note) noted_ = (*note)->link.sequence;
  const auto fault = fault_of(*note);
  if (!fault) return Unexpected(fault.error());
  if (!*fault) {
    if (key_is_new_ && *note) (void)write_head(path, (*note)->link, cipher());
    return {};
  }
  const Entry entry = tampered_entry(**fault);
  noted_ = 0;
  const auto recorded = append({&entry, 1}, Durability::PowerLoss);
  if (!recorded) return Unexpected(recorded.error());
  note_head();
  return {};
}

Result<std::uint64_t, JournalError> SqliteJournal::append(std::span<const Entry> entries,
                                                          Durability durability) {
  RECOVER_CHECK(!options_.read_only);
  if (entries.empty() && durability == Durability::ProcessCrash) return head_.sequence;
  if (auto fits = check_bounds(entries); !fits) return Unexpected(std::move(fits).error());
  if (++appends_ % kReserveEvery == 0) reserve_.ensure();

  const std::uint64_t last = head_.sequence + entries.size();
  const bool note_due = last >= noted_ + options_.head_every || last < noted_;
  const bool durable = durability == Durability::PowerLoss;
  auto done = commit_with_room(entries, durable || note_due);
  // Only the note wanted the sync; the entries can do without.
  if (!done && note_due && !durable)
    return commit(entries, false).transform([this] { return head_.sequence; });
  if (!done) return Unexpected(std::move(done).error());
  if (note_due) note_head();
  return head_.sequence;
}

// A full disk: first what the -wal already holds is used again, then the reserve is given up.
Done SqliteJournal::commit_with_room(std::span<const Entry> entries, bool sync) {
  auto done = commit(entries, sync);
  for (const bool give_up_reserve : {false, true}) {
    if (done || done.error().fault != JournalFault::Full) return done;
    if (give_up_reserve && !reserve_.release()) return done;
    (void)database_.integer("PRAGMA wal_checkpoint(RESTART)");
    done = commit(entries, sync);
  }
  return done;
}

Done SqliteJournal::commit(std::span<const Entry> entries, bool sync) {
  if (sync && sync_in_doubt_) {
    const auto busy = database_.integer("PRAGMA wal_checkpoint(TRUNCATE)");
    if (!busy) return Unexpected(busy.error());
    if (*busy != 0) {
      return Unexpected(JournalError{
          .message = "journal " + options_.path + ": a failed sync cannot be made good yet",
          .fault = JournalFault::Io});
    }
    sync_in_doubt_ = false;
  }
  if (auto done = set_sync(sync); !done) return done;
  Link head = head_;
  auto done = write_transaction(entries, head);
  if (done) {
    head_ = head;
  } else {
    roll_back();
  }
  return done;
}

Done SqliteJournal::set_sync(bool full) {
  if (full == sync_full_) return {};
  auto done = database_.run(full ? "PRAGMA synchronous = FULL" : "PRAGMA synchronous = NORMAL");
  if (done) sync_full_ = full;
  return done;
}

Done SqliteJournal::write_transaction(std::span<const Entry> entries, Link& head) {
  if (auto done = step(begin_, "begin"); !done) return done;
  for (const Entry& entry : entries) {
    if (auto done = insert(entry, head); !done) return done;
  }
  // Also without entries: a commit that writes something is what syncs earlier ones. SQLite writes
  // nothing for a row that stays as it is, so there it changes and changes back.
  if (entries.empty()) {
    if (auto done = write_head_row(head.sequence + 1, head); !done) return done;
  }
  if (auto done = write_head_row(head.sequence, head); !done) return done;
  return step(commit_, "commit");
}

Done SqliteJournal::write_head_row(std::uint64_t sequence, const Link& head) {
  update_head_.bind(1, static_cast<std::int64_t>(sequence));
  update_head_.bind_blob(2, view_of(head.hash));
  return step(update_head_, "write the head");
}

Done SqliteJournal::insert(const Entry& entry, Link& head) {
  Row row{.sequence = head.sequence + 1,
          .sealed = cipher_.has_value(),
          .kind = entry.kind,
          .wall_ns = entry.wall_ns,
          .at_ns = entry.at.time_since_epoch().count(),
          .type = entry.type,
          .service = entry.service,
          .incident = entry.incident,
          .recovery = entry.recovery,
          .body = entry.body};
  std::string sealed;
  if (cipher_) {
    auto made = cipher_->seal(row.sequence, row.kind, entry.body);
    if (!made) return Unexpected(std::move(made).error());
    sealed = std::move(*made);
    row.body = sealed;
  }
  const Link next{.sequence = row.sequence, .hash = hasher_.next(head.hash, row)};
  insert_.bind(1, static_cast<std::int64_t>(row.sequence));
  insert_.bind(2, row.sealed ? 1 : 0);
  insert_.bind(3, static_cast<std::int64_t>(row.kind));
  insert_.bind(4, row.wall_ns);
  insert_.bind(5, row.at_ns);
  insert_.bind_text(6, row.type);
  insert_.bind_text(7, row.service);
  insert_.bind(8, static_cast<std::int64_t>(row.incident));
  insert_.bind(9, static_cast<std::int64_t>(row.recovery));
  insert_.bind_blob(10, row.body);
  insert_.bind_blob(11, view_of(next.hash));
  auto done = step(insert_, "append");
  if (done) head = next;
  return done;
}

Done SqliteJournal::step(Statement& statement, const char* doing) {
  const int code = statement.step();
  if (code == SQLITE_DONE || code == SQLITE_ROW) {
    statement.reset();
    return {};
  }
  if (code == SQLITE_IOERR_FSYNC || code == SQLITE_IOERR_DIR_FSYNC) sync_in_doubt_ = true;
  JournalError error = database_.error(code, doing);
  statement.reset();
  return Unexpected(std::move(error));
}

void SqliteJournal::roll_back() {
  // SQLite may have done so already; and if this fails, the next BEGIN will say so.
  if (sqlite3_get_autocommit(database_.get()) == 0) (void)step(rollback_, "roll back");
}

void SqliteJournal::note_head() {
  if (write_head(beside(options_.path, "head"), head_, cipher())) noted_ = head_.sequence;
}

}  // namespace recover::journal
