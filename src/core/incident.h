// One open incident a service: opening, folding in, resolving, escalating. Whose fault it is says
// root_cause.h.
//
// Decides whether a service needs a recovery of its own; plan.h decides which.
#pragma once

#include <optional>
#include <string>

#include "core/turn.h"

namespace recover::core {

// A symptom on its way to an incident.
struct Sighting {
  Symptom symptom = Symptom::ProbeFailed;
  FailureClass failure = FailureClass::ServiceFailure;
  std::string detail;
  Instant began_at;
  std::optional<PatternIndex> pattern = std::nullopt;
  bool in_health = true;                            // See Incident.
  std::optional<Severity> severity = std::nullopt;  // Given; none: that of the symptom.
};
// Folds it into the service's incident or opens one. Stopped and quarantined services have none.
void report(Turn& turn, ServiceIndex service, const Sighting& sighting);

// An operator asks for a recovery: the open incident or a new one.
Incident& incident_on_request(Turn& turn, ServiceIndex service, const std::string& actor);

// Moves every open incident on: suppression, analysis, planning, the next attempt, its end.
void advance_incidents(Turn& turn);

// Rejects a plan of it that has not started.
void drop_plan(Turn& turn, const Incident& incident, Rule rule, const std::string& why);
void resolve(Turn& turn, Incident& incident, const std::string& cause);
// Nothing automatic any more. Told to people once an incident.
void escalate(Turn& turn, Incident& incident, Rule rule, const std::string& why, Severity severity);

// Incidents that are not another one's consequence. Those of backups say nothing about services.
std::uint32_t count_unhealthy(const Policy& policy, const State& state) noexcept;
Instant incident_deadline(const Policy& policy, const State& state,
                          const Incident& incident) noexcept;

}  // namespace recover::core
