#include "api/shapes.h"

#include <boost/json.hpp>

#include <algorithm>

#include "api/times.h"
#include "core/last_good.h"

namespace recover::api {

namespace json = boost::json;
using core::to_string;

namespace {

bool is_set(Instant at) {
  return at != kNever && at != Instant::min();
}

double milliseconds_of(Duration duration) {
  // Three digits: more is noise, and numbers stay short.
  return static_cast<double>(duration.count() / 1'000) / 1e3;
}

json::value duration_ms(Instant from, Instant to) {
  if (!is_set(from) || !is_set(to)) return nullptr;
  return milliseconds_of(to - from);
}

json::value text_or_null(std::string_view text) {
  return text.empty() ? json::value(nullptr) : json::value(text);
}

json::array reasons_json(const std::vector<core::Reason>& reasons) {
  json::array array;
  for (const core::Reason& reason : reasons) array.push_back(reason_json(reason));
  return array;
}

// The state remembers a process that ended; to users it is gone.
bool is_running(const core::InstanceHealth& instance) {
  return instance.incarnation.pid != 0 && instance.state != core::InstanceState::Down;
}

json::value pid_json(const core::InstanceHealth& instance) {
  if (!is_running(instance)) return nullptr;
  return instance.incarnation.pid;
}

json::array instances_json(const core::Policy& policy, core::ServiceIndex index,
                           const core::ServiceHealth& health) {
  json::array array;
  for (std::size_t i = 0; i < health.instances.size(); ++i) {
    const core::InstanceHealth& instance = health.instances[i];
    json::object object;
    object["name"] = instance_name(policy, index, i, health.instances.size());
    object["pid"] = pid_json(instance);
    const bool stopped = instance.held || !health.wanted;  // By a person.
    object["state"] = stopped && instance.state == core::InstanceState::Down
                          ? std::string_view("stopped")
                          : to_string(instance.state);
    object["restarts"] = instance.restarts;
    array.push_back(std::move(object));
  }
  return array;
}

json::object probe_json(const Backend& backend, const core::ProbePolicy& policy,
                        const core::ProbeHealth& health, const Look* look, Instant counts_from) {
  const bool looked = look != nullptr && look->checked_wall_ns != 0;
  json::object object;
  object["kind"] = to_string(core::kind_of(policy.spec));
  object["state"] = to_string(health.state);
  object["latency_ms"] = milliseconds_of(looked ? look->latency : health.latency);
  object["checked_at"] = looked ? json::value(rfc3339(look->checked_wall_ns))
                                : time_json(backend, health.observed_from);
  object["detail"] = looked ? look->detail : health.detail;
  object["failures_in_row"] = health.failures;
  // The latest look, whatever the ones before it said; and whether it saw what came of the last
  // command for the service, or of its latest configuration.
  object["latest"] = to_string(looked ? look->state : health.state);
  object["fresh"] = (looked ? look->started_at : health.observed_from) >= counts_from;
  return object;
}

json::array probes_json(const Backend& backend, core::ServiceIndex index,
                        const core::ServicePolicy& policy, const core::ServiceHealth& health) {
  const std::vector<Look> looks = backend.looks ? backend.looks(index) : std::vector<Look>();
  json::array array;
  for (std::size_t i = 0; i < std::min(policy.probes.size(), health.probes.size()); ++i) {
    array.push_back(probe_json(backend, policy.probes[i], health.probes[i],
                               i < looks.size() ? &looks[i] : nullptr, health.counts_from));
  }
  return array;
}

json::value first_pid(const core::ServiceHealth& health) {
  for (const core::InstanceHealth& instance : health.instances) {
    if (is_running(instance)) return instance.incarnation.pid;
  }
  return nullptr;
}

bool recovering(const core::State& state, core::ServiceIndex index) {
  return std::any_of(state.recoveries.begin(), state.recoveries.end(), [&](const auto& item) {
    return item.second.service == index && !ended(item.second.state);
  });
}

json::object step_json(const Backend& backend, const core::Policy& policy,
                       const core::Recovery& recovery, const core::StepProgress& step) {
  json::object object;
  object["name"] = step_name(policy, recovery, step);
  object["action"] = to_string(step.action);
  object["state"] = to_string(step.state);
  object["attempts"] = step.attempts;
  object["started_at"] = time_json(backend, step.started_at);
  object["duration_ms"] = duration_ms(step.started_at, step.ended_at);
  object["output"] = step.output;
  return object;
}

json::array steps_json(const Backend& backend, const core::Policy& policy,
                       const core::Recovery& recovery,
                       const std::vector<core::StepProgress>& steps) {
  json::array array;
  for (const core::StepProgress& step : steps) {
    array.push_back(step_json(backend, policy, recovery, step));
  }
  return array;
}

json::array validation_json(const core::Recovery& recovery) {
  json::array array;
  for (const core::CriterionResult& result : recovery.validation) {
    json::object object;
    object["criterion"] = result.criterion;
    object["observed"] = result.observed;
    object["met"] = result.met;
    array.push_back(std::move(object));
  }
  return array;
}

// Takes a text out of a notice's body; `fallback` when it is not there.
std::string lift(json::object& body, std::string_view key, std::string_view fallback) {
  json::value* found = body.if_contains(key);
  if (found == nullptr || !found->is_string()) return std::string(fallback);
  std::string text(found->as_string().c_str());
  body.erase(key);
  return text.empty() ? std::string(fallback) : text;
}

json::object body_of(const ports::Entry& entry) {
  if (entry.kind == ports::EntryKind::Snapshot || entry.kind == ports::EntryKind::Policy) return {};
  boost::system::error_code error;
  json::value value = json::parse(entry.body, error);
  if (error) return {};
  if (value.is_object()) return std::move(value.as_object());
  json::object wrapped;
  wrapped["value"] = std::move(value);
  return wrapped;
}

// Who wanted it: by its names, since one state can have several.
std::string_view checkpoint_kind(const std::vector<std::string>& names) {
  const auto automatic = [](const std::string& name) {
    return name == core::kCandidate || name == ports::kLastGood || name == ports::kLastGoodStarted;
  };
  const auto ours = [&](const std::string& name) {
    return automatic(name) || name == ports::kBeforeRestore ||
           name.starts_with("before-recovery-") || name.starts_with("recovery-");
  };
  if (!std::all_of(names.begin(), names.end(), ours)) return "manual";
  const bool good = std::any_of(names.begin(), names.end(), automatic);
  return good || names.empty() ? "automatic" : "recovery";
}

}  // namespace

json::value time_json(const Backend& backend, Instant at) {
  if (!is_set(at)) return nullptr;
  return json::value(rfc3339(backend.wall_ns(at)));
}

json::object service_json(const Backend& backend, core::ServiceIndex index) {
  const core::Engine& engine = backend.engine();
  const core::ServicePolicy& policy = engine.policy().service(index);
  const core::ServiceHealth& health = engine.state().services.at(index.value);
  json::object object;
  object["name"] = policy.name;
  object["kind"] = to_string(core::kind_of(policy.spec));
  object["state"] = to_string(health.state);
  object["since"] = time_json(backend, health.since);
  object["pid"] = first_pid(health);
  object["instances"] = instances_json(engine.policy(), index, health);
  object["priority"] = to_string(policy.priority);
  json::array dependencies;
  for (const core::ServiceIndex dependency : policy.depends_on) {
    dependencies.emplace_back(service_name(engine.policy(), dependency));
  }
  object["depends_on"] = std::move(dependencies);
  object["probes"] = probes_json(backend, index, policy, health);
  object["breaker"] = to_string(health.breaker);
  object["last_checkpoint"] = text_or_null(health.last_checkpoint);
  object["last_checkpoint_at"] = time_json(backend, health.last_checkpoint_at);
  object["wanted"] = health.wanted;
  object["flapping"] = health.flapping;
  object["incident"] =
      health.incident ? json::value(name_of(health.incident)) : json::value(nullptr);
  object["maintenance_until"] = health.maintenance_until == kNever ? json::value("lifted by hand")
                                : health.maintenance_until > backend.now()
                                    ? time_json(backend, health.maintenance_until)
                                    : json::value(nullptr);
  object["mode"] = health.mode ? json::value(to_string(*health.mode)) : json::value(nullptr);
  // A command for the service is on its way; `epoch` counts them, so a client can wait for its own.
  object["busy"] = static_cast<bool>(health.supervision) || recovering(engine.state(), index);
  object["epoch"] = health.epoch;
  return object;
}

json::object incident_json(const Backend& backend, const core::Incident& incident) {
  const core::Policy& policy = backend.engine().policy();
  json::object object;
  object["id"] = name_of(incident.id);
  object["service"] = service_name(policy, incident.service);
  object["class"] = to_string(incident.failure);
  json::array symptoms;
  for (const core::Symptom symptom : incident.symptoms) symptoms.emplace_back(to_string(symptom));
  object["symptoms"] = std::move(symptoms);
  object["severity"] = to_string(incident.severity);
  object["state"] = to_string(incident.state);
  object["cause"] = incident.cause;
  object["confidence"] = incident.confidence;
  object["opened_at"] = time_json(backend, incident.opened_at);
  object["detected_after_ms"] = duration_ms(incident.began_at, incident.opened_at);
  object["closed_at"] = time_json(backend, incident.closed_at);
  json::array recoveries;
  for (const core::RecoveryId id : incident.recoveries) recoveries.emplace_back(name_of(id));
  object["recoveries"] = std::move(recoveries);
  object["suppressed_by"] =
      incident.suppressed_by ? json::value(name_of(incident.suppressed_by)) : json::value(nullptr);
  object["retry_at"] = time_json(backend, incident.retry_at);
  object["detail"] = incident.detail;
  object["reasons"] = reasons_json(incident.reasons);
  return object;
}

json::object recovery_json(const Backend& backend, const core::Recovery& recovery) {
  const core::Policy& policy = backend.engine().policy();
  json::object object;
  object["id"] = name_of(recovery.id);
  object["incident"] =
      recovery.incident ? json::value(name_of(recovery.incident)) : json::value(nullptr);
  object["service"] = service_name(policy, recovery.service);
  object["playbook"] = playbook_name(policy, recovery.playbook);
  object["mode"] = to_string(recovery.mode);
  object["state"] = to_string(recovery.state);
  object["reasons"] = reasons_json(recovery.reasons);
  object["checkpoint"] = text_or_null(recovery.checkpoint);
  object["steps"] = steps_json(backend, policy, recovery, recovery.steps);
  object["validation"] = validation_json(recovery);
  object["rollback"] = steps_json(backend, policy, recovery, recovery.rollback);
  object["planned_at"] = time_json(backend, recovery.planned_at);
  object["started_at"] = time_json(backend, recovery.started_at);
  object["ended_at"] = time_json(backend, recovery.ended_at);
  object["duration_ms"] = duration_ms(recovery.started_at, recovery.ended_at);
  object["rto_met"] = recovery.rto_met ? json::value(*recovery.rto_met) : json::value(nullptr);
  object["plan_hash"] = hex64(recovery.plan_hash);
  object["requested_by"] = text_or_null(recovery.requested_by);
  object["approved_by"] = text_or_null(recovery.approved_by);
  object["approval_until"] = time_json(backend, recovery.approval_until);
  return object;
}

json::object reason_json(const core::Reason& reason) {
  json::object object;
  object["rule"] = to_string(reason.rule);
  object["verdict"] = to_string(reason.verdict);
  object["detail"] = reason.detail;
  return object;
}

json::object event_json(const ports::StoredEntry& stored) {
  const ports::Entry& entry = stored.entry;
  json::object body = body_of(entry);
  json::object object;
  object["id"] = stored.sequence;
  object["time"] = rfc3339(entry.wall_ns);
  object["type"] = entry.type;
  object["kind"] = to_string(entry.kind);
  object["severity"] = lift(body, "severity", "low");
  object["service"] = text_or_null(entry.service);
  object["incident"] = entry.incident == 0 ? json::value(nullptr)
                                           : json::value(name_of(core::IncidentId{entry.incident}));
  object["recovery"] = entry.recovery == 0 ? json::value(nullptr)
                                           : json::value(name_of(core::RecoveryId{entry.recovery}));
  object["actor"] = lift(body, "actor", "recoverd");
  object["message"] = lift(body, "message", "");
  object["data"] = std::move(body);
  return object;
}

json::object checkpoint_json(const ports::CheckpointInfo& info) {
  json::object object;
  object["id"] = info.id;
  object["name"] = info.names.empty() ? json::value(nullptr) : json::value(info.names.front());
  object["names"] = json::array(info.names.begin(), info.names.end());
  object["service"] = info.service;
  object["kind"] = checkpoint_kind(info.names);
  object["last_good"] =
      std::find(info.names.begin(), info.names.end(), ports::kLastGood) != info.names.end();
  object["taken_at"] = rfc3339(info.wall_ns);
  object["files"] = info.files;
  object["bytes"] = info.bytes;
  return object;
}

std::string instance_name(const core::Policy& policy, core::ServiceIndex service,
                          std::size_t instance, std::size_t count) {
  const std::string name = service_name(policy, service);
  return count > 1 ? name + "@" + std::to_string(instance + 1) : name;
}

std::string step_name(const core::Policy& policy, const core::Recovery& recovery,
                      const core::StepProgress& step) {
  const std::string action(to_string(step.action));
  if (recovery.playbook.value >= policy.playbooks.size()) return action;
  const core::PlaybookPolicy& playbook = policy.playbook(recovery.playbook);
  const auto named = [&](const std::vector<core::StepPolicy>& steps) {
    if (step.index >= steps.size() || steps[step.index].name.empty()) return action;
    return steps[step.index].name;
  };
  switch (step.part) {
    case core::Part::Supervision: return action;
    case core::Part::Checkpoint: return "Checkpoint";
    case core::Part::Step: return named(playbook.steps);
    case core::Part::Undo: return "Undo: " + named(playbook.steps);
    case core::Part::Rollback: return named(playbook.rollback);
  }
  return action;
}

std::string service_name(const core::Policy& policy, core::ServiceIndex index) {
  return index.value < policy.services.size() ? policy.services[index.value].name : "(gone)";
}

std::string playbook_name(const core::Policy& policy, core::PlaybookIndex index) {
  return index.value < policy.playbooks.size() ? policy.playbooks[index.value].id : "(gone)";
}

std::string_view to_string(core::InstanceState state) noexcept {
  switch (state) {
    case core::InstanceState::Down: return "down";
    case core::InstanceState::Starting: return "starting";
    case core::InstanceState::Up: return "up";
    case core::InstanceState::Stopping: return "stopping";
  }
  return "";
}

std::string_view to_string(ports::EntryKind kind) noexcept {
  switch (kind) {
    case ports::EntryKind::Event: return "event";
    case ports::EntryKind::Notice: return "notice";
    case ports::EntryKind::Command: return "command";
    case ports::EntryKind::Policy: return "policy";
    case ports::EntryKind::Snapshot: return "snapshot";
  }
  return "";
}

bool ended(core::RecoveryState state) noexcept {
  switch (state) {
    case core::RecoveryState::Planned:
    case core::RecoveryState::AwaitingApproval:
    case core::RecoveryState::Checkpointing:
    case core::RecoveryState::Running:
    case core::RecoveryState::Validating:
    case core::RecoveryState::RollingBack: return false;
    case core::RecoveryState::Shadow:
    case core::RecoveryState::Succeeded:
    case core::RecoveryState::RolledBack:
    case core::RecoveryState::Failed:
    case core::RecoveryState::Escalated:
    case core::RecoveryState::Rejected: return true;
  }
  return true;
}

}  // namespace recover::api
