// One look of a probe: hysteresis, and for whom it counts.
//
// A quiet look, one that nobody waits for and that says what was known, changes nothing.
#pragma once

#include <cstdint>

#include "core/event.h"
#include "core/turn.h"

namespace recover::core {

// Failures in a row that make a probe Failing, sensitivity counted in; at least 1.
std::uint32_t failures_needed(const ProbePolicy& probe, Sensitivity sensitivity) noexcept;

// Returns whether anything changed.
bool on_probe_finished(Turn& turn, const ProbeFinished& event);

}  // namespace recover::core
