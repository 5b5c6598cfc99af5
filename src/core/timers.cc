#include "core/timers.h"

#include <algorithm>

#include "core/breaker.h"
#include "core/flapping.h"
#include "core/incident.h"
#include "core/last_good.h"
#include "core/learning.h"
#include "core/recovery.h"
#include "core/supervision.h"
#include "core/turn.h"

namespace recover::core {

Instant service_deadline(const Policy& policy, const State& state, ServiceIndex service) noexcept {
  const ServiceHealth& health = state.services[service.value];
  return std::min({health.start_deadline, flapping_deadline(policy, health),
                   breaker_deadline(policy, health), last_good_deadline(policy, state, service)});
}

Instant open_deadline(const Policy& policy, const State& state) noexcept {
  if (state.unsettled) return Instant::min();
  Instant next = kNever;
  for (const IncidentId id : state.open) {
    const auto found = state.incidents.find(id);
    if (found == state.incidents.end()) continue;
    next = std::min(next, incident_deadline(policy, state, found->second));
  }
  for (const RecoveryId id : state.active) {
    const auto found = state.recoveries.find(id);
    if (found == state.recoveries.end()) continue;
    next = std::min(next, recovery_deadline(policy, found->second));
  }
  next = std::min(next, learning_deadline(policy, state));
  if (state.storm && state.storm_calm_since != kNever) {
    next = std::min(next, saturating_add(state.storm_calm_since, policy.safety.storm_cooldown));
  }
  return next;
}

Instant earliest_deadline(const Policy& policy, const State& state) noexcept {
  Instant next = open_deadline(policy, state);
  for (std::uint32_t index = 0; index < state.services.size(); ++index) {
    next = std::min(next, service_deadline(policy, state, ServiceIndex{index}));
  }
  for (const auto& [id, command] : state.in_flight) {
    next = std::min(next, saturating_add(command.deadline, kLostAfter));
  }
  return next;
}

}  // namespace recover::core
