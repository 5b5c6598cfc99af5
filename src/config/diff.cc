#include "config/diff.h"

#include <algorithm>
#include <functional>

namespace recover::config {
namespace {

using core::Policy;
using core::RunSpec;
using core::ServicePolicy;

std::vector<std::string> names_of_dependencies(const ServicePolicy& service, const Policy& policy) {
  std::vector<std::string> names;
  for (const auto index : service.depends_on) names.push_back(policy.service(index).name);
  return names;
}

std::vector<std::string> names_of_playbooks(const ServicePolicy& service, const Policy& policy) {
  std::vector<std::string> names;
  if (!service.playbooks_listed) return names;
  for (const auto index : service.playbooks) names.push_back(policy.playbook(index).id);
  return names;
}

std::string name_of_standby(const ServicePolicy& service, const Policy& policy) {
  return service.standby ? policy.service(*service.standby).name : std::string();
}

// The service without what is a position in its policy.
ServicePolicy without_indices(ServicePolicy service) {
  service.depends_on.clear();
  service.playbooks.clear();
  service.standby.reset();
  return service;
}

// What a running process was not started with, and so need not stop for.
RunSpec without_surroundings(RunSpec run) {
  const RunSpec plain;
  run.instances = plain.instances;
  run.scale_min = plain.scale_min;
  run.scale_max = plain.scale_max;
  run.ready = {.notify = run.ready.notify,
               .probe = false,
               .fd = run.ready.fd,
               .after = std::nullopt,
               .start_timeout = plain.ready.start_timeout};
  run.stop = plain.stop;
  run.before = plain.before;
  run.after = plain.after;
  run.fd_store = plain.fd_store;
  run.reload_signal = plain.reload_signal;
  return run;
}

bool must_restart(const ServicePolicy& before, const ServicePolicy& after) {
  const auto* old_run = std::get_if<RunSpec>(&before.spec);
  const auto* new_run = std::get_if<RunSpec>(&after.spec);
  if (old_run == nullptr || new_run == nullptr) return !(before.spec == after.spec);
  return !(without_surroundings(*old_run) == without_surroundings(*new_run));
}

bool same_service(const ServicePolicy& a, const Policy& of_a, const ServicePolicy& b,
                  const Policy& of_b) {
  return without_indices(a) == without_indices(b) &&
         names_of_dependencies(a, of_a) == names_of_dependencies(b, of_b) &&
         names_of_playbooks(a, of_a) == names_of_playbooks(b, of_b) &&
         name_of_standby(a, of_a) == name_of_standby(b, of_b);
}

bool same_automation(const Policy& a, const Policy& b) {
  return a.enabled == b.enabled && a.detection == b.detection && a.analysis == b.analysis &&
         a.recovery == b.recovery && a.validation_timeout == b.validation_timeout &&
         a.require_all_checks == b.require_all_checks && a.learning == b.learning &&
         a.safety == b.safety && a.conditions == b.conditions;
}

// Takes the targets out of the steps: their names.
std::vector<std::string> take_targets(const Policy& policy, std::vector<core::StepPolicy>& steps) {
  std::vector<std::string> targets;
  for (auto& step : steps) {
    targets.push_back(step.target ? policy.service(*step.target).name : std::string());
    step.target.reset();
  }
  return targets;
}

// Targets of steps are positions: compared by name.
bool same_playbooks(const Policy& a, const Policy& b) {
  const auto named = [](const Policy& policy) {
    std::vector<std::vector<std::string>> targets;
    std::vector<core::PlaybookPolicy> playbooks = policy.playbooks;
    for (auto& playbook : playbooks) {
      targets.push_back(take_targets(policy, playbook.steps));
      targets.push_back(take_targets(policy, playbook.rollback));
    }
    return std::pair(std::move(playbooks), std::move(targets));
  };
  return named(a) == named(b);
}

// Their targets are named beside the positions.
std::vector<core::PatternPolicy> patterns_by_name(const Policy& policy) {
  std::vector<core::PatternPolicy> patterns = policy.patterns;
  for (core::PatternPolicy& pattern : patterns) {
    for (core::PatternAction& action : pattern.recovery) action.service.reset();
  }
  return patterns;
}

std::vector<std::string> changed_sections(const Policy& a, const Policy& b) {
  std::vector<std::string> sections;
  const auto compare = [&](const char* section, bool same) {
    if (!same) sections.emplace_back(section);
  };
  compare("state_dir", a.state_dir == b.state_dir);
  compare("api", a.api == b.api);
  compare("auto_recovery", same_automation(a, b));
  compare("playbooks", same_playbooks(a, b));
  compare("patterns", patterns_by_name(a) == patterns_by_name(b));
  compare("monitoring", a.monitoring == b.monitoring);
  compare("checkpoint", a.checkpoint == b.checkpoint);
  compare("journal", a.journal_key == b.journal_key);
  return sections;
}

// Adds the names of those that only one has, or both have differently.
template <class Named, class Same>
void add_changed(std::vector<std::string>& sections, const std::string& prefix,
                 const std::vector<Named>& a, const std::vector<Named>& b, const Same& same) {
  for (const Named& each : a) {
    const auto other = std::ranges::find(b, each.name, &Named::name);
    if (other == b.end() || !same(each, *other)) sections.push_back(prefix + each.name);
  }
  for (const Named& each : b) {
    if (std::ranges::find(a, each.name, &Named::name) == a.end()) {
      sections.push_back(prefix + each.name);
    }
  }
}

}  // namespace

std::vector<std::string> changed_backups(const core::BackupPolicy& before,
                                         const core::BackupPolicy& after) {
  std::vector<std::string> sections;
  add_changed(sections, "backup.repositories.", before.repositories, after.repositories,
              std::equal_to());
  // The repository is a position: compared by name.
  const auto same = [&](core::BackupType a, core::BackupType b) {
    const bool same_repository =
        before.repositories.at(a.repository).name == after.repositories.at(b.repository).name;
    a.repository = b.repository = 0;
    return same_repository && a == b;
  };
  add_changed(sections, "backup.types.", before.types, after.types, same);
  if (!(before.verification == after.verification)) sections.emplace_back("backup.verification");
  if (!(before.restore_test == after.restore_test)) sections.emplace_back("backup.restore_test");
  if (!(before.drill == after.drill)) sections.emplace_back("backup.drill");
  if (!(before.catch_up == after.catch_up)) sections.emplace_back("backup.catch_up");
  const bool same_place =
      before.scratch == after.scratch && before.scratch_max == after.scratch_max;
  if (!same_place) sections.emplace_back("backup.scratch");
  return sections;
}

Diff diff(const Policy& before, const Policy& after) {
  Diff out;
  for (const ServicePolicy& service : after.services) {
    const auto old = before.find_service(service.name);
    if (!old) {
      out.added.push_back(service.name);
    } else if (must_restart(before.service(*old), service)) {
      out.restarted.push_back(service.name);
    } else if (!same_service(before.service(*old), before, service, after)) {
      out.changed.push_back(service.name);
    } else {
      out.unchanged.push_back(service.name);
    }
  }
  for (const ServicePolicy& service : before.services) {
    if (!after.find_service(service.name)) out.removed.push_back(service.name);
  }
  out.sections = changed_sections(before, after);
  return out;
}

}  // namespace recover::config
