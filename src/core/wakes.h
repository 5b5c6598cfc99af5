// Which services a step has to look at: those it touched, those that wait to be started, and those
// whose deadline has come. Keeps a step's cost from growing with the number of services.
//
// Follows from the state and is never stored: a restored engine begins with everything touched.
// Invariant: after catch_up(), next() is the earliest deadline of all services and commands,
// exactly as earliest_deadline() would find it by looking at each.
#pragma once

#include <cstdint>
#include <limits>
#include <vector>

#include <recover/time.h>

#include "core/policy.h"
#include "core/state.h"

namespace recover::core {

// Without backups: many of those would let more of the others be touched at once. Looks at each.
std::uint32_t count_services(const Policy& policy) noexcept;

class Wakes {
 public:
  // Something of the service may have changed. Allocates nothing.
  void touch(ServiceIndex service) noexcept;
  // Anything may have: another policy, another state.
  void touch_all() noexcept { all_ = true; }
  // A command was put in flight, or has another deadline.
  void expect(CommandId command, Instant deadline);

  // Takes what was touched into account. Allocates only when there are more services than before.
  void catch_up(const Policy& policy, const State& state);

  // How many services there are, without backups, at any time.
  std::uint32_t services(const Policy& policy) const noexcept {
    return all_ ? count_services(policy) : services_;
  }

  // REQUIRES of all below: catch_up() since the last touch.
  static constexpr std::uint32_t kNone = std::numeric_limits<std::uint32_t>::max();
  // The first service from `from` on that waits to be started or whose deadline is not after `now`.
  std::uint32_t due(std::uint32_t from, Instant now) const noexcept;
  // Of services.
  Instant next_service() const noexcept { return leaves_ == 0 ? kNever : earliest_[1]; }
  // When the first command in flight counts as lost.
  Instant next_lost(const State& state);

 private:
  struct Lost {
    Instant at;
    CommandId command;
  };

  void rebuild(const Policy& policy, const State& state);
  void rebuild_lost(const State& state);
  void update(const Policy& policy, const State& state, std::uint32_t service) noexcept;
  void forget_answered(const State& state);
  std::uint32_t due_deadline(std::uint32_t from, Instant now) const noexcept;
  std::uint32_t pending(std::uint32_t from) const noexcept;

  bool all_ = true;
  // Of the state, as of the last catch_up(): every service's deadlines depend on them.
  bool kill_switch_ = false;
  bool journal_degraded_ = false;
  std::vector<std::uint32_t> touched_;
  std::vector<std::uint8_t> is_touched_;
  std::uint32_t services_ = 0;
  // A tournament: node n holds the earlier of 2n and 2n+1; the services' own are the last
  // `leaves_`.
  std::uint32_t leaves_ = 0;
  std::vector<Instant> earliest_;
  std::vector<std::uint64_t> pending_;  // One bit a service.
  std::vector<Lost> lost_;              // A heap; answered commands leave it when they are on top.
};

}  // namespace recover::core
