#include "config/resolve.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "config/action_tables.h"
#include "config/near_miss.h"
#include "config/pattern_recovery.h"

namespace recover::config {
namespace {

using Names = std::vector<std::string_view>;

// Steps of a rollback may do without a timeout.
constexpr Duration kRollbackTimeout = core::seconds{30};
constexpr Duration kRestoreTimeout = core::minutes{60};  // What is cut off is taken back: in vain.
constexpr Duration kProbeTimeout = core::seconds{5};

// The position of a name; notes one that stands for nothing, unless a part of the files is lost.
std::optional<std::uint32_t> find(Reader& reader, const Named& named, std::string_view kind,
                                  const Names& names) {
  const auto found = std::ranges::find(names, named.text);
  if (found != names.end()) return static_cast<std::uint32_t>(found - names.begin());
  if (!reader.lost()) {
    reader.mistake(named.place, "no " + std::string(kind) + " is called `" + named.text + "`" +
                                    did_you_mean(named.text, names));
  }
  return std::nullopt;
}

struct Known {
  Names services;
  Names playbooks;
  Names patterns;  // Ids, then categories.
  Names backups;
};

Known names_in(const Draft& draft) {
  Known known;
  for (const auto& service : draft.service_drafts) known.services.push_back(service.name);
  for (const auto& playbook : draft.playbook_drafts) known.playbooks.push_back(playbook.id);
  for (const auto& type : draft.backup.types) known.backups.push_back(type.name);
  for (const auto& pattern : draft.pattern_drafts) known.patterns.push_back(pattern.id);
  for (const auto& pattern : draft.pattern_drafts) {
    if (!pattern.category.empty()) known.patterns.push_back(pattern.category);
  }
  return known;
}

core::ProbePolicy resolve_probe(const ProbeDraft& draft, const core::DetectionPolicy& detection) {
  const Duration interval = draft.interval.value_or(detection.monitoring_interval);
  return {.spec = draft.spec,
          .interval = interval,
          .timeout = draft.timeout.value_or(std::min(kProbeTimeout, interval)),
          .failure_threshold = draft.failure_threshold.value_or(detection.failure_threshold),
          .success_threshold = draft.success_threshold.value_or(detection.success_threshold)};
}

core::ServicePolicy resolve_service(Reader& reader, const ServiceDraft& draft, const Known& known,
                                    const core::DetectionPolicy& detection) {
  auto service = static_cast<const core::ServicePolicy&>(draft);
  service.rto = draft.rto_given.value_or(core::default_rto(draft.priority));
  for (const Named& each : draft.depends_on_named) {
    if (const auto index = find(reader, each, "service", known.services)) {
      service.depends_on.push_back({*index});
    }
  }
  if (draft.standby_named) {
    const auto index = find(reader, *draft.standby_named, "service", known.services);
    if (index) service.standby = core::ServiceIndex{*index};
    if (draft.standby_named->text == draft.name) {
      reader.mistake(draft.standby_named->place, "a service cannot be its own standby");
    }
  }
  for (const ProbeDraft& probe : draft.probe_drafts) {
    service.probes.push_back(resolve_probe(probe, detection));
  }
  service.playbooks_listed = draft.playbooks_named.has_value();
  if (!draft.playbooks_named) {
    for (std::uint32_t i = 0; i < known.playbooks.size(); ++i) service.playbooks.push_back({i});
    return service;
  }
  for (const Named& each : *draft.playbooks_named) {
    if (const auto index = find(reader, each, "playbook", known.playbooks)) {
      service.playbooks.push_back({*index});
    }
  }
  return service;
}

// Each type of backup is watched as a service. Without playbooks: whoever runs backups tries again
// by itself, and nothing else brings one back.
core::ServicePolicy service_of(const core::BackupType& type) {
  core::ServicePolicy service;
  service.name = core::backup_service_name(type.name);
  service.spec = core::BackupSpec{type.name};
  service.priority = type.priority;
  service.rto = core::default_rto(type.priority);
  service.playbooks_listed = true;
  for (const bool proof : {false, true}) {
    service.probes.push_back({.spec = core::BackupProbe{proof},
                              .interval = core::seconds{1},
                              .timeout = core::seconds{1},
                              .failure_threshold = 1,
                              .success_threshold = 1});
  }
  return service;
}

core::StepPolicy resolve_step(Reader& reader, const StepDraft& draft, const Known& known,
                              core::Risk risk) {
  auto step = static_cast<const core::StepPolicy&>(draft);
  step.timeout = draft.timeout_given.value_or(kRollbackTimeout);
  // What waits for time or people needs at least as long as it waits.
  if (const auto* wait = std::get_if<core::WaitAction>(&step.with); wait && !draft.timeout_given) {
    step.timeout = wait->duration + kRollbackTimeout;
  }
  if (const auto* ask = std::get_if<core::ApproveAction>(&step.with); ask && !draft.timeout_given) {
    step.timeout = ask->ttl + kRollbackTimeout;
  }
  if (draft.action == core::ActionKind::RestoreBackup && !draft.timeout_given) {
    step.timeout = kRestoreTimeout;
  }
  step.risk = draft.risk_given.value_or(risk);
  step.idempotent = draft.idempotent_given.value_or(is_idempotent(draft.action));
  for (const core::ActionSpec* with : {&step.with, &step.undo_with}) {
    const auto* restore = std::get_if<core::RestoreBackupAction>(with);
    if (restore != nullptr) {
      find(reader, {.text = restore->backup, .place = draft.place}, "backup", known.backups);
    }
  }
  if (draft.target_named) {
    const auto index = find(reader, *draft.target_named, "service", known.services);
    if (index) step.target = core::ServiceIndex{*index};
  }
  return step;
}

core::PlaybookPolicy resolve_playbook(Reader& reader, const PlaybookDraft& draft,
                                      const Known& known, Duration within) {
  auto playbook = static_cast<const core::PlaybookPolicy&>(draft);
  if (playbook.name.empty()) playbook.name = playbook.id;
  playbook.validation.within = draft.within_given.value_or(within);
  if (!draft.within_given) {
    playbook.validation.stable_for = std::min(playbook.validation.stable_for, within);
  }
  for (const TriggerDraft& each : draft.trigger_drafts) {
    auto trigger = static_cast<const core::TriggerPolicy&>(each);
    if (each.pattern_named && find(reader, *each.pattern_named, "pattern", known.patterns)) {
      trigger.pattern = each.pattern_named->text;
    }
    playbook.triggers.push_back(std::move(trigger));
  }
  for (const StepDraft& step : draft.step_drafts) {
    playbook.steps.push_back(resolve_step(reader, step, known, draft.risk));
  }
  for (const StepDraft& step : draft.rollback_drafts) {
    playbook.rollback.push_back(resolve_step(reader, step, known, draft.risk));
  }
  return playbook;
}

}  // namespace

core::Policy resolve(Reader& reader, const Draft& draft) {
  const Known known = names_in(draft);
  auto policy = static_cast<const core::Policy&>(draft);
  policy.services.reserve(draft.service_drafts.size() + draft.backup.types.size());
  for (const ServiceDraft& service : draft.service_drafts) {
    policy.services.push_back(resolve_service(reader, service, known, draft.detection));
  }
  for (const core::BackupType& type : draft.backup.types) {
    policy.services.push_back(service_of(type));
  }
  for (const PlaybookDraft& playbook : draft.playbook_drafts) {
    policy.playbooks.push_back(resolve_playbook(reader, playbook, known, draft.validation_timeout));
  }
  for (const PatternDraft& pattern : draft.pattern_drafts) {
    policy.patterns.push_back(resolve_pattern(reader, pattern, policy));
  }
  return policy;
}

}  // namespace recover::config
