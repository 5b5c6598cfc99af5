// The core: one event in, decisions out. No clock, I/O, thread, lock, randomness or environment.
//
// Same policy, state, event and time give the same state and output, byte for byte: the journal's
// replay, `explain` and the simulator rest on it. One thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <recover/result.h>

#include "core/command.h"
#include "core/event.h"
#include "core/policy.h"
#include "core/snapshot.h"
#include "core/state.h"
#include "core/wakes.h"

namespace recover::core {

class Engine {
 public:
  // `policy` stays what it is until replace_policy(). Every service starts as Unknown.
  Engine(Policy policy, Instant now);
  // REQUIRES: not null.
  Engine(std::shared_ptr<const Policy> policy, Instant now);

  // Replaces `output` with what follows from the event.
  // REQUIRES: `now` never goes backwards; indices in the event are those of the current policy.
  void step(const Event& event, Instant now, Output& output);

  // When to call step(TimerFired) next; kNever: no timer is armed.
  Instant next_timer() const { return next_timer_; }

  // Goes on under another policy. Services of the same name keep their state; new ones start as
  // Unknown; those gone are forgotten, their recoveries ended as rejected. Replaces `output`.
  void replace_policy(Policy policy, Instant now, Output& output);

  const Policy& policy() const noexcept { return *policy_; }
  // Whoever keeps it has it also after replace_policy().
  const std::shared_ptr<const Policy>& shared_policy() const noexcept { return policy_; }
  const State& state() const noexcept { return state_; }

  // The whole state as bytes, and back. Equal states give equal bytes. The format is versioned and
  // belongs to this policy. Error: what is wrong with the bytes.
  std::string snapshot() const;
  static Result<Engine, std::string> restore(Policy policy, std::string_view snapshot);
  static Result<Engine, std::string> restore(std::shared_ptr<const Policy> policy,
                                             std::string_view snapshot);
  // Equal states have equal ones, on one machine: for the simulator and for tests.
  std::uint64_t state_hash() const;

 private:
  Engine(std::shared_ptr<const Policy> policy, RestoredState restored);
  void rearm(Instant now);

  std::shared_ptr<const Policy> policy_;  // Never null.
  State state_;
  Wakes wakes_;
  Instant next_timer_ = kNever;  // Follows from the state; found anew after each change.
};

}  // namespace recover::core
