#include "core/dependencies.h"

#include <algorithm>

namespace recover::core {

NeededServices dependencies_of(const Policy& policy, ServiceIndex service) {
  NeededServices found;
  NeededServices left(policy.service(service).depends_on);
  while (!left.empty()) {
    const ServiceIndex next = left.pop_back();
    if (next == service || std::ranges::find(found, next) != found.end()) continue;
    found.push_back(next);
    left.append(policy.service(next).depends_on);
  }
  return found;
}

std::optional<ServiceIndex> bad_dependency(const Policy& policy, const State& state,
                                           ServiceIndex service) {
  if (policy.service(service).depends_on.empty()) return std::nullopt;
  std::optional<ServiceIndex> bad;
  for (const ServiceIndex named : dependencies_of(policy, service)) {
    const ServiceIndex dependency = state.services[named.value].replaced_by.value_or(named);
    const ServiceHealth& health = state.services[dependency.value];
    const auto found = state.incidents.find(health.incident);
    const bool open = found != state.incidents.end() && found->second.in_health;
    const ServiceState now = health.state;
    if (!open && now != ServiceState::Failed && now != ServiceState::Recovering &&
        now != ServiceState::Starting && now != ServiceState::Stopped &&
        now != ServiceState::Quarantined) {
      continue;
    }
    if (!bad) bad = dependency;
    // The root of the trouble is the one that nothing else explains.
    if (open && found->second.state != IncidentState::Suppressed) return dependency;
  }
  return bad;
}

}  // namespace recover::core
