// One `expect` object of a breaker vector against what a subject does.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "breaker_subject.h"
#include "fields.h"

namespace recover::conformance {

// What the getters of a suite report where they differ from each other.
struct Getters {
  // The rate of whatever has been counted, also below minimum_calls; 0 when that is nothing. Ours,
  // as Resilience4j's, have no rate then, which vectors write as -1.
  bool rates_below_minimum = false;
  // A trip is announced by its threshold before the transition (Resilience4j).
  bool thresholds_precede_trips = false;
};

// The outcome of the operation itself.
struct Done {
  std::optional<Acquired> acquired = std::nullopt;
  std::vector<circuitbreaker::Event> events = {};
};

// Failed with "expected K=… got K=…" for the first member that does not hold. Reads no more of the
// subject than the members need: reading may be an event for the window.
void check_expectation(const Json& expect, const Getters& getters, const Done& done,
                       const CircuitBreakerConfig& config, Subject& subject);

}  // namespace recover::conformance
