#include "runtime/memory_journal.h"

#include <algorithm>

namespace recover::runtime {
namespace {

bool matches(const ports::StoredEntry& stored, const ports::Filter& filter) {
  const ports::Entry& entry = stored.entry;
  return stored.sequence > filter.after &&
         (!filter.since_wall_ns || entry.wall_ns >= *filter.since_wall_ns) &&
         (!filter.kind || entry.kind == *filter.kind) && entry.type.starts_with(filter.type) &&
         (filter.service.empty() || entry.service == filter.service) &&
         (filter.recovery == 0 || entry.recovery == filter.recovery) &&
         (filter.incident == 0 || entry.incident == filter.incident);
}

}  // namespace

Result<std::uint64_t, ports::JournalError> MemoryJournal::append(
    std::span<const ports::Entry> entries, ports::Durability durability) {
  if (failing_ > 0 && (!power_loss_only_ || durability == ports::Durability::PowerLoss)) {
    --failing_;
    return Unexpected(ports::JournalError{.message = "no space left in memory"});
  }
  for (const ports::Entry& entry : entries) {
    entries_.push_back({.sequence = entries_.size() + 1, .entry = entry});
  }
  return entries_.size();
}

Result<void, ports::JournalError> MemoryJournal::replay(
    std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) {
  for (std::uint64_t at = first == 0 ? 0 : first - 1; at < entries_.size(); ++at) {
    if (!visit(entries_[at])) break;
  }
  return {};
}

Result<std::optional<ports::StoredEntry>, ports::JournalError> MemoryJournal::latest(
    ports::EntryKind kind) {
  const auto found = std::find_if(entries_.rbegin(), entries_.rend(),
                                  [kind](const auto& stored) { return stored.entry.kind == kind; });
  if (found == entries_.rend()) return std::optional<ports::StoredEntry>();
  return std::optional(*found);
}

Result<std::vector<ports::StoredEntry>, ports::JournalError> MemoryJournal::find(
    const ports::Filter& filter) {
  std::vector<ports::StoredEntry> found;
  if (filter.oldest) {
    for (const ports::StoredEntry& stored : entries_) {
      if (found.size() < filter.limit && matches(stored, filter)) found.push_back(stored);
    }
    return found;
  }
  for (auto at = entries_.rbegin(); at != entries_.rend() && found.size() < filter.limit; ++at) {
    if (matches(*at, filter)) found.push_back(*at);
  }
  std::ranges::reverse(found);
  return found;
}

Result<ports::Verification, ports::JournalError> MemoryJournal::verify() {
  return ports::Verification{.entries = entries_.size(), .broken_at = 0, .message = {}};
}

}  // namespace recover::runtime
