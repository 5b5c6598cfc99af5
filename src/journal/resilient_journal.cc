#include "journal/resilient_journal.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <utility>

namespace recover::journal {
namespace {

using ports::Durability;
using ports::Entry;
using ports::EntryKind;
using ports::Filter;
using ports::Journal;
using ports::JournalError;
using ports::JournalFault;
using ports::StoredEntry;
using ports::Verification;

std::size_t bytes_of(const Entry& entry) {
  return sizeof(Entry) + entry.body.size() + entry.type.size() + entry.service.size();
}

std::size_t bytes_of(std::span<const Entry> entries) {
  std::size_t bytes = 0;
  for (const Entry& entry : entries) bytes += bytes_of(entry);
  return bytes;
}

}  // namespace

ResilientJournal::ResilientJournal(std::unique_ptr<Journal> journal, ResilientOptions options)
    : journal_(std::move(journal)),
      options_(std::move(options)),
      clock_(options_.clock == nullptr ? SteadyClock::instance() : *options_.clock) {
  if (journal_) {
    // Nothing appended still tells the last sequence.
    queue_.stored = journal_->append({}, Durability::ProcessCrash).value_or(0);
  } else if (!reopen()) {
    set_degraded(true);
  }
}

Result<std::uint64_t, JournalError> ResilientJournal::append(std::span<const Entry> entries,
                                                             Durability durability) {
  const bool durable = durability == Durability::PowerLoss;
  if (degraded_ && (durable || attempt_due())) (void)catch_up();
  if (!degraded_) {
    auto done = journal_->append(entries, durability);
    if (done) return queue_.stored = *done;
    if (done.error().fault == JournalFault::Invalid) return done;
    refuse(std::move(done).error());
  }
  if (durable) return Unexpected(last_error_);
  if (!make_room(entries)) {
    return Unexpected(
        JournalError{.message = "journal: the queue in memory is full; " + last_error_.message,
                     .fault = last_error_.fault});
  }
  enqueue(entries);
  return queue_.last();
}

bool ResilientJournal::catch_up() {
  next_attempt_ = saturating_add(clock_.now(), kCatchUpInterval);
  if (!journal_ && !reopen()) return false;
  if (!writes_again() || !write_queue()) return false;
  set_degraded(false);
  return true;
}

// With nothing to write: what waits below us (a stage) is tried.
bool ResilientJournal::writes_again() {
  if (!degraded_ || !queue_.entries.empty()) return true;
  const auto done = journal_->append({}, Durability::PowerLoss);
  if (!done) refuse(done.error());
  return done.has_value();
}

bool ResilientJournal::write_queue() {
  note_dropped();
  std::vector<Entry> batch;
  while (!queue_.entries.empty()) {
    const auto count =
        static_cast<std::ptrdiff_t>(std::min(queue_.entries.size(), kCatchUpEntriesMax));
    batch.assign(queue_.entries.begin(), queue_.entries.begin() + count);
    const auto done = journal_->append(batch, Durability::ProcessCrash);
    if (!done) {
      refuse(done.error());
      return false;
    }
    queue_.stored = *done;
    for (const Entry& entry : batch) notices_ -= entry.kind == EntryKind::Notice ? 1 : 0;
    queue_bytes_ -= bytes_of(batch);
    queue_.entries.erase(queue_.entries.begin(), queue_.entries.begin() + count);
  }
  return true;
}

bool ResilientJournal::reopen() {
  if (!options_.open) return false;
  auto opened = options_.open();
  if (!opened) {
    last_error_ = std::move(opened).error();
    return false;
  }
  journal_ = std::move(*opened);
  const auto last = journal_->append({}, Durability::ProcessCrash);
  queue_.stored = last.value_or(queue_.stored);
  return true;
}

bool ResilientJournal::attempt_due() {
  return clock_.now() >= next_attempt_;
}

void ResilientJournal::refuse(JournalError error) {
  // A corrupt one takes nothing any more; `open` decides what becomes of it.
  if (error.fault == JournalFault::Corrupt && options_.open) journal_.reset();
  last_error_ = std::move(error);
  next_attempt_ = saturating_add(clock_.now(), kCatchUpInterval);
  set_degraded(true);
}

void ResilientJournal::set_degraded(bool degraded) {
  if (degraded == degraded_) return;
  degraded_ = degraded;
  if (options_.on_degraded) options_.on_degraded(degraded);
}

bool ResilientJournal::make_room(std::span<const Entry> entries) {
  const std::size_t bytes = bytes_of(entries);
  if (entries.size() > kMemoryEntriesMax || bytes > kMemoryBytesMax) return false;
  while (queue_.entries.size() + entries.size() > kMemoryEntriesMax ||
         queue_bytes_ + bytes > kMemoryBytesMax) {
    if (!drop_oldest_notice()) return false;
  }
  return true;
}

bool ResilientJournal::drop_oldest_notice() {
  if (notices_ == 0) return false;
  const auto notice =
      std::find_if(queue_.entries.begin(), queue_.entries.end(),
                   [](const Entry& entry) { return entry.kind == EntryKind::Notice; });
  queue_bytes_ -= bytes_of(*notice);
  queue_.entries.erase(notice);
  --notices_;
  ++dropped_;
  ++dropped_untold_;
  return true;
}

void ResilientJournal::enqueue(std::span<const Entry> entries) {
  for (const Entry& entry : entries) notices_ += entry.kind == EntryKind::Notice ? 1 : 0;
  queue_bytes_ += bytes_of(entries);
  queue_.entries.insert(queue_.entries.end(), entries.begin(), entries.end());
}

// The journal itself says that something is missing from it, at the end of what waited.
void ResilientJournal::note_dropped() {
  if (dropped_untold_ == 0) return;
  const auto wall = std::chrono::system_clock::now().time_since_epoch();
  const Entry entry{
      .kind = EntryKind::Notice,
      .wall_ns = std::chrono::duration_cast<Duration>(wall).count(),
      .at = clock_.now(),
      .type = "journal:dropped",
      .service = {},
      .body = R"({"message":"notices dropped while the journal could not be written",)"
              R"("dropped":)" +
              std::to_string(dropped_untold_) + "}"};
  // Beyond the bound by this one; untold once it waits in the queue.
  enqueue({&entry, 1});
  dropped_untold_ = 0;
}

Result<void, JournalError> ResilientJournal::replay(
    std::uint64_t first, const std::function<bool(const StoredEntry&)>& visit) {
  bool go_on = true;
  if (journal_) {
    auto stored =
        journal_->replay(first, [&](const StoredEntry& entry) { return go_on = visit(entry); });
    if (!stored) return stored;
  }
  if (go_on) (void)queue_.replay(first, visit);
  return {};
}

Result<std::optional<StoredEntry>, JournalError> ResilientJournal::latest(EntryKind kind) {
  if (auto newest = queue_.latest(kind)) return newest;
  if (journal_) return journal_->latest(kind);
  return std::optional<StoredEntry>();
}

Result<std::vector<StoredEntry>, JournalError> ResilientJournal::find(const Filter& filter) {
  std::vector<StoredEntry> found;
  if (journal_) {
    auto stored = journal_->find(filter);
    if (!stored) return stored;
    found = std::move(*stored);
  }
  return queue_.find(filter, std::move(found));
}

Result<Verification, JournalError> ResilientJournal::verify() {
  if (journal_) return journal_->verify();
  return Unexpected(last_error_);
}

}  // namespace recover::journal
