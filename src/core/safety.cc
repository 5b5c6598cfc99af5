#include "core/safety.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "core/facts.h"
#include "core/incident.h"

namespace recover::core {
namespace {

Reason pass(Rule rule, std::string detail) {
  return {rule, Verdict::Pass, std::move(detail)};
}
Reason wait(Rule rule, std::string detail) {
  return {rule, Verdict::Wait, std::move(detail)};
}
Reason refuse(Rule rule, std::string detail) {
  return {rule, Verdict::Refuse, std::move(detail)};
}

std::string of(std::uint32_t count, std::uint32_t max) {
  return text({std::to_string(count), " of ", std::to_string(max)});
}

Reason mode_gate(const GateInputs& in) {
  if (in.requested) return pass(Rule::Mode, "asked for by an operator");
  const std::string mode(to_string(in.mode));
  if (in.approved) return pass(Rule::Mode, mode + ", approved");
  if (in.mode == Mode::Shadow) return refuse(Rule::Mode, "shadow: recorded, not run");
  return pass(Rule::Mode, mode);
}

Reason conditions_gate(const GateInputs& in) {
  if (in.requested) return pass(Rule::Conditions, "asked for by an operator");
  if (!in.enabled) return refuse(Rule::Conditions, "automatic recovery is disabled");
  const std::string_view name = to_string(in.failure);
  if (in.condition_allowed) return pass(Rule::Conditions, text({name, " may be recovered"}));
  return refuse(Rule::Conditions, text({name, " is not among the conditions"}));
}

Reason maintenance_gate(const GateInputs& in) {
  if (in.maintenance) return wait(Rule::Maintenance, "in maintenance");
  return pass(Rule::Maintenance, "not in maintenance");
}

Reason quarantine_gate(const GateInputs& in) {
  if (in.quarantined) return refuse(Rule::Quarantine, "quarantined until released");
  return pass(Rule::Quarantine, "not quarantined");
}

Reason service_breaker_gate(const GateInputs& in) {
  const std::string state(to_string(in.breaker));
  if (in.breaker == BreakerState::Open) return refuse(Rule::ServiceBreaker, state);
  return pass(Rule::ServiceBreaker, in.breaker == BreakerState::Closed ? state : "one trial");
}

Reason playbook_breaker_gate(const GateInputs& in) {
  if (in.playbook_breaker_open) return refuse(Rule::PlaybookBreaker, "open");
  if (in.playbook_open_for_service) return refuse(Rule::PlaybookBreaker, "open for this service");
  if (in.demoted) return refuse(Rule::PlaybookBreaker, "demoted");
  return pass(Rule::PlaybookBreaker, "closed");
}

Reason cooldown_gate(const GateInputs& in) {
  if (in.cooldown_left <= Duration::zero()) return pass(Rule::Cooldown, "over");
  return wait(Rule::Cooldown, text({shown(in.cooldown_left), " left"}));
}

Reason concurrency_gate(const GateInputs& in) {
  std::string count = of(in.recoveries, in.recoveries_max) + " in effect";
  if (in.recoveries >= in.recoveries_max) return wait(Rule::ConcurrentRecoveries, count);
  if (!in.group_recoveries_max) return pass(Rule::ConcurrentRecoveries, count);
  count += text({", ", of(in.group_recoveries, *in.group_recoveries_max), " in group ", in.group});
  if (in.group_recoveries < *in.group_recoveries_max) {
    return pass(Rule::ConcurrentRecoveries, count);
  }
  return wait(Rule::ConcurrentRecoveries, count);
}

Reason hourly_gate(const GateInputs& in) {
  const std::string count =
      of(in.recoveries_last_hour, in.recoveries_per_hour_max) + " within the last hour";
  if (in.recoveries_last_hour < in.recoveries_per_hour_max) {
    return pass(Rule::RecoveriesPerHour, count);
  }
  return wait(Rule::RecoveriesPerHour, count);
}

Reason blast_gate(const GateInputs& in) {
  const auto verdict = [](std::uint32_t hit, std::uint32_t limit, std::uint32_t recoveries,
                          const std::string& whose) {
    const std::string count = text({of(hit, limit), " services", whose, " hit"});
    if (hit <= limit) return pass(Rule::BlastRadius, count);
    // Beyond the limit one at a time, so that those that are down together can come back at all.
    if (recoveries == 0) return pass(Rule::BlastRadius, count + ": one at a time");
    return wait(Rule::BlastRadius, count);
  };
  Reason all = verdict(in.unhealthy_others + 1, blast_limit(in.services, in.blast_radius),
                       in.recoveries, "");
  if (!in.group_blast_radius || all.verdict != Verdict::Pass) return all;
  Reason group =
      verdict(in.group_unhealthy_others + 1, blast_limit(in.group_services, *in.group_blast_radius),
              in.group_recoveries, " of group " + in.group);
  group.detail = text({all.detail, ", ", group.detail});
  return group;
}

Reason prerequisites_gate(const GateInputs& in) {
  std::string unmet;
  Verdict verdict = Verdict::Pass;
  for (const PrerequisiteCheck& check : in.prerequisites) {
    if (check.truth == Truth::True) continue;
    if (!unmet.empty()) unmet += "; ";
    unmet += text({check.expression, " (", check.observed, ")"});
    // What is not known yet may come to be known: at start-up nothing was measured.
    if (check.truth == Truth::Missing && in.facts_overdue) verdict = Verdict::Refuse;
    if (verdict == Verdict::Pass) verdict = Verdict::Wait;
  }
  if (verdict != Verdict::Pass) return {Rule::Prerequisites, verdict, "not met: " + unmet};
  return pass(Rule::Prerequisites, text({std::to_string(in.prerequisites.size()), " met"}));
}

Reason approval_gate(const GateInputs& in) {
  const auto ask = [](const std::string& why) {
    return wait(Rule::RiskAndApproval, "needs approval: " + why);
  };
  if (in.approved) return pass(Rule::RiskAndApproval, "approved");
  if (in.requested) return pass(Rule::RiskAndApproval, "asked for by an operator");
  if (in.mode == Mode::SemiAutomatic) return ask("semi-automatic mode");
  if (in.failure == FailureClass::Permission) return ask("permissions are for people");
  if (in.failure == FailureClass::Authentication && !in.names_authentication) {
    return ask("the playbook is not meant for authentication");
  }
  const std::string risk = text({"risk ", to_string(in.risk)});
  if (in.mode == Mode::AutomaticLimited && in.risk != Risk::Low) return ask(risk);
  if (in.confidence < in.confidence_threshold) {
    return ask(
        text({"confidence ", shown(in.confidence), " below ", shown(in.confidence_threshold)}));
  }
  return pass(Rule::RiskAndApproval, risk);
}

Reason kill_switch_gate(const GateInputs& in) {
  if (in.kill_switch) return wait(Rule::KillSwitch, "on");
  return pass(Rule::KillSwitch, "off");
}

Reason storm_gate(const GateInputs& in) {
  if (in.storm && !in.requested) return wait(Rule::Storm, "too many services are unhealthy");
  return pass(Rule::Storm, "no storm");
}

Reason journal_gate(const GateInputs& in) {
  if (!in.journal_degraded) return pass(Rule::JournalDegraded, "the journal is written");
  if (in.safe_without_journal) return pass(Rule::JournalDegraded, "safe without a journal");
  return wait(Rule::JournalDegraded, "the journal cannot be written");
}

bool all_safe(const PlaybookPolicy& playbook) {
  return std::ranges::all_of(playbook.steps, is_safe_without_journal);
}

Risk highest_risk(const PlaybookPolicy& playbook) {
  Risk risk = playbook.risk;
  for (const StepPolicy& step : playbook.steps) risk = std::max(risk, step.risk);
  return risk;
}

Instant cooldown_until(const Turn& turn, const Recovery& recovery) {
  const auto last = turn.state.last_ended.find({recovery.service, recovery.playbook});
  if (last == turn.state.last_ended.end()) return Instant::min();
  const PlaybookPolicy& playbook = turn.policy.playbook(recovery.playbook);
  const bool own = playbook.cooldown > Duration::zero();
  return saturating_add(last->second, own ? playbook.cooldown : turn.policy.safety.cooldown);
}

// An unknown fact is waited for as long as looks at the dependencies are.
Instant facts_awaited_until(const Policy& policy, const Recovery& recovery) {
  return saturating_add(recovery.planned_at, policy.analysis.analysis_timeout);
}

std::uint32_t count_in_effect(const State& state) {
  return static_cast<std::uint32_t>(std::ranges::count_if(state.active, [&state](RecoveryId id) {
    const auto found = state.recoveries.find(id);
    return found != state.recoveries.end() && found->second.started_at != kNever;
  }));
}

std::uint32_t count_last_hour(const State& state, Instant now) {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      state.recoveries_started,
      [now](Instant started) { return saturating_add(started, hours{1}) > now; }));
}

