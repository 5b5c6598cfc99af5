// The journal of a simulated recoverd: in memory, and it fails, is torn, or forgets.
//
// Most entries are nothing but the position of their row, and are kept as that.
// A full disk refuses one batch; after it everything is kept in memory only, and a crash forgets
// it, until a snapshot is written again. What it takes and refuses, the checker sees.
#pragma once

#include <cstdint>
#include <deque>
#include <vector>

#include "ports/journal.h"
#include "sim/checker.h"

namespace recover::sim {

class Tape final : public ports::Journal {
 public:
  Tape(Checker& checker, const Log& log) : checker_(checker), log_(log) {}

  enum class Cut : std::uint8_t {
    None,
    Torn,     // recoverd ends while it writes: nothing of the batch is there.
    Written,  // It ends right after.
  };
  // At the next append.
  void cut_next(Cut cut) { cut_ = cut; }
  void fill() { full_ = true; }
  void break_fsync() { fsync_broken_ = true; }
  // There is room again; JournalDegraded{false} is due.
  void heal();

  bool dead() const noexcept { return dead_; }
  bool in_memory() const noexcept { return in_memory_; }
  bool armed_to_tear() const noexcept { return cut_ == Cut::Torn; }
  bool torn() const noexcept { return torn_; }
  // recoverd ended: what was only in memory is gone.
  void crash();

  Result<std::uint64_t, ports::JournalError> append(std::span<const ports::Entry> entries,
                                                    ports::Durability durability) override;
  Result<void, ports::JournalError> replay(
      std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) override;
  Result<std::optional<ports::StoredEntry>, ports::JournalError> latest(
      ports::EntryKind kind) override;
  // Of what people ask; nobody does here.
  Result<std::vector<ports::StoredEntry>, ports::JournalError> find(
      const ports::Filter& filter) override;
  Result<ports::Verification, ports::JournalError> verify() override;

 private:
  struct Kept {
    ports::EntryKind kind = ports::EntryKind::Event;
    bool whole = false;       // Else it is its row.
    std::uint64_t where = 0;  // Position in whole_, or of the row in the log.
    std::int64_t wall_ns = 0;
    Instant at;
  };
  Result<std::uint64_t, ports::JournalError> refuse(std::span<const ports::Entry> entries);
  void keep(const ports::Entry& entry);
  ports::StoredEntry stored(std::uint64_t at) const;

  Checker& checker_;
  const Log& log_;
  std::vector<Kept> kept_;
  std::deque<ports::Entry> whole_;
  Cut cut_ = Cut::None;
  bool full_ = false;
  bool fsync_broken_ = false;
  bool in_memory_ = false;
  bool healing_ = false;
  bool dead_ = false;
  bool torn_ = false;
  std::uint64_t durable_ = 0;  // Entries that survive a crash.
};

}  // namespace recover::sim
