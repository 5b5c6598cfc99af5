#include "core/looks.h"

#include <algorithm>

#include "core/error_rate.h"
#include "core/health.h"

namespace recover::core {
namespace {

// Someone waits for looks at this service, so also quiet ones are recorded.
bool is_watched(const State& state, ServiceIndex service) noexcept {
  if (state.open.empty()) return false;
  const bool proves = std::ranges::any_of(state.active, [&](RecoveryId id) {
    const auto found = state.recoveries.find(id);
    return found != state.recoveries.end() && found->second.successor == service;
  });
  if (proves || has_recovery_in_effect(state, service)) return true;
  return std::ranges::any_of(state.open, [&](IncidentId id) {
    const auto found = state.incidents.find(id);
    if (found == state.incidents.end()) return false;
    const Incident& incident = found->second;
    return incident.analysis_until != kNever ||
           (incident.service == service && incident.state == IncidentState::Suppressed);
  });
}

// The first look after Unknown decides at once, later ones only in a row.
void count_pass(ProbeHealth& probe, std::uint32_t needed) {
  probe.failures = 0;
  probe.first_failure = kNever;
  probe.passes = probe.state == ProbeState::Unknown ? needed : std::min(probe.passes + 1, needed);
  if (probe.passes >= needed) probe.state = ProbeState::Passing;
}

void count_failure(ProbeHealth& probe, std::uint32_t needed, const ProbeFinished& event) {
  probe.passes = 0;
  if (probe.first_failure == kNever) probe.first_failure = event.started_at;
  probe.failures = std::min(probe.failures + 1, needed);
  probe.symptom = event.symptom;
  probe.failure = event.failure;
  probe.detail = event.detail;
  if (probe.failures >= needed) probe.state = ProbeState::Failing;
}

// Nothing would be different after it.
bool is_quiet(const ProbeHealth& probe, const ProbeFinished& event, std::uint32_t passes_needed,
              std::uint32_t failures) {
  if (event.outcome == ProbeOutcome::Passed) {
    return probe.state == ProbeState::Passing && probe.failures == 0 &&
           probe.passes >= passes_needed;
  }
  return probe.state == ProbeState::Failing && probe.passes == 0 && probe.failures >= failures &&
         probe.symptom == event.symptom && probe.failure == event.failure;
}

// The recovery that this service has to prove: its own, or one that put it in another's place.
Recovery* recovery_proven_by(Turn& turn, ServiceIndex service) {
  for (const RecoveryId id : turn.state.active) {
    Recovery* recovery = turn.recovery(id);
    if (recovery != nullptr && recovery->successor == service) return recovery;
  }
  return turn.active_recovery(service);
}

void count_for_recovery(Turn& turn, const ProbeFinished& event) {
  Recovery* recovery = recovery_proven_by(turn, event.service);
  if (recovery == nullptr || recovery->state != RecoveryState::Validating) return;
  if (event.started_at < recovery->last_effect_at) return;
  if (event.outcome == ProbeOutcome::Passed) ++recovery->probes_passed;
  if (event.outcome == ProbeOutcome::Failed) ++recovery->probes_failed;
}

}  // namespace

std::uint32_t failures_needed(const ProbePolicy& probe, Sensitivity sensitivity) noexcept {
  const std::uint32_t threshold = std::max(probe.failure_threshold, 1U);
  switch (sensitivity) {
    case Sensitivity::Low: return threshold + 1;
    case Sensitivity::Medium: return threshold;
    case Sensitivity::High: return std::max(threshold - 1, 1U);
  }
  return threshold;
}

bool on_probe_finished(Turn& turn, const ProbeFinished& event) {
  ServiceHealth& health = turn.health(event.service);
  if (event.probe >= health.probes.size()) return false;
  if (event.outcome == ProbeOutcome::Unknown || event.started_at < health.counts_from) return false;
  const bool failed = event.outcome == ProbeOutcome::Failed;
  if (failed && turn.now < health.grace_until) return false;
  ProbeHealth& probe = health.probes[event.probe];
  const ProbePolicy& wanted = turn.service(event.service).probes[event.probe];
  const std::uint32_t passes = std::max(wanted.success_threshold, 1U);
  const std::uint32_t failures = failures_needed(wanted, turn.policy.detection.sensitivity);
  const bool watched = is_watched(turn.state, event.service);
  if (!watched && is_quiet(probe, event, passes, failures)) return false;

  note_look(probe, wanted.interval, event.started_at, failed);
  if (failed) {
    count_failure(probe, failures, event);
    // Somebody waits for certainty: do not make them wait for the interval.
    if (watched && probe.state != ProbeState::Failing) turn.look(event.service);
  } else {
    count_pass(probe, passes);
    if (watched && probe.state != ProbeState::Passing) turn.look(event.service);
  }
  probe.observed_from = std::max(probe.observed_from, event.started_at);
  probe.latency = event.latency;
  if (event.outcome == ProbeOutcome::Passed || event.queue_depth) {
    probe.queue_depth = event.queue_depth;
  }
  count_for_recovery(turn, event);
  refresh(turn, event.service);
  if (failed) judge_error_rate(turn, event);
  return true;
}

}  // namespace recover::core
