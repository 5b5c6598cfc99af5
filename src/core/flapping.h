// A service that changes between healthy and not too often is not healed for ever: it counts as
// failed towards its breaker.
#pragma once

#include "core/turn.h"

namespace recover::core {

// The service has turned healthy, or ceased to be.
void note_flapping(Turn& turn, ServiceIndex service);
// Over once it did not change for a whole window.
void calm_flapping(Turn& turn, ServiceIndex service);
Instant flapping_deadline(const Policy& policy, const ServiceHealth& health) noexcept;

}  // namespace recover::core
