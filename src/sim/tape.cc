#include "sim/tape.h"

#include <algorithm>

namespace recover::sim {

void Tape::heal() {
  full_ = false;
  fsync_broken_ = false;
  healing_ = in_memory_;
}

void Tape::crash() {
  if (in_memory_ && durable_ < kept_.size()) kept_.resize(durable_);
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
  for (const ports::Entry& entry : entries) {
    keep(entry);
    checker_.entry(entry, log_.row_of(entry), kept_.size());
  }
  if (in_memory_ && healing_ && snapshot) {
    in_memory_ = false;
    healing_ = false;
    checker_.journal_is_back();
  }
  if (!in_memory_) durable_ = kept_.size();
  if (cut_ == Cut::Written) dead_ = true;
  return kept_.size();
}

void Tape::keep(const ports::Entry& entry) {
  const std::optional<std::uint64_t> row = log_.position_of(entry);
  kept_.push_back({.kind = entry.kind,
                   .whole = !row,
                   .where = row.value_or(whole_.size()),
                   .wall_ns = entry.wall_ns,
                   .at = entry.at});
  if (!row) whole_.push_back(entry);
}

ports::StoredEntry Tape::stored(std::uint64_t at) const {
  const Kept& kept = kept_[at];
  if (kept.whole) return {.sequence = at + 1, .entry = whole_[kept.where]};
  return {.sequence = at + 1,
          .entry = Log::entry_of(kept.kind, kept.where, {kept.at, kept.wall_ns})};
}

Result<void, ports::JournalError> Tape::replay(
    std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) {
  for (std::uint64_t at = first == 0 ? 0 : first - 1; at < kept_.size(); ++at) {
    if (!visit(stored(at))) break;
  }
  return {};
}

Result<std::optional<ports::StoredEntry>, ports::JournalError> Tape::latest(ports::EntryKind kind) {
  for (std::uint64_t at = kept_.size(); at > 0; --at) {
    if (kept_[at - 1].kind == kind) return std::optional(stored(at - 1));
  }
  return std::optional<ports::StoredEntry>();
}

Result<std::vector<ports::StoredEntry>, ports::JournalError> Tape::find(
    const ports::Filter& /*filter*/) {
  return Unexpected(ports::JournalError{.message = "nobody reads here"});
}

Result<ports::Verification, ports::JournalError> Tape::verify() {
  return ports::Verification{.entries = kept_.size(), .broken_at = 0, .message = {}};
}

}  // namespace recover::sim
