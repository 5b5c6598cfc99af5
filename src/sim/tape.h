// The journal of a simulated recoverd: a MemoryJournal that fails, is torn, or is only in memory.
//
// A full disk refuses one batch; after it everything is kept in memory only, and a crash forgets
// it, until a snapshot is written again. What it takes and refuses, the checker sees.
#pragma once

#include <cstdint>
#include <memory>

#include "runtime/memory_journal.h"
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
      std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) override {
    return memory_->replay(first, visit);
  }
  Result<std::optional<ports::StoredEntry>, ports::JournalError> latest(
      ports::EntryKind kind) override {
    return memory_->latest(kind);
  }
  Result<std::vector<ports::StoredEntry>, ports::JournalError> find(
      const ports::Filter& filter) override {
    return memory_->find(filter);
  }
  Result<ports::Verification, ports::JournalError> verify() override { return memory_->verify(); }

 private:
  Result<std::uint64_t, ports::JournalError> refuse(std::span<const ports::Entry> entries);

  Checker& checker_;
  const Log& log_;
  std::unique_ptr<runtime::MemoryJournal> memory_ = std::make_unique<runtime::MemoryJournal>();
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