// Counts what is in flight and what is unhealthy among the services of the group.
void add_group(GateInputs& in, const Turn& turn, ServiceIndex service) {
  const std::string& name = turn.service(service).group;
  const auto& groups = turn.policy.safety.groups;
  const auto group = std::ranges::find(groups, name, &GroupPolicy::name);
  if (name.empty() || group == groups.end()) return;
  const auto is_in = [&](ServiceIndex each) { return turn.service(each).group == name; };
  in.group = name;
  in.group_recoveries_max = group->max_concurrent_recoveries;
  in.group_blast_radius = group->blast_radius;
  in.group_services = static_cast<std::uint32_t>(
      std::ranges::count(turn.policy.services, name, &ServicePolicy::group));
  for (const RecoveryId id : turn.state.active) {
    const auto found = turn.state.recoveries.find(id);
    if (found == turn.state.recoveries.end()) continue;
    const bool flies = found->second.started_at != kNever;
    if (flies && is_in(found->second.service)) ++in.group_recoveries;
  }
  for (const IncidentId id : turn.state.open) {
    const auto found = turn.state.incidents.find(id);
    if (found == turn.state.incidents.end() || found->second.service == service) continue;
    const bool suffers = found->second.state == IncidentState::Suppressed;
    if (!suffers && is_in(found->second.service)) ++in.group_unhealthy_others;
  }
}

}  // namespace

