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

bool matches(const StoredEntry& stored, const Filter& filter) {
  const Entry& entry = stored.entry;
  return stored.sequence > filter.after &&
         (!filter.since_wall_ns || entry.wall_ns >= *filter.since_wall_ns) &&
         (!filter.kind || entry.kind == *filter.kind) && entry.type.starts_with(filter.type) &&
         (filter.service.empty() || entry.service == filter.service) &&
         (filter.recovery == 0 || entry.recovery == filter.recovery) &&
         (filter.incident == 0 || entry.incident == filter.incident);
}

}  // namespace

ResilientJournal::ResilientJournal(std::unique_ptr<Journal> journal, ResilientOptions options)
    : journal_(std::move(journal)),
      options_(std::move(options)),
      clock_(options_.clock == nullptr ? SteadyClock::instance() : *options_.clock) {
  if (journal_) {
    // Nothing appended still tells the last sequence.
    stored_ = journal_->append({}, Durability::ProcessCrash).value_or(0);
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
    if (done) return stored_ = *done;
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
  return stored_ + queue_.size();
}

bool ResilientJournal::catch_up() {
  next_attempt_ = saturating_add(clock_.now(), kCatchUpInterval);
  if (!journal_ && !reopen()) return false;
  if (!write_queue()) return false;
  set_degraded(false);
  return true;
}

bool ResilientJournal::write_queue() {
  note_dropped();
  std::vector<Entry> batch;
  while (!queue_.empty()) {
    const auto count = static_cast<std::ptrdiff_t>(std::min(queue_.size(), kCatchUpEntriesMax));
    batch.assign(queue_.begin(), queue_.begin() + count);
    const auto done = journal_->append(batch, Durability::ProcessCrash);
    if (!done) {
      refuse(done.error());
      return false;
    }
    stored_ = *done;
    for (const Entry& entry : batch) notices_ -= entry.kind == EntryKind::Notice ? 1 : 0;
    queue_bytes_ -= bytes_of(batch);
    queue_.erase(queue_.begin(), queue_.begin() + count);
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
  stored_ = last.value_or(stored_);
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
  while (queue_.size() + entries.size() > kMemoryEntriesMax ||
         queue_bytes_ + bytes > kMemoryBytesMax) {
    if (!drop_oldest_notice()) return false;
  }
  return true;
}

bool ResilientJournal::drop_oldest_notice() {
  if (notices_ == 0) return false;
  const auto notice = std::find_if(queue_.begin(), queue_.end(), [](const Entry& entry) {
    return entry.kind == EntryKind::Notice;
  });
  queue_bytes_ -= bytes_of(*notice);
  queue_.erase(notice);
  --notices_;
  ++dropped_;
  ++dropped_untold_;
  return true;
}

void ResilientJournal::enqueue(std::span<const Entry> entries) {
  for (const Entry& entry : entries) notices_ += entry.kind == EntryKind::Notice ? 1 : 0;
  queue_bytes_ += bytes_of(entries);
  queue_.insert(queue_.end(), entries.begin(), entries.end());
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
  std::uint64_t sequence = stored_;
  for (const Entry& entry : queue_) {
    if (++sequence < first) continue;
    if (!go_on) break;
    go_on = visit({.sequence = sequence, .entry = entry});
  }
  return {};
}

Result<std::optional<StoredEntry>, JournalError> ResilientJournal::latest(EntryKind kind) {
  const auto newest = std::find_if(queue_.rbegin(), queue_.rend(),
                                   [kind](const Entry& entry) { return entry.kind == kind; });
  if (newest != queue_.rend()) {
    const auto after = static_cast<std::uint64_t>(std::distance(queue_.rbegin(), newest));
    return std::optional(StoredEntry{stored_ + queue_.size() - after, *newest});
  }
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
  std::uint64_t sequence = stored_;
  for (const Entry& entry : queue_) {
    StoredEntry waiting{++sequence, entry};
    if (matches(waiting, filter)) found.push_back(std::move(waiting));
  }
  if (found.size() > filter.limit && filter.oldest) found.resize(filter.limit);
  if (found.size() > filter.limit) {
    found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(filter.limit));
  }
  return found;
}

Result<Verification, JournalError> ResilientJournal::verify() {
  if (journal_) return journal_->verify();
  return Unexpected(last_error_);
}

}  // namespace recover::journal
