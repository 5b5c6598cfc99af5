#include "config/short_form.h"

#include "config/action_tables.h"
#include "config/free_resources.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

StepDraft named_step(const Node& node, ActionKind action) {
  StepDraft step;
  step.place = node.place;
  step.name = node.text;
  step.action = action;
  step.timeout_given = minutes{1};
  return step;
}

void read_short_form(Reader& reader, const Entry& entry, Draft& draft) {
  Node key;
  key.kind = Node::Kind::Scalar;
  key.place = entry.place;
  key.text = entry.key;
  const auto failure = condition_codec().read(reader, key, {});
  if (entry.value.kind != Node::Kind::List) {
    reader.unexpected(entry.value, "a list of actions");
    return;
  }
  PlaybookDraft playbook;
  playbook.id = entry.key;
  playbook.name = "Actions for " + entry.key;
  playbook.place = entry.place;
  playbook.trigger_drafts.emplace_back().failure = failure;
  for (const Node& item : entry.value.items) {
    if (auto step = short_step(reader, item)) playbook.step_drafts.push_back(std::move(*step));
  }
  playbook.step_drafts = expanded(std::move(playbook.step_drafts));
  playbook.validation.success_criteria = default_criteria();
  if (failure) draft.short_forms.push_back(std::move(playbook));
}

}  // namespace

std::optional<StepDraft> short_step(Reader& reader, const Node& node) {
  const auto action = read_action(reader, node);
  if (!action) return std::nullopt;
  StepDraft step = named_step(node, *action);
  step.irreversible = is_destructive(*action) || *action == ActionKind::FreeResources;
  if (*action == ActionKind::FreeResources) {
    step.free_resources = read_free_resources(reader, nullptr);
    return step;
  }
  // A service without limits has none to adjust; the rest still may help.
  if (*action == ActionKind::AdjustLimits) step.on_failure = OnFailure::Continue;
  step.with = read_arguments(reader, *action, nullptr, node.place);
  return step;
}

std::vector<Expression> default_criteria() {
  std::vector<Expression> criteria;
  for (const char* criterion : {"service_running == true", "health_check_passing == true"}) {
    auto parsed = Expression::parse(criterion);
    if (parsed) criteria.push_back(std::move(parsed).value());
  }
  return criteria;
}

const Codec<FailureClass>& condition_codec() {
  static const Codec<FailureClass> kCodec = [] {
    std::vector<std::pair<std::string_view, FailureClass>> choices;
    for (const std::string_view each : names_of<FailureClass>()) {
      choices.emplace_back(each, *parse<FailureClass>(each));
    }
    choices.emplace_back("minor_corruption", FailureClass::DataInconsistency);
    return choice<FailureClass>(std::move(choices));
  }();
  return kCodec;
}

void read_short_forms(Reader& reader, const Entry& entry, Draft& draft) {
  if (entry.value.kind != Node::Kind::Map) {
    reader.unexpected(entry.value, "a map of conditions to lists of actions");
    return;
  }
  for (const Entry& each : entry.value.entries) read_short_form(reader, each, draft);
}

std::string short_form_shape() {
  return R"({"type":"object","additionalProperties":{"type":"array","items":)" + action_shape() +
         "}}";
}

}  // namespace recover::config