std::vector<Reason> evaluate_gates(const GateInputs& inputs) {
  constexpr auto kGates = std::to_array<Reason (*)(const GateInputs&)>(
      {mode_gate, conditions_gate, maintenance_gate, quarantine_gate, service_breaker_gate,
       playbook_breaker_gate, cooldown_gate, concurrency_gate, hourly_gate, blast_gate,
       prerequisites_gate, approval_gate, kill_switch_gate, storm_gate, journal_gate});
  std::vector<Reason> reasons;
  reasons.reserve(kGates.size());
  for (const auto gate : kGates) reasons.push_back(gate(inputs));
  return reasons;
}

std::uint32_t blast_limit(std::uint32_t services, double ratio) noexcept {
  const double limit = std::floor(std::clamp(ratio, 0.0, 1.0) * services);
  return std::max(1U, static_cast<std::uint32_t>(limit));
}

std::vector<PrerequisiteCheck> check_prerequisites(const Policy& policy, const State& state,
                                                   const Recovery& recovery, Instant now) {
  const ServiceFacts facts(policy, state, recovery.service, now);
  std::vector<PrerequisiteCheck> checks;
  for (const Expression& expression : policy.playbook(recovery.playbook).prerequisites) {
    const Truth truth = expression.evaluate(facts);
    checks.push_back(
        {expression.text(), truth == Truth::True ? "" : expression.observed(facts), truth});
  }
  return checks;
}

