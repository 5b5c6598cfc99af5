// Everything that is checked about one history: the books, the invariants, the goals and the hash.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "sim/books.h"
#include "sim/digest.h"
#include "sim/goals.h"
#include "sim/invariant.h"

namespace recover::sim {

class Checker {
 public:
  // `policy` outlives the checker. The last `trace_lines` lines are kept for people.
  Checker(const core::Policy& policy, std::size_t trace_lines);

  // `sequence` 0: decided, and the journal did not take it.
  void entry(const ports::Entry& entry, const Row* row, std::uint64_t sequence);
  void command(const core::Command& command, Instant now);
  void effect(const core::Command& command, Instant now);
  // From now on what is recorded is kept in memory only, until journal_is_back().
  void journal_is_gone();
  void journal_is_back();
  // recoverd ended. True: with a journal that was in memory, so it goes back to what was durable.
  bool crashed();
  void restarted(std::uint64_t live_hash, std::uint64_t replayed_hash);
  void timer_armed(Instant at);
  void end(const WorldTruth& world);
  void note(Instant now, std::string line);  // Into the trace only.

  const std::optional<Violation>& violation() const noexcept { return violation_; }
  const Books& books() const noexcept { return books_; }
  Goals& goals() noexcept { return goals_; }
  const Goals& goals() const noexcept { return goals_; }
  const std::string& first_plan() const noexcept { return first_plan_; }
  std::uint64_t hash() const noexcept { return hash_.value(); }
  std::uint64_t hash_without_wall() const noexcept { return hash_without_wall_.value(); }
  const std::deque<std::string>& trace() const noexcept { return trace_; }

 private:
  const std::vector<Invariant*>& watching(Watchable what) const {
    return watching_[static_cast<std::size_t>(what)];
  }
  void count_goals(const Seen& seen);
  void count_flapping(const Seen& seen);
  void collect();
  void absorb(const ports::Entry& entry, const Row* row);
  void tell(const Seen& seen);

  const core::Policy& policy_;
  Books books_;
  std::optional<Books> durable_;  // As of journal_is_gone().
  Invariants invariants_;
  std::array<std::vector<Invariant*>, kWatchableCount> watching_;
  bool alarm_ = false;  // One of them has failed.
  std::optional<Violation> violation_;
  Goals goals_;
  Digest hash_;
  Digest hash_without_wall_;
  std::string first_plan_;
  std::size_t trace_lines_;
  std::deque<std::string> trace_;
  std::map<int, Instant> triggered_;  // When a symptom of the service was last seen.
};

}  // namespace recover::sim
