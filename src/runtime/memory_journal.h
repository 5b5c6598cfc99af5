// A journal in memory: the twin of the SQLite one for the simulator and for tests.
//
// Keeps what was acknowledged; fail_next() makes appends fail as a full disk would.
#pragma once

#include <vector>

#include "ports/journal.h"

namespace recover::runtime {

class MemoryJournal final : public ports::Journal {
 public:
  Result<std::uint64_t, ports::JournalError> append(std::span<const ports::Entry> entries,
                                                    ports::Durability durability) override;
  Result<void, ports::JournalError> replay(
      std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) override;
  Result<std::optional<ports::StoredEntry>, ports::JournalError> latest(
      ports::EntryKind kind) override;
  Result<std::vector<ports::StoredEntry>, ports::JournalError> find(
      const ports::Filter& filter) override;
  Result<ports::Verification, ports::JournalError> verify() override;

  // The next `appends` fail, or only those that must survive power loss.
  void fail_next(int appends, bool power_loss_only = false) {
    failing_ = appends;
    power_loss_only_ = power_loss_only;
  }
  const std::vector<ports::StoredEntry>& entries() const noexcept { return entries_; }

 private:
  std::vector<ports::StoredEntry> entries_;
  int failing_ = 0;
  bool power_loss_only_ = false;
};

}  // namespace recover::runtime
