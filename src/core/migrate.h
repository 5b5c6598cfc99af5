// From one policy to the next: what carries the same name keeps what is known of it.
#pragma once

#include "core/turn.h"

namespace recover::core {

// Nothing known: every service Unknown, its instances down.
State initial_state(const Policy& policy, Instant now);

// Under the old policy: ends recoveries whose service, playbook or plan the new one does not have.
void prepare_migration(Turn& turn, const Policy& next);
// Those that are there before and after, in another way; indices of `to`.
// Of `to`: wanted before and not any more; the instances they would have left a person stopped.
std::vector<ServiceIndex> stopped_services(const Policy& from, const State& before,
                                           const Policy& to, const State& after);
std::vector<ServiceIndex> changed_services(const Policy& from, const Policy& to);
// Indices translated, what has no counterpart left out.
State migrate(const Policy& from, const State& state, const Policy& to, Instant now);

}  // namespace recover::core
