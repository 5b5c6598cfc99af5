// The share of looks at a service that failed within the last minutes.
//
// Looks that only repeat what is known are not recorded, so they are not counted one by one either:
// between two recorded looks of a probe that passes (or fails) for good there was one in each of
// its intervals, with the same outcome. That keeps the count a function of what is recorded.
#pragma once

#include <cstdint>

#include "core/event.h"
#include "core/turn.h"

namespace recover::core {

inline constexpr Duration kErrorWindow = minutes{5};
// Fewer looks, or failed looks, say nothing about a rate.
inline constexpr std::uint32_t kErrorLooksMin = 10;
inline constexpr std::uint32_t kErrorFailuresMin = 3;

struct LookCount {
  std::uint32_t passed = 0;
  std::uint32_t failed = 0;
};

// Counts a look that is being recorded. REQUIRES: called before it changes the probe's state.
void note_look(ProbeHealth& probe, Duration interval, Instant began, bool failed);
// Of all probes of the service within the window that ends now.
LookCount looks_of(const Policy& policy, const State& state, ServiceIndex service, Instant now);
// After a failed look: reports HighErrorRate above thresholds.error_rate.
void judge_error_rate(Turn& turn, const ProbeFinished& event);
void forget_looks(ServiceHealth& health);

}  // namespace recover::core
