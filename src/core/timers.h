// When the engine must be asked again: the earliest of all deadlines in the state.
//
// All follow from the state, so none can be forgotten, stale, or lost in a snapshot. wakes.h keeps
// those of services and commands in order, so that a step asks only for what it touched.
#pragma once

#include <recover/time.h>

#include "core/policy.h"
#include "core/state.h"

namespace recover::core {

// Of everything, by looking at everything.
Instant earliest_deadline(const Policy& policy, const State& state) noexcept;

// Of one service: its start, its flapping, its breaker, its last-good. Depends on that service's
// health and on the state's kill switch and journal, on nothing else.
Instant service_deadline(const Policy& policy, const State& state, ServiceIndex service) noexcept;
// Of open incidents, active recoveries and the storm.
Instant open_deadline(const Policy& policy, const State& state) noexcept;

}  // namespace recover::core
