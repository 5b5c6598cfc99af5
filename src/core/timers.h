// When the engine must be asked again: the earliest of all deadlines in the state.
//
// Found by looking at every service, open incident and active recovery, once after each step that
// changed anything. Such a step costs a journal transaction, next to which a walk over a thousand
// services is nothing; in return no timer can be forgotten, stale, or lost in a snapshot.
#pragma once

#include <recover/time.h>

#include "core/policy.h"
#include "core/state.h"

namespace recover::core {

Instant earliest_deadline(const Policy& policy, const State& state) noexcept;

}  // namespace recover::core
