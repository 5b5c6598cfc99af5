#include "core/incident.h"

#include <algorithm>

#include "base/inline_vector.h"
#include "core/breaker.h"
#include "core/classify.h"
#include "core/error_rate.h"
#include "core/health.h"
#include "core/last_good.h"
#include "core/owner.h"
#include "core/recovery.h"
#include "core/root_cause.h"
#include "core/safety.h"
#include "core/sightings.h"

namespace recover::core {
namespace {

// A symptom that health does not show has passed when it was not seen for so long.
constexpr Duration kQuietAfter = minutes{5};

bool is_resource(Symptom symptom) {
  return symptom == Symptom::DiskFull || symptom == Symptom::MemoryPressure ||
         symptom == Symptom::CpuPressure || symptom == Symptom::FilesExhausted;
}

Notice& notice_of(Turn& turn, const Incident& incident, std::string type, std::string message) {
  Notice& notice =
      turn.notice(std::move(type), incident.severity, incident.service, std::move(message));
  notice.incident = incident.id;
  return notice;
}

void tell_published(Turn& turn, const Incident& incident, Symptom symptom) {
  if (symptom == Symptom::SlowResponse) {
    notice_of(turn, incident, "health:slow_response", incident.detail);
  }
  if (symptom == Symptom::HighErrorRate) {
    notice_of(turn, incident, "health:high_errors", incident.detail);
  }
}

Severity severity_of(const Turn& turn, ServiceIndex service, const Sighting& sighting) {
  if (sighting.severity) return *sighting.severity;
  return classify(sighting.symptom, sighting.failure, turn.service(service).priority).severity;
}

Incident& open(Turn& turn, ServiceIndex service, const Sighting& sighting) {
  const ServicePolicy& policy = turn.service(service);
  const Classification verdict = classify(sighting.symptom, sighting.failure, policy.priority);
  Incident incident;
  incident.id = IncidentId{turn.state.next_incident++};
  incident.service = service;
  incident.failure = verdict.failure;
  incident.symptoms = {sighting.symptom};
  incident.pattern = sighting.pattern;
  incident.severity = severity_of(turn, service, sighting);
  incident.began_at = sighting.began_at;
  incident.opened_at = turn.now;
  incident.last_symptom_at = turn.now;
  incident.in_health = sighting.in_health;
  incident.detail = sighting.detail;
  incident.reasons = {
      {Rule::Detection, Verdict::Info, text({to_string(sighting.symptom), ": ", sighting.detail})},
      {Rule::Classification, Verdict::Info,
       text({to_string(verdict.failure), ": ", default_strategy(verdict.failure)})}};
  turn.health(service).incident = incident.id;
  end_trial(turn, service);
  turn.state.open.push_back(incident.id);
  Incident& opened = turn.state.incidents.emplace(incident.id, std::move(incident)).first->second;
  notice_of(turn, opened, "incident:opened",
            text({policy.name, ": ", to_string(sighting.symptom), ", ", sighting.detail}))
      .reasons = opened.reasons;
  tell_published(turn, opened, sighting.symptom);
  return opened;
}

void fold(Turn& turn, Incident& incident, const Sighting& sighting) {
  incident.in_health = incident.in_health || sighting.in_health;
  if (!sighting.in_health) incident.last_symptom_at = turn.now;
  const bool other_pattern = sighting.pattern && sighting.pattern != incident.pattern;
  if (sighting.pattern) incident.pattern = sighting.pattern;
  const bool known =
      std::ranges::find(incident.symptoms, sighting.symptom) != incident.symptoms.end();
  if (known && !other_pattern) return;
  if (!known) incident.symptoms.push_back(sighting.symptom);
  incident.severity = std::max(incident.severity, severity_of(turn, incident.service, sighting));
  add_reason(incident.reasons, {Rule::Detection, Verdict::Info,
                                text({to_string(sighting.symptom), ": ", sighting.detail})});
  notice_of(turn, incident, "incident:updated",
            text({"also ", to_string(sighting.symptom), ": ", sighting.detail}));
  tell_published(turn, incident, sighting.symptom);
  note_own_symptom(turn, incident, sighting.symptom);
}

bool resource_is_critical(const State& state, const Incident& incident) {
  return std::ranges::any_of(state.resources, [&incident](const ResourceLevel& level) {
    return level.level >= kCriticalLevel &&
           std::ranges::find(incident.symptoms, level.symptom) != incident.symptoms.end();
  });
}

// A recovery of the service runs, or was asked for: its end decides.
bool is_in_hand(const State& state, ServiceIndex service) {
  return std::ranges::any_of(state.active, [&](RecoveryId id) {
    const auto found = state.recoveries.find(id);
    return found != state.recoveries.end() && found->second.service == service &&
           (found->second.started_at != kNever || !found->second.requested_by.empty());
  });
}

Instant quiet_at(const Incident& incident) {
  if (std::ranges::all_of(incident.symptoms, is_resource)) return incident.last_symptom_at;
  return saturating_add(incident.last_symptom_at, kQuietAfter);
}

bool has_passed(const Turn& turn, const Incident& incident) {
  const ServiceHealth& health = turn.state.services[incident.service.value];
  const bool well = is_well(turn.policy, turn.state, incident.service);
  if (!incident.requested_by.empty() && incident.recoveries.empty()) return false;
  if (incident.in_health) return well;
  if (resource_is_critical(turn.state, incident)) return false;
  return quiet_at(incident) <= turn.now && (well || health.state == ServiceState::Unknown);
}

// An incident that the breaker escalated gets one trial once the breaker is half-open.
bool may_try_again(Turn& turn, Incident& incident) {
  if (incident.escalated_by != Rule::ServiceBreaker) return false;
  advance_breaker(turn, incident.service);
  if (turn.health(incident.service).breaker == BreakerState::Open) return false;
  incident.state = IncidentState::Open;
  return true;
}

bool is_shadowed(Turn& turn, const Incident& incident) {
  if (incident.recoveries.empty()) return false;
  const Recovery* last = turn.recovery(incident.recoveries.back());
  return last != nullptr && last->state == RecoveryState::Shadow &&
         effective_mode(turn.policy, turn.state, incident.service) == Mode::Shadow;
}

std::string why_passed(const Turn& turn, const Incident& incident) {
  if (incident.state == IncidentState::Suppressed || incident.recheck_from != kNever) {
    return "recovered with its dependency";
  }
  if (incident.recoveries.empty()) return "passed by itself";
  const auto last = turn.state.recoveries.find(incident.recoveries.back());
  if (last == turn.state.recoveries.end() || last->second.state != RecoveryState::RolledBack) {
    return "passed by itself";
  }
  return text(
      {"healthy again since ", turn.policy.playbook(last->second.playbook).id, " was rolled back"});
}

// What is known of it, and the time, call for a plan now.
bool is_plan_due(Turn& turn, Incident& incident) {
  if (incident.state == IncidentState::Escalated && !may_try_again(turn, incident)) return false;
  if (incident.retry_at != kNever && incident.retry_at > turn.now) return false;
  if (waits_for_owner(turn, incident)) return false;
  return !is_shadowed(turn, incident);
}

void advance(Turn& turn, Incident& incident) {
  const ServiceHealth& health = turn.seen(incident.service);
  const Recovery* recovery = turn.active_recovery(incident.service);
  if (recovery != nullptr && recovery->started_at != kNever) return;
  if (!health.wanted) return resolve(turn, incident, "the service was stopped by an operator");
  const bool asked = recovery != nullptr && !recovery->requested_by.empty();
  if (health.quarantined || asked) return;
  if (has_passed(turn, incident)) {
    return resolve(turn, incident, why_passed(turn, incident));
  }
  if (follow_dependency(turn, incident)) return;
  if (incident.analysis_until != kNever) analyse(turn, incident);
  if (incident.analysis_until != kNever || recovery != nullptr) return;
  if (is_plan_due(turn, incident)) plan_recovery(turn, incident);
}

}  // namespace

void drop_plan(Turn& turn, const Incident& incident, Rule rule, const std::string& why) {
  Recovery* pending = turn.active_recovery(incident.service);
  if (pending != nullptr && pending->started_at == kNever) reject(turn, *pending, rule, why);
}

void report(Turn& turn, ServiceIndex service, const Sighting& sighting) {
  const ServiceHealth& health = turn.seen(service);
  if (!health.wanted || health.quarantined) return;
  if (sighting.symptom == Symptom::ProcessCrash) {
    Recovery* recovery = turn.active_recovery(service);
    if (recovery != nullptr && recovery->state == RecoveryState::Validating) {
      recovery->crashed = true;
    }
  }
  if (Incident* known = turn.incident(health.incident)) return fold(turn, *known, sighting);
  record_breaker_failure(turn, service);
  Incident& incident = open(turn, service, sighting);
  if (health.flapping && sighting.symptom != Symptom::Flapping) {
    fold(
        turn, incident,
        {.symptom = Symptom::Flapping, .detail = "it does not stay healthy", .began_at = turn.now});
  }
  begin_analysis(turn, incident);
}

Incident& incident_on_request(Turn& turn, ServiceIndex service, const std::string& actor) {
  Incident* incident = turn.incident(turn.health(service).incident);
  if (incident == nullptr) {
    incident = &open(turn, service,
                     {.symptom = Symptom::RecoveryRequested,
                      .detail = text({"recovery asked for by ", actor}),
                      .began_at = turn.now});
    conclude(turn, *incident, 1.0, text({"asked for by ", actor}));
  }
  incident->requested_by = actor;
  return *incident;
}

void advance_incidents(Turn& turn) {
  const base::InlineVector<IncidentId, kOpenUsual> open(turn.state.open);
  for (const IncidentId id : open) {
    Incident* incident = turn.incident(id);
    if (incident != nullptr && incident->state != IncidentState::Resolved) advance(turn, *incident);
  }
}

void resolve(Turn& turn, Incident& incident, const std::string& cause) {
  drop_plan(turn, incident, Rule::Detection, cause);
  incident.state = IncidentState::Resolved;
  incident.closed_at = turn.now;
  incident.analysis_until = kNever;
  incident.retry_at = kNever;
  add_reason(incident.reasons, {Rule::Detection, Verdict::Info, cause});
  notice_of(turn, incident, "incident:resolved",
            text({turn.service(incident.service).name, ": ", cause}))
      .severity = Severity::Low;
  std::erase(turn.state.open, incident.id);
  forget_looks(turn.health(incident.service));  // What was is no sign of what will be.
  turn.health(incident.service).incident = {};
  refresh(turn, incident.service);
}

void escalate(Turn& turn, Incident& incident, Rule rule, const std::string& why,
              Severity severity) {
  incident.state = IncidentState::Escalated;
  incident.escalated_by = rule;
  incident.retry_at = kNever;
  const Reason reason{Rule::Escalation, Verdict::Refuse, text({to_string(rule), ": ", why})};
  add_reason(incident.reasons, reason);
  turn.moved = true;
  if (incident.announced) return;
  incident.announced = true;
  const std::string message = text({turn.service(incident.service).name, " needs a person: ", why});
  Notice& notice = notice_of(turn, incident, "incident:escalated", message);
  notice.severity = severity;
  notice.reasons = {reason};
  Command notify = supervision_command(turn.policy, incident.service, ActionKind::Notify, turn.now);
  notify.text = message;
  notify.incident = incident.id;
  turn.send(std::move(notify));
}

std::uint32_t count_unhealthy(const Policy& policy, const State& state) noexcept {
  std::uint32_t count = 0;
  for (const IncidentId id : state.open) {
    const auto found = state.incidents.find(id);
    if (found == state.incidents.end()) continue;
    const bool is_backup =
        kind_of(policy.service(found->second.service).spec) == ServiceKind::Backup;
    if (!is_backup && found->second.state != IncidentState::Suppressed) ++count;
  }
  return count;
}

Instant incident_deadline(const Policy& policy, const State& state,
                          const Incident& incident) noexcept {
  const ServiceHealth& health = state.services[incident.service.value];
  if (health.quarantined) return kNever;
  Instant next = incident.analysis_until;
  if (incident.state == IncidentState::Open) next = std::min(next, incident.retry_at);
  const bool waits_for_breaker = incident.state == IncidentState::Escalated &&
                                 incident.escalated_by == Rule::ServiceBreaker &&
                                 health.breaker == BreakerState::Open;
  if (waits_for_breaker) next = std::min(next, health.breaker_until);
  // Only when time alone resolves it: a deadline that is held back would wake us again and again.
  const bool by_time = !incident.in_health && is_well(policy, state, incident.service) &&
                       !resource_is_critical(state, incident) &&
                       !is_in_hand(state, incident.service);
  if (by_time) {
    next = std::min(next, quiet_at(incident));
  }
  return next;
}

}  // namespace recover::core
