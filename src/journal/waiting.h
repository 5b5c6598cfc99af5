// Entries that wait in memory to be written behind those of a journal: read along with it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <optional>
#include <vector>

#include "ports/journal.h"

namespace recover::journal {

struct Waiting {
  std::uint64_t stored = 0;  // The sequence before the first of them.
  std::deque<ports::Entry> entries;

  std::uint64_t last() const { return stored + entries.size(); }
  // As Journal::replay(), of these. False: `visit` wants no more.
  bool replay(std::uint64_t first,
              const std::function<bool(const ports::StoredEntry&)>& visit) const;
  std::optional<ports::StoredEntry> latest(ports::EntryKind kind) const;
  // What matches is added, and the limit of the filter kept.
  std::vector<ports::StoredEntry> find(const ports::Filter& filter,
                                       std::vector<ports::StoredEntry> found) const;
};

}  // namespace recover::journal
