// Reading the journal: replay, search, verification; and retention, which must keep it verifiable.
#include <algorithm>
#include <iterator>
#include <utility>

#include "journal/head_file.h"
#include "journal/search.h"
#include "journal/sqlite_journal.h"

namespace recover::journal {
namespace {

using ports::Entry;
using ports::EntryKind;
using ports::Filter;
using ports::JournalError;
using ports::JournalFault;
using ports::StoredEntry;
using ports::Verification;

constexpr const char* kColumns =
    "SELECT seq, sealed, kind, wall_ns, at_ns, type, service, incident, recovery, body, hash "
    "FROM entries ";
constexpr int kHashColumn = 10;
// Free pages given back to the file system after a prune.
constexpr const char* kShrink = "PRAGMA incremental_vacuum(2000)";

Row row_of(const Statement& statement) {
  return {.sequence = static_cast<std::uint64_t>(statement.integer(0)),
          .sealed = statement.integer(1) != 0,
          .kind = static_cast<EntryKind>(statement.integer(2)),
          .wall_ns = statement.integer(3),
          .at_ns = statement.integer(4),
          .type = statement.text(5),
          .service = statement.text(6),
          .incident = static_cast<std::uint64_t>(statement.integer(7)),
          .recovery = static_cast<std::uint64_t>(statement.integer(8)),
          .body = statement.blob(9)};
}

// Values that no entry of ours has would be cut to the width of Row's fields before they are
// hashed.
bool in_range(const Statement& statement) {
  return statement.integer(1) >= 0 && statement.integer(1) <= 1 && statement.integer(2) >= 0 &&
         statement.integer(2) <= static_cast<std::int64_t>(EntryKind::Snapshot);
}

void bind_filter(Statement& statement, const Filter& filter) {
  statement.bind(1, static_cast<std::int64_t>(std::min<std::uint64_t>(filter.after, INT64_MAX)));
  if (filter.since_wall_ns) statement.bind(2, *filter.since_wall_ns);
  if (filter.kind && *filter.kind != EntryKind::Notice) {
    statement.bind(3, static_cast<std::int64_t>(*filter.kind));
  }
  if (!filter.type.empty()) statement.bind_text(4, filter.type);
  if (!filter.service.empty()) statement.bind_text(5, filter.service);
  if (filter.recovery != 0) statement.bind(6, static_cast<std::int64_t>(filter.recovery));
  if (filter.incident != 0) statement.bind(7, static_cast<std::int64_t>(filter.incident));
  statement.bind(8, static_cast<std::int64_t>(std::min(filter.limit, kFindEntriesMax)));
}

Verification broken(std::uint64_t entries, std::uint64_t at, std::string why) {
  return {
      .entries = entries, .broken_at = std::max<std::uint64_t>(at, 1), .message = std::move(why)};
}

}  // namespace

Result<StoredEntry, JournalError> SqliteJournal::entry_of(const Statement& statement) const {
  const Row row = row_of(statement);
  if (!in_range(statement)) {
    return Unexpected(JournalError{
        .message = "journal: entry " + std::to_string(row.sequence) + " is of no known kind",
        .fault = JournalFault::Corrupt});
  }
  StoredEntry stored{.sequence = row.sequence,
                     .entry = {.kind = row.kind,
                               .wall_ns = row.wall_ns,
                               .at = Instant{Duration{row.at_ns}},
                               .type = std::string(row.type),
                               .service = std::string(row.service),
                               .incident = row.incident,
                               .recovery = row.recovery,
                               .body = {}}};
  if (!row.sealed) {
    stored.entry.body = row.body;
    return stored;
  }
  if (!cipher_) {
    return Unexpected(JournalError{.message = "journal: entry " + std::to_string(row.sequence) +
                                              " is encrypted, and no key is given",
                                   .fault = JournalFault::WrongKey});
  }
  auto body = cipher_->open(row.sequence, row.kind, row.body);
  if (!body) return Unexpected(std::move(body).error());
  stored.entry.body = std::move(*body);
  return stored;
}

Result<void, JournalError> SqliteJournal::replay(
    std::uint64_t first, const std::function<bool(const StoredEntry&)>& visit) {
  auto rows = database_.prepare(std::string(kColumns) + "WHERE seq >= ? ORDER BY seq");
  if (!rows) return Unexpected(std::move(rows).error());
  rows->bind(1, static_cast<std::int64_t>(std::min<std::uint64_t>(first, INT64_MAX)));
  int code = rows->step();
  for (; code == SQLITE_ROW; code = rows->step()) {
    const auto entry = entry_of(*rows);
    if (!entry) return Unexpected(entry.error());
    if (!visit(*entry)) return {};
  }
  if (code != SQLITE_DONE) return Unexpected(database_.error(code, "replay"));
  return {};
}

Result<bool, JournalError> SqliteJournal::accepts_plain() {
  if (!cipher_) return true;
  auto row = database_.prepare("SELECT sealed FROM entries WHERE seq = ?");
  if (!row) return Unexpected(std::move(row).error());
  row->bind(1, static_cast<std::int64_t>(head_.sequence));
  const int code = row->step();
  if (code == SQLITE_DONE) return key_is_new_;
  if (code != SQLITE_ROW) return Unexpected(database_.error(code, "read the last entry"));
  return row->integer(0) == 0;
}

Result<std::optional<StoredEntry>, JournalError> SqliteJournal::latest(EntryKind kind) {
  // The literal lets the partial index answer for policies and snapshots.
  const bool indexed = kind >= EntryKind::Policy;
  auto row = database_.prepare(std::string(kColumns) +
                               (indexed ? "WHERE kind >= 3 AND kind = ?" : "WHERE kind = ?") +
                               " ORDER BY seq DESC LIMIT 1");
  if (!row) return Unexpected(std::move(row).error());
  row->bind(1, static_cast<std::int64_t>(kind));
  const int code = row->step();
  if (code == SQLITE_DONE) return std::optional<StoredEntry>();
  if (code != SQLITE_ROW) return Unexpected(database_.error(code, "read the latest entry"));
  auto entry = entry_of(*row);
  if (!entry) return Unexpected(std::move(entry).error());
  return std::optional(std::move(*entry));
}

Result<std::vector<StoredEntry>, JournalError> SqliteJournal::search(const Filter& filter,
                                                                     bool exact) {
  auto rows = database_.prepare(search_query(filter, exact));
  if (!rows) return Unexpected(std::move(rows).error());
  bind_filter(*rows, filter);
  std::vector<StoredEntry> found;
  int code = rows->step();
  for (; code == SQLITE_ROW; code = rows->step()) {
    auto entry = entry_of(*rows);
    if (!entry) return Unexpected(std::move(entry).error());
    found.push_back(std::move(*entry));
  }
  if (code != SQLITE_DONE) return Unexpected(database_.error(code, "find"));
  if (!filter.oldest) std::reverse(found.begin(), found.end());
  return found;
}

// One search per type, merged: only so an index gives each in order.
Result<std::vector<StoredEntry>, JournalError> SqliteJournal::search_by_type(const Filter& filter) {
  auto types = database_.prepare(types_query());
  if (!types) return Unexpected(std::move(types).error());
  types->bind_text(1, filter.type);
  std::vector<StoredEntry> found;
  int code = types->step();
  for (; code == SQLITE_ROW; code = types->step()) {
    Filter one = filter;
    one.type = std::string(types->text(0));
    auto some = search(one, true);
    if (!some) return some;
    found.insert(found.end(), std::make_move_iterator(some->begin()),
                 std::make_move_iterator(some->end()));
  }
  if (code != SQLITE_DONE) return Unexpected(database_.error(code, "find the types"));
  std::sort(found.begin(), found.end(),
            [](const StoredEntry& a, const StoredEntry& b) { return a.sequence < b.sequence; });
  const std::size_t limit = std::min(filter.limit, kFindEntriesMax);
  if (found.size() > limit && filter.oldest) found.resize(limit);
  if (found.size() > limit) {
    found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(limit));
  }
  return found;
}

