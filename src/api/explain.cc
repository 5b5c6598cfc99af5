#include "api/explain.h"

#include <boost/json.hpp>

#include <algorithm>
#include <array>
#include <set>
#include <utility>

#include "api/json_response.h"
#include "api/past.h"
#include "api/shapes.h"
#include "api/times.h"

namespace recover::api {

namespace json = boost::json;
using core::to_string;

namespace {

bool has_happened(Instant at) {
  return at != kNever && at != Instant::min() && at != Instant();
}

// Adds rows with their time on the wall; kNever: not yet.
class Writer {
 public:
  Writer(const Backend& backend, Chain& chain) : backend_(backend), chain_(chain) {}

  void row(Instant at, std::string_view kind, std::string text) {
    chain_.push_back(
        {at, at == kNever ? 0 : backend_.wall_ns(at), std::string(kind), std::move(text), {}, {}});
  }
  Instant now() const { return backend_.now(); }
  void reason(Instant at, std::string_view kind, const core::Reason& reason) {
    row(at, kind, reason.detail);
    chain_.back().rule = to_string(reason.rule);
    chain_.back().verdict = to_string(reason.verdict);
  }

 private:
  const Backend& backend_;
  Chain& chain_;
};

bool is_gate(core::Rule rule) {
  return rule <= core::Rule::JournalDegraded;
}

// Reasons of these rules were given while or after it ran, the others when it was planned.
bool tells_the_end(core::Rule rule) {
  return rule == core::Rule::Step || rule == core::Rule::Validation ||
         rule == core::Rule::Rollback || rule == core::Rule::Escalation;
}

std::string words(const std::vector<core::Symptom>& symptoms) {
  std::string text;
  for (const core::Symptom symptom : symptoms) {
    if (!text.empty()) text += ", ";
    text += to_string(symptom);
  }
  return text.empty() ? "no symptom recorded" : text;
}

void tell_incident(Writer& write, const core::Policy& policy, const core::Incident& incident,
                   const Sayings& sayings) {
  const std::string service = service_name(policy, incident.service);
  write.row(incident.began_at, "symptom",
            service + ": " + words(incident.symptoms) +
                (incident.detail.empty() ? "" : " (" + incident.detail + ")"));
  const bool at_once = incident.opened_at == incident.began_at;
  write.row(incident.opened_at, "incident",
            name_of(incident.id) + " opened " +
                (at_once ? "at once" : "after " + spoken(incident.opened_at - incident.began_at)) +
                ": " + std::string(to_string(incident.failure)) + ", severity " +
                std::string(to_string(incident.severity)));
  bool detected = false;
  bool root_told = false;
  for (const core::Reason& reason : incident.reasons) {
    // The first detection opened the incident; a later one is how it ended.
    const bool end = reason.rule == core::Rule::Detection && std::exchange(detected, true);
    const Instant said = sayings.said(reason);
    const Instant known = end && has_happened(incident.closed_at) ? incident.closed_at
                          : has_happened(said)                    ? said
                                                                  : incident.opened_at;
    write.reason(known, end ? "verdict" : "reason", reason);
    root_told = root_told || reason.rule == core::Rule::RootCause;
  }
  if (!incident.cause.empty() && !root_told) {
    const auto percent = static_cast<int>(incident.confidence * 100.0 + 0.5);
    write.row(incident.opened_at, "reason",
              "cause: " + incident.cause + " (confidence " + std::to_string(percent) + "%)");
  }
}

std::string step_text(const std::string& name, const core::StepProgress& step) {
  std::string text = name + ": " + std::string(to_string(step.state));
  if (has_happened(step.started_at) && has_happened(step.ended_at)) {
    text += " after " + spoken(step.ended_at - step.started_at);
  }
  if (step.attempts > 1) text += ", attempt " + std::to_string(step.attempts);
  if (!step.output.empty()) text += " - " + step.output;
  return text;
}

// One that was skipped has an end only; one still to come has no time, and goes last.
Instant time_of(const core::StepProgress& step) {
  if (has_happened(step.started_at)) return step.started_at;
  return has_happened(step.ended_at) ? step.ended_at : kNever;
}

void tell_steps(Writer& write, const core::Policy& policy, const core::Recovery& recovery,
                const std::vector<core::StepProgress>& steps, std::string_view kind) {
  const bool over = has_happened(recovery.ended_at);
  for (const core::StepProgress& step : steps) {
    const bool checkpoint = step.part == core::Part::Checkpoint;
    std::string text = step_text(step_name(policy, recovery, step), step);
    if (over && step.state == core::StepState::Pending) {
      text = step_name(policy, recovery, step) + ": was not run";
    }
    write.row(time_of(step), checkpoint ? "checkpoint" : kind, std::move(text));
  }
}

// The criteria are those of the latest look, which is now while it is being validated.
Instant looked_at(const Writer& write, const core::Recovery& recovery, const Sayings& sayings) {
  if (recovery.state == core::RecoveryState::Validating) return write.now();
  const Instant undone = sayings.entered(core::RecoveryState::RollingBack);
  if (has_happened(undone)) return undone;
  return has_happened(recovery.ended_at) ? recovery.ended_at : recovery.last_effect_at;
}

void tell_validation(Writer& write, const core::Policy& policy, const core::Recovery& recovery,
                     const Sayings& sayings) {
  if (recovery.validation.empty()) return;
  const bool known = recovery.playbook.value < policy.playbooks.size();
  const Instant began = sayings.entered(core::RecoveryState::Validating);
  if (known && has_happened(began)) {
    const core::ValidationPolicy& wanted = policy.playbook(recovery.playbook).validation;
    write.row(began, "validation",
              "looking: every criterion must be met within " + spoken(wanted.within) +
                  ", and hold for " + spoken(wanted.stable_for));
  }
  if (has_happened(recovery.stable_since)) {
    write.row(recovery.stable_since, "validation", "every criterion is met from here on");
  }
  const Instant at = looked_at(write, recovery, sayings);
  for (const core::CriterionResult& result : recovery.validation) {
    write.row(
        at, "validation",
        result.criterion + (result.met ? ": met" : ": NOT met") + " (" + result.observed + ")");
  }
}

std::string verdict_text(core::RecoveryState state) {
  switch (state) {
    case core::RecoveryState::Planned: return "planned, nothing has run yet";
    case core::RecoveryState::Shadow: return "shadow mode: planned and recorded, nothing was run";
    case core::RecoveryState::AwaitingApproval: return "waits for a person to approve it";
    case core::RecoveryState::Checkpointing: return "is taking a checkpoint";
    case core::RecoveryState::Running: return "is running its steps";
    case core::RecoveryState::Validating: return "has run; is being validated";
    case core::RecoveryState::Succeeded: return "succeeded: every criterion was met and stayed met";
    case core::RecoveryState::RollingBack: return "did not help; is being rolled back";
    case core::RecoveryState::RolledBack: return "did not help and was rolled back";
    case core::RecoveryState::Failed: return "failed";
    case core::RecoveryState::Escalated: return "was handed to people";
    case core::RecoveryState::Rejected: return "was rejected, nothing was run";
  }
  return "";
}

std::string next_text(core::RecoveryState state, const std::string& id,
                      const std::string& service) {
  switch (state) {
    case core::RecoveryState::Succeeded: return "Nothing. The service is validated.";
    case core::RecoveryState::AwaitingApproval:
      return "Decide: `recoverctl approve " + id + "` or `recoverctl reject " + id + "`.";
    case core::RecoveryState::Planned:
    case core::RecoveryState::Checkpointing:
    case core::RecoveryState::Running:
    case core::RecoveryState::Validating:
    case core::RecoveryState::RollingBack:
      return "Watch it: `recoverctl --watch recoveries " + id + "`.";
    case core::RecoveryState::Shadow:
      return "Repair " + service + " by hand, or let this plan run: `recoverctl recover " +
             service + "`.";
    case core::RecoveryState::Rejected:
      return "See why above; then `recoverctl recover " + service + "` or repair it by hand.";
    case core::RecoveryState::RolledBack:
    case core::RecoveryState::Failed:
    case core::RecoveryState::Escalated:
      return "Look at `recoverctl services " + service + "` and `recoverctl logs show --service " +
             service + "`; recoverd tries the next playbook if there is one, else it needs you.";
  }
  return "";
}

std::string summary_of(const Explanation& explanation, const core::Recovery& recovery,
                       const core::Policy& policy) {
  std::string text =
      explanation.service + ": " + explanation.playbook + " " + verdict_text(recovery.state);
  if (has_happened(recovery.started_at) && has_happened(recovery.ended_at)) {
    text += ", in " + spoken(recovery.ended_at - recovery.started_at);
  }
  if (recovery.rto_met && recovery.service.value < policy.services.size()) {
    text += std::string("; recovery time objective ") +
            spoken(policy.service(recovery.service).rto) + (*recovery.rto_met ? " met" : " MISSED");
  }
  return text + ".";
}

// What is said of a step begins with its name, and is said when it ends.
Instant end_of_step(const core::Policy& policy, const core::Recovery& recovery,
                    const core::Reason& reason) {
  for (const auto* steps : {&recovery.steps, &recovery.rollback}) {
    for (const core::StepProgress& step : *steps) {
      const std::string name = step_name(policy, recovery, step);
      if (has_happened(step.ended_at) && reason.detail.starts_with(name + " "))
        return step.ended_at;
    }
  }
  return kNever;
}

// The gates' verdicts are those of the last time they were asked.
Instant gates_asked(const core::Recovery& recovery, const Sayings& sayings) {
  if (has_happened(recovery.started_at)) return recovery.started_at;
  const Instant asked = sayings.entered(core::RecoveryState::AwaitingApproval);
  if (has_happened(asked)) return asked;
  return has_happened(recovery.ended_at) ? recovery.ended_at : recovery.planned_at;
}

Instant time_of(const core::Policy& policy, const core::Recovery& recovery,
                const core::Reason& reason, const Sayings& sayings) {
  const Instant said = sayings.said(reason);
  if (is_gate(reason.rule) && reason.verdict != core::Verdict::Refuse) {
    return gates_asked(recovery, sayings);
  }
  if (has_happened(said)) return said;
  if (is_gate(reason.rule)) return gates_asked(recovery, sayings);
  const Instant step = end_of_step(policy, recovery, reason);
  if (has_happened(step)) return step;
  const bool late = tells_the_end(reason.rule) && has_happened(recovery.ended_at);
  return late ? recovery.ended_at : recovery.planned_at;
}

std::string_view kind_of(const core::Reason& reason) {
  if (is_gate(reason.rule)) return "gate";
  if (reason.rule == core::Rule::Operator) {
    return reason.detail.starts_with("asked for by") ? "request" : "approval";
  }
  return tells_the_end(reason.rule) ? "verdict" : "reason";
}

void tell_recovery(Writer& write, const core::Policy& policy, const core::Recovery& recovery,
                   const Sayings& sayings) {
  for (const core::Reason& reason : recovery.reasons) {
    const Instant at = time_of(policy, recovery, reason, sayings);
    write.reason(at, kind_of(reason), reason);
  }
  tell_steps(write, policy, recovery, recovery.steps, "step");
  tell_validation(write, policy, recovery, sayings);
  tell_steps(write, policy, recovery, recovery.rollback, "rollback");
  if (has_happened(recovery.ended_at)) {
    write.row(recovery.ended_at, "verdict", verdict_text(recovery.state));
  }
}

// What at one moment comes after what: first the fault, last the verdict.
std::size_t rank_of(std::string_view kind) {
  constexpr std::array<std::string_view, 12> kOrder{
      "symptom",  "event",      "incident", "reason",     "request",  "gate",
      "approval", "checkpoint", "step",     "validation", "rollback", "verdict"};
  return static_cast<std::size_t>(std::find(kOrder.begin(), kOrder.end(), kind) - kOrder.begin());
}

void put_in_order(Chain& chain) {
  std::stable_sort(chain.begin(), chain.end(), [](const auto& a, const auto& b) {
    return std::pair(a.at, rank_of(a.kind)) < std::pair(b.at, rank_of(b.kind));
  });
}

Explanation from_memory(const Backend& backend, const core::Recovery& recovery,
                        const Sayings& sayings) {
  const core::Engine& engine = backend.engine();
  Explanation explanation;
  explanation.recovery = name_of(recovery.id);
  explanation.incident = recovery.incident ? name_of(recovery.incident) : "";
  explanation.service = service_name(engine.policy(), recovery.service);
  explanation.playbook = playbook_name(engine.policy(), recovery.playbook);
  explanation.state = to_string(recovery.state);
  explanation.summary = summary_of(explanation, recovery, engine.policy());
  explanation.next = next_text(recovery.state, explanation.recovery, explanation.service);
  Writer write(backend, explanation.chain);
  const auto incident = engine.state().incidents.find(recovery.incident);
  const bool healed = incident != engine.state().incidents.end() &&
                      incident->second.state == core::IncidentState::Resolved &&
                      recovery.state != core::RecoveryState::Succeeded;
  if (healed) explanation.next = "Nothing: " + explanation.service + " is healthy again.";
  if (incident != engine.state().incidents.end()) {
    tell_incident(write, engine.policy(), incident->second, sayings);
  }
  tell_recovery(write, engine.policy(), recovery, sayings);
  return explanation;
}

// Rows that only repeat what the recovery and its incident tell by themselves.
bool is_told(const core::Recovery& recovery, const std::string& type) {
  return type == "recovery:action" || type == "recovery:planned" || type == "incident:opened" ||
         type == "incident:resolved" ||
         type == "recovery:" + std::string(to_string(recovery.state));
}

}  // namespace

Result<Explanation, Response> explain(const Backend& backend, core::RecoveryId id) {
  const auto& recoveries = backend.engine().state().recoveries;
  const auto found = recoveries.find(id);
  if (found == recoveries.end()) return from_journal(backend, id);
  const auto rows = entries_of(backend, id.value, found->second.incident.value);
  if (!rows) return Unexpected<Response>(rows.error());
  Sayings sayings;
  for (const ports::StoredEntry& row : *rows) sayings.hear(row, event_json(row));
  Explanation explanation = from_memory(backend, found->second, sayings);
  std::set<std::string> told;
  for (const ExplanationRow& row : explanation.chain) {
    told.insert(row.rule + row.text);
    told.insert(row.text);
  }
  for (const ports::StoredEntry& row : *rows) {
    if (!is_told(found->second, row.entry.type)) tell_entry(explanation.chain, row, told);
  }
  put_in_order(explanation.chain);
  return explanation;
}

json::object explanation_json(const Explanation& explanation) {
  json::object body;
  body["recovery"] = explanation.recovery;
  body["incident"] =
      explanation.incident.empty() ? json::value(nullptr) : json::value(explanation.incident);
  body["service"] = explanation.service;
  body["playbook"] =
      explanation.playbook.empty() ? json::value(nullptr) : json::value(explanation.playbook);
  body["state"] = explanation.state;
  body["summary"] = explanation.summary;
  body["next"] = explanation.next;
  body["source"] = explanation.from_journal ? "journal" : "memory and journal";
  json::array chain;
  for (const ExplanationRow& row : explanation.chain) {
    json::object object;
    object["at"] = row.at == kNever ? json::value(nullptr) : json::value(rfc3339(row.wall_ns));
    object["kind"] = row.kind;
    object["text"] = row.text;
    if (!row.rule.empty()) object["rule"] = row.rule;
    if (!row.verdict.empty()) object["verdict"] = row.verdict;
    chain.push_back(std::move(object));
  }
  body["chain"] = std::move(chain);
  return body;
}

}  // namespace recover::api
