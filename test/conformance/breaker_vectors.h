// Replays one breaker vector on the pure machine and on the thread-safe breaker.
#pragma once

#include "fields.h"

namespace recover::conformance {

// Returns when the vector holds on both; throws Failed or Skipped otherwise.
void replay_breaker_vector(const Json& vector);

}  // namespace recover::conformance
