#include "core/last_good.h"

#include <algorithm>
#include <utility>

namespace recover::core {
namespace {

// Also where `after` is very short: what cannot be taken is not tried without end.
constexpr Duration kCandidatePauseMin = milliseconds{200};

bool may_take(const State& state, const ServiceHealth& health) {
  return !health.last_good && health.healthy_since != kNever && !health.incident &&
         !state.kill_switch && !state.journal_degraded;
}

Instant candidate_due(const Policy& policy, const ServiceHealth& health) {
  const Duration pause =
      std::max<Duration>(policy.checkpoint.after / kCandidatesPerTrial, kCandidatePauseMin);
  return std::max(health.healthy_since, saturating_add(health.candidate_at, pause));
}

// The trial of the newest candidate, or, while they follow one another, of all of them.
Instant promotion_due(const Policy& policy, const ServiceHealth& health) {
  const Duration after = policy.checkpoint.after;
  const Instant long_enough = saturating_add(health.trial_since, after * (kTrialsMax - 1));
  const Instant from = std::min(health.candidate_at, long_enough);
  return saturating_add(std::max(health.healthy_since, from), after);
}

void send(Turn& turn, ServiceIndex service, std::string_view name, std::string checkpoint) {
  Command command = supervision_command(turn.policy, service, ActionKind::Checkpoint, turn.now);
  command.text = name;
  command.checkpoint = std::move(checkpoint);
  turn.health(service).last_good = turn.send(std::move(command));
}

void take_candidate(Turn& turn, ServiceIndex service) {
  ServiceHealth& health = turn.health(service);
  health.state_is_new = false;
  health.candidate.clear();
  health.candidate_started = health.state_started;
  health.candidate_at = turn.now;
  health.trial_since = std::min(health.trial_since, turn.now);
  send(turn, service, kCandidate, {});
}

void finish_candidate(Turn& turn, ServiceIndex service, const CommandFinished& event) {
  ServiceHealth& health = turn.health(service);
  if (event.outcome == CommandOutcome::Done && !event.checkpoint.empty()) {
    health.candidate = event.checkpoint;
    return;
  }
  health.state_is_new = true;  // Again, after a pause.
  turn.notice("checkpoint:failed", Severity::Medium, service,
              text({turn.service(service).name, ": ", kCandidate, ": ", event.detail}));
}

void finish_promotion(Turn& turn, const Command& command, const CommandFinished& event) {
  const ServiceIndex service = command.service;
  ServiceHealth& health = turn.health(service);
  const bool done = event.outcome == CommandOutcome::Done;
  health.trial_since = kNever;
  if (done) health.last_checkpoint = command.checkpoint;
  if (done) health.last_checkpoint_at = turn.now;
  if (!done) health.state_is_new = true;
  if (health.candidate == command.checkpoint) health.candidate.clear();
  turn.notice(done ? "checkpoint:taken" : "checkpoint:failed",
              done ? Severity::Low : Severity::Medium, service,
              text({turn.service(service).name, ": ", kLastGood, done ? "" : ": ",
                    done ? "" : event.detail}));
}

}  // namespace

bool on_state_seen(Turn& turn, const StateSeen& event) {
  ServiceHealth& health = turn.health(event.service);
  if (health.state_fingerprint == event.fingerprint) return false;
  const bool changed = !health.state_fingerprint.empty();
  health.state_fingerprint = event.fingerprint;
  if (!changed) return true;
  health.state_started = false;  // As far as anybody can tell.
  if (std::exchange(health.state_is_new, true)) return true;
  turn.notice("service:state_changed", Severity::Low, event.service,
              text({turn.service(event.service).name, ": its `state:` has changed"}));
  return true;
}

void note_state_read(Turn& turn, ServiceIndex service) {
  ServiceHealth& health = turn.health(service);
  health.state_is_new = true;
  health.state_started = true;
  health.candidate_at = Instant::min();  // At once: this is not one more change.
}

void end_trial(Turn& turn, ServiceIndex service) {
  ServiceHealth& health = turn.health(service);
  health.candidate.clear();
  health.trial_since = kNever;
  health.state_is_new = true;
}

void advance_last_good(Turn& turn, ServiceIndex service) {
  if (last_good_deadline(turn.policy, turn.state, service) > turn.now) return;
  ServiceHealth& health = turn.health(service);
  if (health.state_is_new && candidate_due(turn.policy, health) <= turn.now) {
    return take_candidate(turn, service);
  }
  send(turn, service, health.candidate_started ? kLastGoodStarted : kLastGood, health.candidate);
}

void finish_last_good(Turn& turn, const Command& command, const CommandFinished& event) {
  turn.health(command.service).last_good = {};
  if (command.checkpoint.empty()) return finish_candidate(turn, command.service, event);
  finish_promotion(turn, command, event);
}

Instant last_good_deadline(const Policy& policy, const State& state,
                           ServiceIndex service) noexcept {
  const ServiceHealth& health = state.services[service.value];
  if (policy.services[service.value].state.empty() || !may_take(state, health)) return kNever;
  Instant next = kNever;
  if (health.state_is_new) next = candidate_due(policy, health);
  if (!health.candidate.empty()) next = std::min(next, promotion_due(policy, health));
  return next;
}

}  // namespace recover::core
