// Symptoms that no health shows: a resource running out, a failure pattern in a log.
#pragma once

#include "core/event.h"
#include "core/turn.h"

namespace recover::core {

// Of a resource, from here on: 0 normal, 1 warning, 2 critical, 3 emergency.
inline constexpr std::uint8_t kCriticalLevel = 2;
inline constexpr std::size_t kResourcesMax = 256;  // Remembered; more are told, not kept.

// An incident only for services that probe that resource; a Notice for everybody.
bool on_resource_level(Turn& turn, const ResourceLevelChanged& event);
// False within the pattern's cooldown, which counts for each service by itself.
bool on_pattern_seen(Turn& turn, const PatternSeen& event);

}  // namespace recover::core
