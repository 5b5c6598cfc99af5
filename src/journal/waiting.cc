#include "journal/waiting.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace recover::journal {
namespace {

using ports::Entry;
using ports::EntryKind;
using ports::Filter;
using ports::StoredEntry;

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

bool Waiting::replay(std::uint64_t first,
                     const std::function<bool(const StoredEntry&)>& visit) const {
  std::uint64_t sequence = stored;
  for (const Entry& entry : entries) {
    if (++sequence < first) continue;
    if (!visit({.sequence = sequence, .entry = entry})) return false;
  }
  return true;
}

std::optional<StoredEntry> Waiting::latest(EntryKind kind) const {
  const auto newest = std::find_if(entries.rbegin(), entries.rend(),
                                   [kind](const Entry& entry) { return entry.kind == kind; });
  if (newest == entries.rend()) return std::nullopt;
  const auto after = static_cast<std::uint64_t>(std::distance(entries.rbegin(), newest));
  return StoredEntry{last() - after, *newest};
}

std::vector<StoredEntry> Waiting::find(const Filter& filter, std::vector<StoredEntry> found) const {
  std::uint64_t sequence = stored;
  for (const Entry& entry : entries) {
    StoredEntry waiting{++sequence, entry};
    if (matches(waiting, filter)) found.push_back(std::move(waiting));
  }
  if (found.size() > filter.limit && filter.oldest) found.resize(filter.limit);
  if (found.size() > filter.limit) {
    found.erase(found.begin(), found.end() - static_cast<std::ptrdiff_t>(filter.limit));
  }
  return found;
}

}  // namespace recover::journal
