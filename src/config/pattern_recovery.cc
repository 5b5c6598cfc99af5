#include "config/pattern_recovery.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
#include <vector>

#include "config/action_tables.h"
#include "config/near_miss.h"
#include "config/short_form.h"

namespace recover::config {
namespace {

using core::ActionKind;

struct Meaning {
  std::string_view category;
  core::FailureClass failure;
};
// Words people use for a class of failure.
constexpr std::array<Meaning, 12> kMeanings = {
    {{"network", core::FailureClass::Connection},
     {"auth", core::FailureClass::Authentication},
     {"security", core::FailureClass::Permission},
     {"memory", core::FailureClass::ResourceExhaustion},
     {"disk", core::FailureClass::ResourceExhaustion},
     {"cpu", core::FailureClass::ResourceExhaustion},
     {"resource", core::FailureClass::ResourceExhaustion},
     {"data", core::FailureClass::DataIntegrity},
     {"system", core::FailureClass::SystemUnavailable},
     {"build", core::FailureClass::BuildFailure},
     {"dependency", core::FailureClass::DependencyFailure},
     {"service", core::FailureClass::ServiceFailure}}};

// A service that is started afresh has none of its old connections.
constexpr std::string_view kResetConnection = "reset_connection";

core::FailureClass meaning_of(std::string_view category) {
  if (const auto same = core::parse<core::FailureClass>(category)) return *same;
  const auto found = std::ranges::find(kMeanings, category, &Meaning::category);
  return found == kMeanings.end() ? core::FailureClass::ServiceFailure : found->failure;
}

bool needs_arguments(std::string_view type) {
  return type == "exec" || type == "http" || type == "sql" || type == "clean_files";
}

// False: it is neither, and that was said, unless a part of the files is lost.
bool is_known(Reader& reader, const Named& type, const core::Policy& policy) {
  std::vector<std::string_view> names = {kResetConnection};
  for (const std::string_view action : names_of<ActionKind>()) names.push_back(action);
  for (const core::PlaybookPolicy& playbook : policy.playbooks) names.push_back(playbook.id);
  if (std::ranges::find(names, type.text) != names.end()) return true;
  if (!reader.lost()) {
    reader.mistake(type.place, "no action or playbook is called `" + type.text + "`" +
                                   did_you_mean(type.text, names));
  }
  return false;
}

// A target may be a word for something that recoverd does not run ("api"): then it acts where the
// pattern was seen. A word that is nearly a service's name is a mistake.
std::optional<core::ServiceIndex> target_of(Reader& reader, const Named& target,
                                            const core::Policy& policy) {
  const auto found = policy.find_service(target.text);
  if (found || reader.lost()) return found;
  std::vector<std::string_view> names;
  for (const core::ServicePolicy& service : policy.services) names.push_back(service.name);
  const std::string meant = did_you_mean(target.text, names);
  if (!meant.empty()) {
    reader.mistake(target.place, "no service is called `" + target.text + "`" + meant);
  }
  return std::nullopt;
}

std::optional<core::StepPolicy> step_of(Reader& reader, const Named& type) {
  if (needs_arguments(type.text)) {
    reader.mistake(type.place, "the action `" + type.text +
                                   "` needs arguments: write a playbook and name its id");
    return std::nullopt;
  }
  Node node;
  node.kind = Node::Kind::Scalar;
  node.place = type.place;
  node.text = type.text == kResetConnection ? core::to_string(ActionKind::Restart) : type.text;
  auto draft = short_step(reader, node);
  if (!draft) return std::nullopt;
  auto step = static_cast<const core::StepPolicy&>(*draft);
  step.name = type.text;
  step.timeout = *draft->timeout_given;
  step.idempotent = is_idempotent(step.action);
  step.risk = is_destructive(step.action) ? core::Risk::Medium : core::Risk::Low;
  return step;
}

void aim(std::vector<core::StepPolicy>& steps, core::ServiceIndex target) {
  for (core::StepPolicy& step : steps) {
    if (!step.target) step.target = target;
  }
}

// The playbook that performs it; nullopt: there is none, and that was said.
std::optional<core::PlaybookPolicy> playbook_for(Reader& reader, const Named& type,
                                                 const core::Policy& policy) {
  if (const auto known = policy.find_playbook(type.text)) return policy.playbook(*known);
  auto step = step_of(reader, type);
  if (!step) return std::nullopt;
  core::PlaybookPolicy playbook;
  playbook.name = type.text;
  playbook.risk = step->risk;
  playbook.steps.push_back(std::move(*step));
  playbook.validation.within = policy.validation_timeout;
  playbook.validation.stable_for =
      std::min<Duration>(playbook.validation.stable_for, policy.validation_timeout);
  playbook.validation.success_criteria = default_criteria();
  return playbook;
}

void resolve_action(Reader& reader, const PatternActionDraft& draft, const std::string& pattern,
                    core::Policy& policy, std::vector<core::PatternAction>& actions) {
  if (!draft.type_named || !is_known(reader, *draft.type_named, policy)) return;
  auto action = static_cast<const core::PatternAction&>(draft);
  action.type = draft.type_named->text;
  if (draft.target_named) {
    action.target = draft.target_named->text;
    action.service = target_of(reader, *draft.target_named, policy);
  }
  auto playbook = playbook_for(reader, *draft.type_named, policy);
  if (!playbook) return;
  if (playbook->id.empty() || action.service) {
    playbook->id = pattern + ":" + action.type;
    playbook->triggers.clear();
    playbook->built_in = false;
  }
  if (action.service) {
    playbook->id += "@" + action.target;
    aim(playbook->steps, *action.service);
    aim(playbook->rollback, *action.service);
  }
  action.playbook = playbook->id;
  if (!policy.find_playbook(playbook->id)) policy.playbooks.push_back(std::move(*playbook));
  actions.push_back(std::move(action));
}

}  // namespace

core::PatternPolicy resolve_pattern(Reader& reader, const PatternDraft& draft,
                                    core::Policy& policy) {
  auto pattern = static_cast<const core::PatternPolicy&>(draft);
  pattern.failure = draft.failure_given.value_or(meaning_of(draft.category));
  for (const PatternActionDraft& each : draft.recovery_drafts) {
    resolve_action(reader, each, pattern.id, policy, pattern.recovery);
  }
  return pattern;
}

}  // namespace recover::config