Result<std::vector<StoredEntry>, JournalError> SqliteJournal::find(const Filter& filter) {
  return searches_by_type(filter) ? search_by_type(filter) : search(filter, false);
}

Result<std::optional<std::string>, JournalError> SqliteJournal::fault_of(
    const std::optional<HeadNote>& note) {
  using Fault = std::optional<std::string>;
  if (!note) return Fault();
  if (!note->genuine) return Fault("journal.head is damaged or does not bear our signature");
  const auto head = link_in("head");
  if (!head) return Unexpected(head.error());
  const auto anchor = link_in("anchor");
  if (!anchor) return Unexpected(anchor.error());
  const Link& link = note->link;
  if (link.sequence > head->sequence) {
    return Fault("entries after " + std::to_string(head->sequence) +
                 " are missing: journal.head knows entry " + std::to_string(link.sequence));
  }
  if (link.sequence < anchor->sequence || link.sequence == 0) return Fault();
  const auto hash = link.sequence == anchor->sequence
                        ? Result<std::optional<Digest>, JournalError>(anchor->hash)
                        : hash_at(link.sequence);
  if (!hash) return Unexpected(hash.error());
  if (*hash == link.hash) return Fault();
  return Fault("entry " + std::to_string(link.sequence) + " is not the one journal.head knows");
}