GateInputs gate_inputs(const Turn& turn, const Recovery& recovery, const Incident& incident) {
  const Policy& policy = turn.policy;
  const State& state = turn.state;
  const ServiceHealth& health = state.services.at(recovery.service.value);
  const PlaybookPolicy& playbook = policy.playbook(recovery.playbook);
  const PlaybookHealth& book = state.playbooks.at(recovery.playbook.value);
  const Instant cool = cooldown_until(turn, recovery);
  const std::uint32_t unhealthy = count_unhealthy(policy, state);
  GateInputs in;
  in.mode = effective_mode(policy, state, recovery.service);
  in.requested = !recovery.requested_by.empty();
  in.approved = !recovery.approved_by.empty();
  in.enabled = policy.enabled;
  in.condition_allowed =
      policy.conditions.empty() ||
      std::ranges::find(policy.conditions, incident.failure) != policy.conditions.end();
  in.maintenance = in_maintenance(state, recovery.service, turn.now);
  in.quarantined = health.quarantined;
  in.breaker = health.breaker;
  in.playbook_breaker_open = book.breaker_open;
  in.playbook_open_for_service = is_open_for(book, recovery.service);
  in.demoted = book.demoted;
  in.cooldown_left = cool > turn.now ? cool - turn.now : Duration::zero();
  in.recoveries = count_in_effect(state);
  in.recoveries_max = policy.recovery.max_concurrent_recoveries;
  in.recoveries_last_hour = count_last_hour(state, turn.now);
  in.recoveries_per_hour_max = policy.safety.max_recoveries_per_hour;
  in.unhealthy_others = unhealthy > 0 ? unhealthy - 1 : 0;
  in.services = turn.services();
  in.blast_radius = policy.safety.blast_radius;
  add_group(in, turn, recovery.service);
  in.prerequisites = check_prerequisites(policy, state, recovery, turn.now);
  in.facts_overdue = facts_awaited_until(policy, recovery) <= turn.now;
  in.risk = highest_risk(playbook);
  in.failure = incident.failure;
  in.names_authentication = std::ranges::any_of(playbook.triggers, [](const TriggerPolicy& t) {
    return t.failure == FailureClass::Authentication || t.symptom == Symptom::AuthenticationFailed;
  });
  in.confidence = incident.confidence;
  in.confidence_threshold = policy.analysis.confidence_threshold;
  in.kill_switch = state.kill_switch;
  in.storm = state.storm;
  in.journal_degraded = state.journal_degraded;
  in.safe_without_journal = all_safe(playbook);
  return in;
}

Instant gates_change_at(const Turn& turn, const Recovery& recovery) {
  const State& state = turn.state;
  Instant next = kNever;
  const auto consider = [&](Instant at) {
    if (at > turn.now) next = std::min(next, at);
  };
  consider(cooldown_until(turn, recovery));
  consider(facts_awaited_until(turn.policy, recovery));
  consider(state.maintenance_until);
  consider(state.services.at(recovery.service.value).maintenance_until);
  // Not the oldest only: under a smaller limit more than one has to be over.
  for (const Instant started : state.recoveries_started) {
    consider(saturating_add(started, hours{1}));
  }
  return next;
}

Mode effective_mode(const Policy& policy, const State& state, ServiceIndex service) {
  Mode mode = state.mode.value_or(policy.recovery.mode);
  if (const auto own = policy.service(service).mode) mode = std::min(mode, *own);
  if (const auto set = state.services.at(service.value).mode) mode = std::min(mode, *set);
  return mode;
}

bool is_safe_without_journal(const StepPolicy& step) noexcept {
  const bool start = step.action == ActionKind::Start || step.action == ActionKind::Restart;
  return start && step.idempotent && step.risk == Risk::Low;
}

void advance_storm(Turn& turn) {
  State& state = turn.state;
  const SafetyPolicy& safety = turn.policy.safety;
  const double services = turn.services();
  const std::uint32_t unhealthy = count_unhealthy(turn.policy, state);
  if (!state.storm) {
    if (unhealthy < kStormServicesMin || unhealthy <= safety.storm_enter * services) return;
    state.storm = true;
    state.storm_calm_since = kNever;
    turn.notice(
        "storm:entered", Severity::Critical,
        text({std::to_string(unhealthy), " services are unhealthy: no recovery is started"}));
    return;
  }
  if (unhealthy > safety.storm_exit * services) {
    state.storm_calm_since = kNever;
    return;
  }
  if (state.storm_calm_since == kNever) state.storm_calm_since = turn.now;
  if (saturating_add(state.storm_calm_since, safety.storm_cooldown) > turn.now) return;
  state.storm = false;
  state.storm_calm_since = kNever;
  turn.notice("storm:left", Severity::Low, "recoveries are started again");
}

}  // namespace recover::core
