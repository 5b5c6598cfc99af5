// A journal that goes on in memory while the disk refuses, and catches up in order afterwards.
//
// While degraded, entries wait in a bounded queue and are lost if recoverd dies: that is what the
// journal_degraded rule of the safety gates is about. An append that must survive power loss fails
// and keeps nothing: the caller must not perform its effect.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>

#include <recover/result.h>
#include <recover/time.h>

#include "journal/waiting.h"
#include "ports/journal.h"

namespace recover::journal {

inline constexpr std::size_t kMemoryEntriesMax = 10'000;
inline constexpr std::size_t kMemoryBytesMax = 64ULL << 20U;  // Of bodies, types and services.
inline constexpr std::size_t kCatchUpEntriesMax = 512;        // In one transaction.
inline constexpr Duration kCatchUpInterval = std::chrono::milliseconds{100};

struct ResilientOptions {
  // Called at once if `journal` is null, and again on later appends until it succeeds, also after
  // the journal became corrupt in use. Gives a journal whose past may differ from ours. Empty:
  // none.
  std::function<Result<std::unique_ptr<ports::Journal>, ports::JournalError>()> open = {};
  // On each change, from within the call that found out. Must not call back into the journal.
  std::function<void(bool degraded)> on_degraded = {};
  Clock* clock = nullptr;  // Paces the attempts; null: SteadyClock. Outlives the journal.
};

class ResilientJournal : public ports::Journal {
 public:
  explicit ResilientJournal(std::unique_ptr<ports::Journal> journal, ResilientOptions options = {});

  // While degraded, the sequence returned is the one the entry gets if nothing is dropped before
  // it. Fails for PowerLoss while degraded; for ProcessCrash only when the queue is full and holds
  // no notice to drop, or for entries that are Invalid.
  Result<std::uint64_t, ports::JournalError> append(std::span<const ports::Entry> entries,
                                                    ports::Durability durability) override;
  // The stored entries, then those in memory. The journal's error if it cannot be read; with no
  // journal at all, only what is in memory.
  Result<void, ports::JournalError> replay(
      std::uint64_t first, const std::function<bool(const ports::StoredEntry&)>& visit) override;
  Result<std::optional<ports::StoredEntry>, ports::JournalError> latest(
      ports::EntryKind kind) override;
  Result<std::vector<ports::StoredEntry>, ports::JournalError> find(
      const ports::Filter& filter) override;
  // Of what is stored; an error with no journal at all.
  Result<ports::Verification, ports::JournalError> verify() override;

  // An attempt to catch up now; true when nothing waits any more. For a timer: without appends
  // nothing else tries.
  bool catch_up();
  // Somebody below us could not write what we had appended: degraded until catch_up() can.
  void refused(ports::JournalError error) { refuse(std::move(error)); }
  bool degraded() const { return degraded_; }
  std::size_t waiting() const { return queue_.entries.size(); }
  std::uint64_t dropped() const { return dropped_; }  // Notices, since this began.
  // The last refusal; empty when there was none.
  const ports::JournalError& last_error() const { return last_error_; }

 private:
  bool writes_again();
  bool write_queue();
  bool reopen();
  bool attempt_due();
  bool make_room(std::span<const ports::Entry> entries);
  bool drop_oldest_notice();
  void enqueue(std::span<const ports::Entry> entries);
  void note_dropped();
  void set_degraded(bool degraded);
  void refuse(ports::JournalError error);

  std::unique_ptr<ports::Journal> journal_;
  ResilientOptions options_;
  Clock& clock_;
  Waiting queue_;  // Behind the last sequence in the journal.
  std::size_t queue_bytes_ = 0;
  std::size_t notices_ = 0;  // Among the queued: whether dropping can make room.
  std::uint64_t dropped_ = 0;
  std::uint64_t dropped_untold_ = 0;
  Instant next_attempt_{};
  bool degraded_ = false;
  ports::JournalError last_error_;
};

}  // namespace recover::journal
