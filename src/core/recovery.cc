#include "core/recovery.h"

#include <algorithm>

#include "base/inline_vector.h"
#include "core/breaker.h"
#include "core/health.h"
#include "core/incident.h"
#include "core/learning.h"
#include "core/plan.h"
#include "core/safety.h"
#include "core/saga.h"
#include "core/steps.h"

namespace recover::core {
namespace {

Severity escalation_severity(const Turn& turn, const Incident& incident) {
  if (incident.tried.empty()) return incident.severity;
  return turn.policy.playbook(incident.tried.back()).escalate;
}

Notice& notice_of(Turn& turn, const Recovery& recovery, std::string type, Severity severity,
                  std::string message) {
  Notice& notice = turn.notice(std::move(type), severity, recovery.service, std::move(message));
  notice.incident = recovery.incident;
  notice.recovery = recovery.id;
  return notice;
}

Recovery& make(Turn& turn, Incident& incident, PlaybookIndex playbook,
               std::vector<Reason> reasons) {
  Recovery recovery;
  recovery.id = RecoveryId{turn.state.next_recovery++};
  recovery.incident = incident.id;
  recovery.service = incident.service;
  recovery.playbook = playbook;
  recovery.mode = effective_mode(turn.policy, turn.state, incident.service);
  recovery.plan_hash = plan_hash(turn.policy, playbook, incident.service);
  recovery.reasons = std::move(reasons);
  recovery.planned_at = turn.now;
  recovery.trial = incident.escalated_by == Rule::ServiceBreaker;
  incident.retry_at = kNever;
  incident.escalated_by = std::nullopt;
  incident.recoveries.push_back(recovery.id);
  turn.state.active.push_back(recovery.id);
  Recovery& made = turn.state.recoveries.emplace(recovery.id, std::move(recovery)).first->second;
  lay_out_steps(turn, made);  // What would be done is part of the plan, whatever the gates say.
  notice_of(turn, made, "recovery:planned", Severity::Low,
            text({turn.policy.playbook(playbook).id, " for ", turn.service(made.service).name}))
      .reasons = made.reasons;
  return made;
}

// The gates' verdicts replace those of the last time; what else was said stays.
void set_gate_reasons(Recovery& recovery, const std::vector<Reason>& gates) {
  std::erase_if(recovery.reasons,
                [](const Reason& reason) { return reason.rule <= Rule::JournalDegraded; });
  for (const Reason& gate : gates) add_reason(recovery.reasons, gate);
}

const Reason* find(const std::vector<Reason>& gates, Verdict verdict) {
  const auto found = std::ranges::find(gates, verdict, &Reason::verdict);
  return found == gates.end() ? nullptr : &*found;
}

const Reason& gate(const std::vector<Reason>& gates, Rule rule) {
  return gates.at(static_cast<std::size_t>(rule));
}

bool waits_beside_approval(const std::vector<Reason>& gates) {
  return std::ranges::any_of(gates, [](const Reason& reason) {
    return reason.verdict == Verdict::Wait && reason.rule != Rule::RiskAndApproval;
  });
}

// Another playbook may be allowed what this one is not.
bool is_about_playbook(Rule rule) {
  return rule == Rule::PlaybookBreaker || rule == Rule::Prerequisites;
}

void refuse(Turn& turn, Recovery& recovery, Incident& incident, const Reason& reason) {
  const Rule rule = reason.rule;
  const std::string why = reason.detail;
  reject(turn, recovery, rule, why);
  if (is_about_playbook(rule)) {
    incident.refused.push_back(recovery.playbook);
    if (recovery.requested_by.empty()) return;  // Planned again in this same step.
  }
  if (!recovery.requested_by.empty() && is_well(turn.policy, turn.state, incident.service)) {
    return resolve(turn, incident, text({"the recovery asked for was refused: ", why}));
  }
  escalate(turn, incident, rule, why, escalation_severity(turn, incident));
}

void ask_approval(Turn& turn, Recovery& recovery, Incident& incident, const std::string& why) {
  const PlaybookPolicy& playbook = turn.policy.playbook(recovery.playbook);
  recovery.approval_until = saturating_add(turn.now, playbook.approval_ttl);
  recovery.wake_at = kNever;  // Only an answer, or none in time, moves it now.
  incident.state = IncidentState::AwaitingApproval;
  signal(turn, recovery, Signal::ApprovalAsked, why);
  notice_of(turn, recovery, "recovery:approval_required", Severity::High,
            text({playbook.id, " for ", turn.service(recovery.service).name, ": ", why, "; plan ",
                  std::to_string(recovery.plan_hash)}))
      .reasons = recovery.reasons;
}

void start(Turn& turn, Recovery& recovery, Incident& incident) {
  State& state = turn.state;
  const PlaybookPolicy& playbook = turn.policy.playbook(recovery.playbook);
  while (!state.recoveries_started.empty() &&
         saturating_add(state.recoveries_started.front(), hours{1}) <= turn.now) {
    state.recoveries_started.pop_front();
  }
  state.recoveries_started.push_back(turn.now);
  recovery.started_at = turn.now;
  recovery.prerequisites_at = turn.now;
  recovery.deadline = saturating_add(turn.now, turn.policy.recovery.recovery_timeout);
  recovery.approval_until = kNever;
  recovery.wake_at = kNever;
  incident.state = IncidentState::Recovering;
  incident.tried.push_back(recovery.playbook);
  if (!recovery.trial) ++incident.attempts;
  lay_out_steps(turn, recovery);
  const bool checkpoint =
      !recovery.steps.empty() && recovery.steps.front().part == Part::Checkpoint;
  signal(turn, recovery, checkpoint ? Signal::CheckpointDue : Signal::StepsDue,
         text({playbook.id, " starts for ", turn.service(recovery.service).name}));
  refresh(turn, recovery.service);
}

void shadow(Turn& turn, Recovery& recovery) {
  recovery.ended_at = turn.now;
  signal(turn, recovery, Signal::Shadowed,
         text({"would run ", turn.policy.playbook(recovery.playbook).id}));
  std::erase(turn.state.active, recovery.id);
}

// Quarantine is the one refusal that waits: its release is a person's decision about this service.
bool holds(const std::vector<Reason>& gates) {
  return gate(gates, Rule::Quarantine).verdict == Verdict::Refuse;
}

std::vector<Reason> judge(Recovery& recovery, const GateInputs& inputs) {
  recovery.mode = inputs.mode;
  std::vector<Reason> gates = evaluate_gates(inputs);
  set_gate_reasons(recovery, gates);
  return gates;
}

// Of one that waits for an approval of its plan: the mode that made it ask is another one now. Its
// question stands, with its time limit, or is no longer needed: then every gate is asked again.
void follow_mode(Turn& turn, Recovery& recovery, Incident& incident) {
  const Mode mode = effective_mode(turn.policy, turn.state, recovery.service);
  if (mode == recovery.mode) return;
  const std::vector<Reason> gates = judge(recovery, gate_inputs(turn, recovery, incident));
  const Reason& approval = gate(gates, Rule::RiskAndApproval);
  const std::string now = text({"the mode is ", to_string(mode), " now"});
  const bool shadowed = gate(gates, Rule::Mode).verdict == Verdict::Refuse;
  if (!shadowed && approval.verdict == Verdict::Wait) {
    notice_of(turn, recovery, "recovery:action", Severity::Low,
              text({now, "; it still ", approval.detail}));
    return;
  }
  recovery.approval_until = kNever;
  incident.state = IncidentState::Open;
  signal(turn, recovery, Signal::Approved, text({now, ", no approval is asked for"}));
}

void pass_gates(Turn& turn, Recovery& recovery, Incident& incident) {
  advance_breaker(turn, recovery.service);
  const GateInputs inputs = gate_inputs(turn, recovery, incident);
  recovery.wake_at = gates_change_at(turn, recovery);
  const std::uint64_t seen = fingerprint(inputs);
  if (recovery.gates_seen == seen) return;  // It waits, and for the same reasons.
  recovery.gates_seen = seen;
  const std::vector<Reason> gates = judge(recovery, inputs);
  if (gate(gates, Rule::Mode).verdict == Verdict::Refuse) return shadow(turn, recovery);
  if (holds(gates)) return;
  if (const Reason* refused = find(gates, Verdict::Refuse)) {
    return refuse(turn, recovery, incident, Reason(*refused));
  }
  if (waits_beside_approval(gates)) return;
  const Reason& approval = gate(gates, Rule::RiskAndApproval);
  if (approval.verdict == Verdict::Wait) {
    return ask_approval(turn, recovery, incident, std::string(approval.detail));
  }
  start(turn, recovery, incident);
}

void expire_approval(Turn& turn, Recovery& recovery, Incident& incident) {
  constexpr std::string_view kWhy = "nobody approved in time";
  if (recovery.started_at != kNever) {
    return fail_recovery(turn, recovery, Rule::RiskAndApproval, std::string(kWhy));
  }
  reject(turn, recovery, Rule::RiskAndApproval, std::string(kWhy));
  escalate(turn, incident, Rule::RiskAndApproval, std::string(kWhy),
           escalation_severity(turn, incident));
}

void advance(Turn& turn, Recovery& recovery) {
  Incident* incident = turn.incident(recovery.incident);
  if (incident == nullptr) return;
  if (recovery.state == RecoveryState::Planned) {
    // An approval that waited too long behind other gates is none.
    if (recovery.approval_until <= turn.now) return expire_approval(turn, recovery, *incident);
    return pass_gates(turn, recovery, *incident);
  }
  if (recovery.state == RecoveryState::AwaitingApproval) {
    if (recovery.approval_until <= turn.now) return expire_approval(turn, recovery, *incident);
    if (recovery.started_at == kNever) return follow_mode(turn, recovery, *incident);
  }
  advance_saga(turn, recovery);
}

// Longer each time; the same every time it is computed, and spread out between incidents.
Duration retry_pause(const RecoveryPolicy& policy, const Incident& incident) {
  constexpr double kJitter = 0.1;  // Of the pause; none of the first.
  constexpr std::uint32_t kGrowthsMax = 64;
  const Duration most = std::max(policy.retry_delay, policy.retry_delay_max);
  double pause = static_cast<double>(policy.retry_delay.count());
  const std::uint32_t growths = std::min(std::max(incident.attempts, 1U) - 1, kGrowthsMax);
  for (std::uint32_t i = 0; i < growths && pause < static_cast<double>(most.count()); ++i) {
    pause *= policy.retry_multiplier;
  }
  if (growths == 0) return policy.retry_delay;
  pause = std::min(pause, static_cast<double>(most.count()));
  constexpr std::uint64_t kSpread = 0x9E3779B97F4A7C15U;  // 2^64 by the golden ratio.
  const std::uint64_t mixed = (incident.id.value * 31U + incident.attempts) * kSpread;
  const double share = static_cast<double>(mixed >> 40U) / static_cast<double>(1U << 24U);
  return Duration{static_cast<Duration::rep>(pause * (1.0 - kJitter * share))};
}

// After a failure: another attempt later, or a person.
// REQUIRES: its incident is there.
void go_on(Turn& turn, Recovery& recovery, Signal signal, Rule rule, const std::string& why) {
  Incident& incident = *turn.incident(recovery.incident);
  const Severity severity = turn.policy.playbook(recovery.playbook).escalate;
  incident.state = IncidentState::Open;
  if (signal == Signal::PersonNeeded) return escalate(turn, incident, rule, why, severity);
  if (turn.health(recovery.service).breaker == BreakerState::Open) {
    return escalate(turn, incident, Rule::ServiceBreaker, why, severity);
  }
  if (incident.attempts >= turn.policy.recovery.max_attempts || !recovery.requested_by.empty()) {
    return escalate(turn, incident, Rule::Attempts,
                    text({std::to_string(incident.attempts), " attempts failed, the last: ", why}),
                    severity);
  }
  incident.retry_at = saturating_add(turn.now, retry_pause(turn.policy.recovery, incident));
}

void forget_request(Incident& incident) {
  incident.requested_by.clear();
  incident.requested = std::nullopt;
}

void succeed(Turn& turn, Recovery& recovery, Incident& incident) {
  recovery.rto_met =
      incident.began_at + Duration::zero() == kNever ||
      saturating_add(incident.began_at, turn.service(recovery.service).rto) >= turn.now;
  record_breaker_success(turn, recovery.service);
  forget_request(incident);
  resolve(turn, incident, text({"recovered by ", turn.policy.playbook(recovery.playbook).id}));
}

}  // namespace

void plan_recovery(Turn& turn, Incident& incident) {
  const ServiceHealth& health = turn.seen(incident.service);
  const Severity severity = escalation_severity(turn, incident);
  if (kind_of(turn.service(incident.service).spec) == ServiceKind::Run && health.desired == 0) {
    return escalate(turn, incident, Rule::PlaybookChoice, "the service has no instance to act on",
                    severity);
  }
  const bool trial = incident.escalated_by == Rule::ServiceBreaker;
  if (!trial && incident.attempts >= turn.policy.recovery.max_attempts) {
    return escalate(turn, incident, Rule::Attempts,
                    text({std::to_string(incident.attempts), " attempts made"}), severity);
  }
  Choice choice = choose_playbook(turn.policy, turn.state, incident);
  if (!choice.playbook) {
    for (Reason& reason : choice.reasons) add_reason(incident.reasons, std::move(reason));
    const std::string why =
        choice.obstacle.empty() ? "no playbook is for this failure" : choice.obstacle;
    return escalate(turn, incident, Rule::PlaybookChoice, why, severity);
  }
  incident.state = IncidentState::Open;
  make(turn, incident, *choice.playbook, std::move(choice.reasons));
}

void plan_requested(Turn& turn, Incident& incident, std::optional<PlaybookIndex> playbook,
                    const std::string& actor) {
  std::vector<Reason> reasons{{Rule::Operator, Verdict::Pass, text({"asked for by ", actor})}};
  if (!playbook) {
    Choice choice = choose_playbook(turn.policy, turn.state, incident);
    playbook = choice.playbook;
    for (Reason& reason : choice.reasons) add_reason(reasons, std::move(reason));
  }
  if (!playbook) {
    turn.notice("operator:refused", Severity::Medium, incident.service,
                "no playbook is for this failure; name one")
        .actor = actor;
    forget_request(incident);
    if (is_well(turn.policy, turn.state, incident.service))
      resolve(turn, incident, "nothing to do");
    return;
  }
  incident.state = IncidentState::Open;
  incident.analysis_until = kNever;
  make(turn, incident, *playbook, std::move(reasons)).requested_by = actor;
}

void advance_recoveries(Turn& turn) {
  const base::InlineVector<RecoveryId, kOpenUsual> active(turn.state.active);
  for (const RecoveryId id : active) {
    Recovery* recovery = turn.recovery(id);
    if (recovery != nullptr && !is_over(recovery->state)) advance(turn, *recovery);
  }
}

void reject(Turn& turn, Recovery& recovery, Rule rule, const std::string& why) {
  RECOVER_CHECK(recovery.started_at == kNever);
  add_reason(recovery.reasons, {rule, Verdict::Refuse, why});
  recovery.ended_at = turn.now;
  signal(turn, recovery, Signal::Rejected, why);
  std::erase(turn.state.active, recovery.id);
  if (Incident* incident = turn.incident(recovery.incident)) {
    if (incident->state == IncidentState::AwaitingApproval) incident->state = IncidentState::Open;
  }
}

void signal(Turn& turn, Recovery& recovery, Signal signal, const std::string& why) {
  const std::optional<RecoveryState> next = next_state(recovery.state, signal);
  RECOVER_CHECK(next.has_value());
  recovery.state = *next;
  turn.moved = true;
  notice_of(turn, recovery, "recovery:action", Severity::Low, text({to_string(*next), ": ", why}));
}

void end(Turn& turn, Recovery& recovery, Signal with, Rule rule, const std::string& why) {
  const bool succeeded = with == Signal::Stable;
  // Cut short by a switch to shadow: that says nothing of the playbook, nor of the service.
  const bool judged = rule != Rule::Mode;
  add_reason(recovery.reasons, {rule, succeeded ? Verdict::Pass : Verdict::Refuse, why});
  recovery.ended_at = turn.now;
  recovery.deadline = kNever;
  recovery.wake_at = kNever;
  signal(turn, recovery, with, why);
  std::erase(turn.state.active, recovery.id);
  turn.state.last_ended[{recovery.service, recovery.playbook}] = turn.now;
  if (judged) learn(turn, recovery, succeeded);
  Notice& ended = notice_of(turn, recovery, text({"recovery:", to_string(recovery.state)}),
                            succeeded ? Severity::Low : Severity::High,
                            text({turn.policy.playbook(recovery.playbook).id, " for ",
                                  turn.service(recovery.service).name, ": ", why}));
  ended.reasons = recovery.reasons;
  turn.health(recovery.service).state_is_new = true;
  Incident* incident = turn.incident(recovery.incident);
  if (incident == nullptr) return;
  if (succeeded) return succeed(turn, recovery, *incident);
  if (judged) {
    fail_breaker_trial(turn, recovery.service);
    record_breaker_failure(turn, recovery.service);
  }
  go_on(turn, recovery, with, rule, why);
  forget_request(*incident);
  refresh(turn, recovery.service);
}

bool on_approve(Turn& turn, const OperatorApprove& event) {
  Recovery* recovery = turn.recovery(event.recovery);
  const bool waiting = recovery != nullptr && recovery->state == RecoveryState::AwaitingApproval &&
                       recovery->approval_until > turn.now;
  if (!waiting || event.plan_hash != recovery->plan_hash) {
    Notice& notice = turn.notice("operator:refused", Severity::Medium, "approval is stale");
    notice.actor = event.actor;
    notice.recovery = event.recovery;
    notice.reasons = {{Rule::Operator, Verdict::Refuse, "approval is stale"}};
    return true;
  }
  const std::string who = event.comment.empty()
                              ? text({"approved by ", event.actor})
                              : text({"approved by ", event.actor, ": ", event.comment});
  add_reason(recovery->reasons, {Rule::Operator, Verdict::Pass, who});
  if (recovery->started_at != kNever) {
    recovery->approval_until = kNever;
    approve_step(turn, *recovery, who);
  } else {
    recovery->approved_by = event.actor;
    signal(turn, *recovery, Signal::Approved, who);
  }
  turn.out.notices.back().actor = event.actor;
  return true;
}

bool on_reject(Turn& turn, const OperatorReject& event) {
  Recovery* recovery = turn.recovery(event.recovery);
  const bool pending = recovery != nullptr && (recovery->state == RecoveryState::Planned ||
                                               recovery->state == RecoveryState::AwaitingApproval);
  const std::string why =
      text({"rejected by ", event.actor, event.comment.empty() ? "" : ": ", event.comment});
  if (!pending) {
    Notice& notice = turn.notice("operator:refused", Severity::Low, "nothing to reject");
    notice.actor = event.actor;
    notice.recovery = event.recovery;
    notice.reasons.push_back({Rule::Operator, Verdict::Refuse, "nothing to reject"});
    return true;
  }
  Incident* incident = turn.incident(recovery->incident);
  if (recovery->started_at != kNever) {
    fail_recovery(turn, *recovery, Rule::Operator, why);
  } else {
    reject(turn, *recovery, Rule::Operator, why);
    turn.out.notices.back().actor = event.actor;
    if (incident != nullptr) {
      forget_request(*incident);
      escalate(turn, *incident, Rule::Operator, why, escalation_severity(turn, *incident));
    }
  }
  return true;
}

Instant recovery_deadline(const Policy& policy, const Recovery& recovery) noexcept {
  if (is_over(recovery.state)) return kNever;
  Instant next = std::min(recovery.wake_at, recovery.approval_until);
  next = std::min(next, recovery.deadline);
  if (recovery.state != RecoveryState::Validating) return next;
  if (recovery.stable_since == kNever) return std::min(next, recovery.validation_until);
  const Duration stable = policy.playbook(recovery.playbook).validation.stable_for;
  return std::min(next, saturating_add(recovery.stable_since, stable));
}

}  // namespace recover::core
