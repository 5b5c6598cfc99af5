#include "core/flapping.h"

#include "core/breaker.h"
#include "core/incident.h"

namespace recover::core {

void note_flapping(Turn& turn, ServiceIndex service) {
  ServiceHealth& health = turn.health(service);
  const DetectionPolicy& detection = turn.policy.detection;
  if (detection.flap_changes == 0) return;
  std::erase_if(health.changes,
                [&](Instant at) { return saturating_add(at, detection.flap_window) <= turn.now; });
  if (health.changes.size() >= detection.flap_changes) health.changes.erase(health.changes.begin());
  health.changes.push_back(turn.now);
  if (health.flapping || health.changes.size() < detection.flap_changes) return;
  health.flapping = true;
  turn.notice("service:flapping", Severity::High, service,
              text({turn.service(service).name, " changed ", std::to_string(health.changes.size()),
                    " times within ", shown(detection.flap_window)}));
  record_breaker_failure(turn, service);
  report(
      turn, service,
      {.symptom = Symptom::Flapping, .detail = "it does not stay healthy", .began_at = turn.now});
}

void calm_flapping(Turn& turn, ServiceIndex service) {
  if (!turn.seen(service).flapping) return;
  ServiceHealth& health = turn.health(service);
  if (flapping_deadline(turn.policy, health) > turn.now) return;
  health.flapping = false;
  health.changes.clear();
  turn.notice("service:calm", Severity::Low, service,
              text({turn.service(service).name, " no longer flaps"}));
}

Instant flapping_deadline(const Policy& policy, const ServiceHealth& health) noexcept {
  if (!health.flapping || health.changes.empty()) return kNever;
  return saturating_add(health.changes.back(), policy.detection.flap_window);
}

}  // namespace recover::core
