// The `events` of a breaker vector, whatever their spelling.
#pragma once

#include <vector>

#include <recover/circuit_breaker_config.h>

#include "fields.h"

namespace recover::conformance {

// Accepted spellings, upper or lower case, with any punctuation:
//   a transition   "closed_to_open", "CLOSED->OPEN", "open", "opened", "to_open",
//                  "state_transition", each also after "state_transition", and the object
//                  {"type": …, "from": …, "to": …}
//   a threshold    "failure_rate_exceeded", "slow_call_rate_exceeded"
//   a reset        "reset"
// Resilience4j publishes the thresholds that trip a closed breaker as events of their own, before
// the transition; ours are in Event::cause. `thresholds_precede_trips` writes them out, from the
// counts that the open breaker shows. A reset is compared only where the vector mentions one: the
// format lists thresholds and transitions.
bool events_match(const Json& expected, const std::vector<circuitbreaker::Event>& events,
                  bool thresholds_precede_trips, const CircuitBreakerConfig& config,
                  const circuitbreaker::Counts& counts);

// For a message: `[closed_to_open]`.
std::string describe(const std::vector<circuitbreaker::Event>& events);

}  // namespace recover::conformance
