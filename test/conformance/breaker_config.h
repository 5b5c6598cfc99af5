// From the `config` of a breaker vector to a CircuitBreakerConfig.
#pragma once

#include <string>

#include <recover/circuit_breaker_config.h>

#include "fields.h"

namespace recover::conformance {

// Skipped for a knob that is not known, Failed for one that makes no sense. `rate_rounding` is not
// read here: rates are exact.
CircuitBreakerConfig breaker_config_of(const Json& config);

// "half_open" and the like; Polly's "isolated" is ForcedOpen.
circuitbreaker::State state_of(const std::string& name);

}  // namespace recover::conformance