Result<Verification, JournalError> SqliteJournal::verify() {
  // First, because a writer in another process may move it on while we read.
  const auto note = read_head(beside(options_.path, "head"), cipher());
  if (!note) return Unexpected(note.error());
  if (auto begun = database_.run("BEGIN"); !begun) return Unexpected(std::move(begun).error());
  auto verdict = verify_rows();
  if (verdict && verdict->broken_at == 0) {
    const auto fault = fault_of(*note);
    if (!fault) {
      verdict = Unexpected(fault.error());
    } else if (*fault) {
      verdict = broken(verdict->entries, (*note)->link.sequence, **fault);
    }
  }
  (void)database_.run("COMMIT");  // Of a transaction that only read.
  return verdict;
}

// REQUIRES: a transaction is open, so that rows and head are of one moment.
Result<Verification, JournalError> SqliteJournal::verify_rows() {
  const auto anchor = link_in("anchor");
  if (!anchor) return Unexpected(anchor.error());
  auto rows = database_.prepare(std::string(kColumns) + "ORDER BY seq");
  if (!rows) return Unexpected(std::move(rows).error());
  Link link = *anchor;
  std::uint64_t count = 0;
  int code = rows->step();
  for (; code == SQLITE_ROW; code = rows->step(), ++count) {
    const Row row = row_of(*rows);
    const std::uint64_t expected = link.sequence + 1;
    const std::string name = "entry " + std::to_string(expected);
    if (row.sequence != expected) {
      return broken(count, expected,
                    name + " is missing: the next is " + std::to_string(row.sequence));
    }
    link = {.sequence = expected, .hash = hasher_.next(link.hash, row)};
    if (!in_range(*rows) || rows->blob(kHashColumn) != view_of(link.hash)) {
      return broken(count, expected, name + " was changed");
    }
  }
  if ((code & 0xff) == SQLITE_CORRUPT) {
    return broken(count, link.sequence + 1, database_.error(code, "verify").message);
  }
  if (code != SQLITE_DONE) return Unexpected(database_.error(code, "verify"));
  const auto head = link_in("head");
  if (!head) return Unexpected(head.error());
  if (*head != link) {
    return broken(count, std::max(head->sequence, link.sequence),
                  "the journal ends at entry " + std::to_string(link.sequence) +
                      ", its head is entry " + std::to_string(head->sequence));
  }
  return Verification{.entries = count, .broken_at = 0, .message = {}};
}

