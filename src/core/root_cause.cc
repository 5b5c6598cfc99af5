#include "core/root_cause.h"

#include <algorithm>
#include <utility>

#include "core/dependencies.h"
#include "core/health.h"
#include "core/incident.h"

namespace recover::core {
namespace {

// Confidence in a root cause, by how it was found.
constexpr double kOwnProcess = 0.95;
constexpr double kOfDependency = 0.9;
constexpr double kDependenciesSeen = 0.8;
constexpr double kNotSeen = 0.5;

bool is_own(Symptom symptom) {
  return symptom == Symptom::ProcessCrash || symptom == Symptom::CrashLoop ||
         symptom == Symptom::StartFailed || symptom == Symptom::WatchdogTimeout;
}

void suppress(Turn& turn, Incident& incident, ServiceIndex dependency) {
  const IncidentId by = turn.health(dependency).incident;
  if (incident.state == IncidentState::Suppressed && incident.suppressed_by == by) return;
  const std::string why = text({"its dependency ", turn.service(dependency).name, " is ",
                                to_string(turn.health(dependency).state)});
  drop_plan(turn, incident, Rule::Suppression, why);
  incident.state = IncidentState::Suppressed;
  incident.suppressed_by = by;
  incident.retry_at = kNever;
  incident.recheck_from = kNever;
  conclude(turn, incident, kOfDependency, why);
  const Reason reason{Rule::Suppression, Verdict::Refuse, why};
  add_reason(incident.reasons, reason);
  Notice& notice = turn.notice("incident:suppressed", incident.severity, incident.service, why);
  notice.incident = incident.id;
  notice.reasons = {reason};
}

// Looks at a dependency that began after the failure did: what they say is about the same world.
bool seen_since(const ServiceHealth& health, Instant since) {
  if (health.probes.empty()) return true;
  return std::ranges::any_of(
      health.probes, [since](const ProbeHealth& probe) { return probe.observed_from >= since; });
}

bool is_wavering(const ServiceHealth& health) {
  return std::ranges::any_of(health.probes, [](const ProbeHealth& probe) {
    return probe.failures > 0 && probe.state != ProbeState::Failing;
  });
}

bool dependencies_clear(const Turn& turn, const Incident& incident) {
  const NeededServices needed = dependencies_of(turn.policy, incident.service);
  return std::ranges::all_of(needed, [&](ServiceIndex dependency) {
    const ServiceHealth& health = turn.state.services[dependency.value];
    return seen_since(health, incident.began_at) && !is_wavering(health);
  });
}

std::string own_cause(const Turn& turn, const Incident& incident) {
  const std::string& name = turn.service(incident.service).name;
  const std::string_view symptom = to_string(incident.symptoms.front());
  return text({name, ": ", symptom, incident.detail.empty() ? "" : ": ", incident.detail});
}

void unsuppress(Turn& turn, Incident& incident) {
  incident.state = IncidentState::Open;
  incident.suppressed_by = {};
  turn.moved = true;
  if (!is_up(turn.health(incident.service)) || turn.service(incident.service).probes.empty()) {
    return conclude(turn, incident, kOwnProcess, "down although its dependencies are healthy");
  }
  incident.recheck_from = turn.now;
  incident.analysis_until = saturating_add(turn.now, turn.policy.analysis.analysis_timeout);
  turn.look(incident.service);
}

// Every probe has looked again and is not on its way to passing.
bool still_fails(const ServiceHealth& health, Instant since) {
  return std::ranges::all_of(health.probes, [since](const ProbeHealth& probe) {
    const bool rising = probe.state != ProbeState::Passing && probe.passes > 0;
    return probe.observed_from >= since && !rising;
  });
}

}  // namespace

void conclude(Turn& turn, Incident& incident, double confidence, std::string cause) {
  incident.analysis_until = kNever;
  incident.confidence = confidence;
  incident.cause = std::move(cause);
  add_reason(incident.reasons, {Rule::RootCause, Verdict::Info,
                                text({incident.cause, " (confidence ", shown(confidence), ")"})});
  turn.moved = true;
}

void note_own_symptom(Turn& turn, Incident& incident, Symptom symptom) {
  if (!is_own(symptom) || incident.analysis_until == kNever) return;
  conclude(turn, incident, kOwnProcess,
           text({turn.service(incident.service).name, ": ", to_string(symptom)}));
}

void begin_analysis(Turn& turn, Incident& incident) {
  if (const auto dependency = bad_dependency(turn.policy, turn.state, incident.service)) {
    return suppress(turn, incident, *dependency);
  }
  if (std::ranges::any_of(incident.symptoms, is_own)) {
    return conclude(turn, incident, kOwnProcess, own_cause(turn, incident));
  }
  if (!incident.in_health || dependencies_clear(turn, incident)) {
    return conclude(turn, incident, kDependenciesSeen, own_cause(turn, incident));
  }
  incident.analysis_until = saturating_add(turn.now, turn.policy.analysis.analysis_timeout);
  for (const ServiceIndex dependency : dependencies_of(turn.policy, incident.service)) {
    turn.look(dependency);
  }
}

void analyse(Turn& turn, Incident& incident) {
  const bool late = incident.analysis_until <= turn.now;
  if (incident.recheck_from != kNever) {
    if (!late && !still_fails(turn.health(incident.service), incident.recheck_from)) return;
    return conclude(turn, incident, late ? kNotSeen : kDependenciesSeen,
                    "still failing although its dependencies are healthy");
  }
  if (dependencies_clear(turn, incident)) {
    conclude(turn, incident, kDependenciesSeen, own_cause(turn, incident));
  } else if (late) {
    conclude(turn, incident, kNotSeen,
             text({own_cause(turn, incident), "; its dependencies could not be seen in time"}));
  }
}

// An incident under a dependency that is bad waits for it; true when it does.
bool follow_dependency(Turn& turn, Incident& incident) {
  if (!incident.requested_by.empty() || incident.state == IncidentState::Escalated) return false;
  const auto dependency = bad_dependency(turn.policy, turn.state, incident.service);
  if (dependency && incident.in_health) {
    suppress(turn, incident, *dependency);
    return true;
  }
  if (!dependency && incident.state == IncidentState::Suppressed) unsuppress(turn, incident);
  return false;
}

}  // namespace recover::core
