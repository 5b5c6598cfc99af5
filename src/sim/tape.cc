#include "sim/tape.h"

#include <algorithm>

namespace recover::sim {

void Tape::heal() {
  full_ = false;
  fsync_broken_ = false;
  healing_ = in_memory_;
}

void Tape::crash() {
  const std::vector<ports::StoredEntry>& all = memory_->entries();
  if (in_memory_ && durable_ < all.size()) {
    std::vector<ports::Entry> kept;
    for (std::uint64_t at = 0; at < durable_; ++at) kept.push_back(all[at].entry);
    memory_ = std::make_unique<runtime::MemoryJournal>();
    if (!kept.empty() && !memory_->append(kept, ports::Durability::ProcessCrash)) dead_ = true;
  }
  in_memory_ = false;
  healing_ = false;
  full_ = false;
  fsync_broken_ = false;
  dead_ = false;
  torn_ = false;
  cut_ = Cut::None;
}

Result<std::uint64_t, ports::JournalError> Tape::refuse(std::span<const ports::Entry> entries) {
  for (const ports::Entry& entry : entries) checker_.entry(entry, log_.row_of(entry), 0);
  return Unexpected(
      ports::JournalError{.message = "no space left", .fault = ports::JournalFault::Full});
}

Result<std::uint64_t, ports::JournalError> Tape::append(std::span<const ports::Entry> entries,
                                                        ports::Durability durability) {
  const bool power_loss = durability == ports::Durability::PowerLoss;
  const ports::JournalError no{.message = "no", .fault = ports::JournalFault::Io};
  if (dead_) return Unexpected(no);
  if (cut_ == Cut::Torn) {
    dead_ = true;
    torn_ = true;
    checker_.goals().reach(Goal::TornRecord);
    return Unexpected(no);
  }
  // The loop tries again with less durability.
  if (power_loss && (full_ || in_memory_)) return Unexpected(no);
  if (power_loss && fsync_broken_) {
    checker_.goals().reach(Goal::FsyncError);
    return Unexpected(no);
  }
  if (full_ && !in_memory_) {
    checker_.goals().reach(Goal::DiskFullOnAppend);
    checker_.journal_is_gone();
    in_memory_ = true;
    return refuse(entries);
  }
  const bool snapshot = std::ranges::any_of(
      entries, [](const ports::Entry& entry) { return entry.kind == ports::EntryKind::Snapshot; });
  auto last = memory_->append(entries, durability);
  if (!last) return last;
  for (std::size_t at = 0; at < entries.size(); ++at) {
    checker_.entry(entries[at], log_.row_of(entries[at]), *last - entries.size() + at + 1);
  }
  if (in_memory_ && healing_ && snapshot) {
    in_memory_ = false;
    healing_ = false;
    checker_.journal_is_back();
  }
  if (!in_memory_) durable_ = *last;
  if (cut_ == Cut::Written) dead_ = true;
  return last;
}

}  // namespace recover::sim