// The last sequence that `retention` gives up, as far as the entries themselves go.
Result<std::uint64_t, JournalError> SqliteJournal::expired_end(const Retention& retention,
                                                               std::uint64_t anchor) const {
  std::uint64_t end = std::min(head_.sequence, anchor + kPruneEntriesMax);
  if (retention.keep_entries) {
    end = std::min(end, head_.sequence - std::min(head_.sequence, *retention.keep_entries));
  }
  if (!retention.keep_after_wall_ns) return end;
  const auto first = database_.integer("SELECT ifnull((SELECT seq FROM entries WHERE wall_ns >= " +
                                       std::to_string(*retention.keep_after_wall_ns) +
                                       " ORDER BY seq LIMIT 1), 0)");
  if (!first) return Unexpected(first.error());
  return *first > 0 ? std::min(end, static_cast<std::uint64_t>(*first) - 1) : end;
}

Result<std::uint64_t, JournalError> SqliteJournal::prune_end(const Retention& retention) {
  const auto anchor = link_in("anchor");
  if (!anchor) return Unexpected(anchor.error());
  if (!retention.keep_after_wall_ns && !retention.keep_entries) return anchor->sequence;
  const auto expired = expired_end(retention, anchor->sequence);
  if (!expired) return expired;
  std::uint64_t end = *expired;
  for (const EntryKind kind : {EntryKind::Snapshot, EntryKind::Policy}) {
    const auto last =
        database_.integer("SELECT ifnull(max(seq), 0) FROM entries WHERE kind >= 3 AND kind = " +
                          std::to_string(static_cast<int>(kind)));
    if (!last) return Unexpected(last.error());
    if (*last == 0 && kind == EntryKind::Snapshot) return anchor->sequence;
    if (*last > 0) end = std::min(end, static_cast<std::uint64_t>(*last) - 1);
  }
  return std::max(end, anchor->sequence);
}

Result<std::uint64_t, JournalError> SqliteJournal::prune(const Retention& retention) {
  const auto anchor = link_in("anchor");
  if (!anchor) return Unexpected(anchor.error());
  const auto end = prune_end(retention);
  if (!end || *end == anchor->sequence)
    return end.transform([](std::uint64_t) { return std::uint64_t{0}; });
  const auto hash = hash_at(*end);
  if (!hash) return Unexpected(hash.error());
  if (!*hash) {
    return Unexpected(JournalError{
        .message = "journal: entry " + std::to_string(*end) + " is missing, nothing pruned",
        .fault = JournalFault::Corrupt});
  }
  auto remove = database_.prepare("DELETE FROM entries WHERE seq <= ?");
  if (!remove) return Unexpected(std::move(remove).error());
  auto done = step(begin_, "begin");
  if (done) {
    remove->bind(1, static_cast<std::int64_t>(*end));
    done = step(*remove, "prune");
  }
  if (done) done = store_link("anchor", {.sequence = *end, .hash = **hash});
  if (done) done = step(commit_, "commit");
  if (!done) {
    roll_back();
    return Unexpected(std::move(done).error());
  }
  // Space that cannot be given back now is used by later entries.
  (void)database_.run(kShrink);
  return *end - anchor->sequence;
}

Result<void, JournalError> SqliteJournal::store_link(const char* table, const Link& link) {
  auto update =
      database_.prepare(std::string("UPDATE ") + table + " SET seq = ?, hash = ? WHERE id = 1");
  if (!update) return Unexpected(std::move(update).error());
  update->bind(1, static_cast<std::int64_t>(link.sequence));
  update->bind_blob(2, view_of(link.hash));
  return step(*update, "write a link");
}

}  // namespace recover::journal
