#include "config/action_tables.h"
#include "config/free_resources.h"
#include "config/tables.h"

namespace recover::config {
namespace {

using namespace core;  // NOLINT(google-build-using-namespace): the table speaks its vocabulary.

const Table<BackoffConfig>& backoff_table() {
  using retry::BackoffKind;
  using retry::Jitter;
  static const auto kTable =
      Table<BackoffConfig>("How long to wait between attempts.")
          .add("kind", &BackoffConfig::kind,
               silent(choice<BackoffKind>({{"constant", BackoffKind::Constant},
                                           {"linear", BackoffKind::Linear},
                                           {"exponential", BackoffKind::Exponential}})),
               "Default: exponential with a multiplier, else constant.")
          .add("initial", &BackoffConfig::initial_interval, duration(), "The first wait.")
          .add("multiplier", &BackoffConfig::multiplier, number(1.0, 100.0),
               "Each wait is so many times the one before.")
          .add("max", &BackoffConfig::max_interval, silent(duration()), "No wait is longer.")
          .add("jitter", &BackoffConfig::jitter,
               choice<Jitter>({{"none", Jitter::None},
                               {"full", Jitter::Full},
                               {"equal", Jitter::Equal},
                               {"decorrelated", Jitter::Decorrelated},
                               {"proportional", Jitter::Proportional}}),
               "How the wait is spread.")
          .check([](Reader& /*reader*/, const Node& node, BackoffConfig& backoff) {
            if (!node.has("kind") && node.has("multiplier"))
              backoff.kind = BackoffKind::Exponential;
          });
  return kTable;
}

const Table<RetryPolicy>& retry_table() {
  static const auto kTable =
      Table<RetryPolicy>("Trying the step again.")
          .add("attempts", &RetryPolicy::attempts, whole<std::uint32_t>(1, 100),
               "In all, the first included.")
          .add("backoff", &RetryPolicy::backoff, object(backoff_table()), {});
  return kTable;
}

struct UndoDraft {
  std::optional<ActionKind> action;
  ActionSpec with;
};

// Quarantine takes itself back; said as the way back it would release what it is to leave alone.
void check_undo(Reader& reader, const Node& node, std::optional<ActionKind> action) {
  if (action != ActionKind::FreeResources && action != ActionKind::Quarantine) return;
  reader.mistake(node.place, std::string(to_string(*action)) + " takes nothing back");
}

void read_undo(Reader& reader, const Entry& entry, StepDraft& step) {
  const Node& node = entry.value;
  if (node.kind == Node::Kind::Scalar) {
    step.undo = read_action(reader, node);
    if (step.undo) step.undo_with = read_arguments(reader, *step.undo, nullptr, node.place);
    return check_undo(reader, node, step.undo);
  }
  static const auto kTable =
      Table<UndoDraft>("")
          .add(
              "action", action_shape(), {}, [](Reader&, const Entry&, UndoDraft&) {},
              Need::Required)
          .add("with", arguments_shape(), {}, [](Reader&, const Entry&, UndoDraft&) {})
          .check([](Reader& inner, const Node& map, UndoDraft& undo) {
            const Entry* action = map.find("action");
            if (action != nullptr) undo.action = read_action(inner, action->value);
            const Entry* with = map.find("with");
            if (undo.action) {
              undo.with = read_arguments(inner, *undo.action,
                                         with != nullptr ? &with->value : nullptr, map.place);
            }
          });
  UndoDraft undo;
  kTable.apply(reader, node, undo);
  check_undo(reader, node, undo.action);
  step.undo = undo.action;
  step.undo_with = std::move(undo.with);
}

// Which arguments are right depends on the action, whichever stands first.
void finish_step(Reader& reader, const Node& node, StepDraft& step) {
  step.place = node.place;
  const Entry* action = node.find("action");
  const auto kind = action != nullptr ? read_action(reader, action->value) : std::nullopt;
  if (!kind) return;
  step.action = *kind;
  if (step.name.empty()) step.name = to_string(*kind);
  const Entry* with = node.find("with");
  if (*kind == ActionKind::FreeResources) {
    step.free_resources = read_free_resources(reader, with != nullptr ? &with->value : nullptr);
    return;
  }
  step.with = read_arguments(reader, *kind, with != nullptr ? &with->value : nullptr, node.place);
}

const Table<StepDraft>& step_table() {
  const auto nothing = [](Reader&, const Entry&, StepDraft&) {};
  static const auto kTable =
      Table<StepDraft>("One step.")
          .add("name", &StepPolicy::name, silent(text()), "For people; default: the action.")
          .add("action", action_shape(), "What to do.", nothing, Need::Required)
          .add("with", arguments_shape(), "Its arguments.", nothing)
          .add("timeout", &StepDraft::timeout_given, duration(kTick), "It failed after so long.")
          .add("retry", &StepPolicy::retry, object(retry_table()), {})
          .add("on_failure", &StepPolicy::on_failure,
               choice<OnFailure>({{"rollback", OnFailure::Rollback},
                                  {"continue", OnFailure::Continue},
                                  {"abort", OnFailure::Abort},
                                  {"escalate", OnFailure::Escalate}}),
               "What then.")
          .add("when", &StepPolicy::when, expression(), "Skipped unless true.")
          .add("risk", &StepDraft::risk_given, one_of<Risk>(), "Default: the playbook's.")
          .add("idempotent", &StepDraft::idempotent_given, flag(),
               "May run again when its outcome is unknown; default: false for exec, http, sql, "
               "redis, scale, adjust_limits, git_restore and restore_backup.")
          .add("irreversible", &StepPolicy::irreversible, flag(),
               "The author knows that it cannot be undone.")
          .add("undo",
               R"({"anyOf":[)" + action_shape() +
                   R"(,{"type":"object","additionalProperties":false,"required":["action"],)"
                   R"("properties":{"action":)" +
                   action_shape() + R"(,"with":)" + arguments_shape() + "}}]}",
               "Takes it back.", read_undo)
          .add("target", &StepDraft::target_named, name(), "A service; default: the failed one.")
          .check(finish_step);
  return kTable;
}

const Table<TriggerDraft>& trigger_table() {
  static const auto kTable =
      Table<TriggerDraft>("Matches a failure when all that it names match.")
          .add("failure", &TriggerPolicy::failure, one_of<FailureClass>(), "A class of failure.")
          .add("symptom", &TriggerPolicy::symptom, one_of<Symptom>(), "What was seen.")
          .add("pattern", &TriggerDraft::pattern_named, name(),
               "Id or category of a failure pattern.")
          .check([](Reader& reader, const Node& node, TriggerDraft& /*trigger*/) {
            if (node.entries.empty()) reader.mistake(node.place, "a trigger must name something");
          });
  return kTable;
}

struct Prerequisite {
  Expression met;
};

void read_maintenance(Reader& reader, const Entry& entry, Prerequisite& prerequisite) {
  const auto wanted = flag().read(reader, entry.value, false);
  if (!wanted) return;
  auto parsed = Expression::parse(*wanted ? "maintenance == true" : "maintenance == false");
  if (parsed) prerequisite.met = std::move(parsed).value();
}

const Table<Prerequisite>& prerequisite_table() {
  static const auto kTable =
      Table<Prerequisite>("Must hold before the playbook may run, and before each effect.")
          .add("maintenance", flag().shape, "Whether the service is in maintenance.",
               read_maintenance)
          .add("check", &Prerequisite::met, expression(), "An expression over facts.")
          .exactly_one({"maintenance", "check"});
  return kTable;
}

void read_prerequisites(Reader& reader, const Entry& entry, PlaybookDraft& playbook) {
  const auto list = list_of(object(prerequisite_table())).read(reader, entry.value, {});
  if (!list) return;
  for (const Prerequisite& each : *list) playbook.prerequisites.push_back(each.met);
}

struct ValidationDraft : ValidationPolicy {
  std::optional<Duration> within_given;
};

const Table<ValidationDraft>& validation_table() {
  static const auto kTable =
      Table<ValidationDraft>("How success is proven.")
          .add("within", &ValidationDraft::within_given, duration(kTick),
               "All criteria hold by then; default: auto_recovery.validation.validation_timeout.")
          .add("stable_for", &ValidationPolicy::stable_for, duration(), "And go on to hold.")
          .add("success_criteria", &ValidationPolicy::success_criteria, list_of(expression()),
               "Expressions over facts.");
  return kTable;
}

void read_validation(Reader& reader, const Entry& entry, PlaybookDraft& playbook) {
  ValidationDraft validation;
  validation_table().apply(reader, entry.value, validation);
  playbook.within_given = validation.within_given;
  playbook.validation = std::move(validation);
}

const Table<PlaybookDraft>& playbook_checkpoint_table() {
  static const auto kTable = Table<PlaybookDraft>("Before the first step.")
                                 .add("required", &PlaybookPolicy::checkpoint_required, flag(),
                                      "Without a checkpoint no step runs.");
  return kTable;
}

const Table<PlaybookDraft>& escalate_table() {
  static const auto kTable = Table<PlaybookDraft>("When it did not help.")
                                 .add("severity", &PlaybookPolicy::escalate, one_of<Severity>(),
                                      "Of what people are told.");
  return kTable;
}

const Table<PlaybookDraft>& approval_table() {
  static const auto kTable = Table<PlaybookDraft>("When a person must agree.")
                                 .add("ttl", &PlaybookPolicy::approval_ttl, duration(seconds{1}),
                                      "No answer by then is a no.");
  return kTable;
}

}  // namespace

const Table<PlaybookDraft>& playbook_table() {
  static const auto kTable =
      Table<PlaybookDraft>("A recovery playbook.")
          .add("playbook", &PlaybookPolicy::id, identifier(), "Its id.", Need::Required)
          .add("name", &PlaybookPolicy::name, silent(text()), "For people.")
          .add("risk", &PlaybookPolicy::risk, one_of<Risk>(), "Of the whole.")
          .add("triggers", &PlaybookDraft::trigger_drafts, list_of(object(trigger_table())),
               "Any of them; none: only when a service lists it.")
          .add("prerequisites", list_of(object(prerequisite_table())).shape, "All of them.",
               read_prerequisites)
          .add("prerequisites_max_age", &PlaybookPolicy::prerequisites_max_age, duration(kTick),
               "Older facts count as missing.")
          .group("checkpoint", playbook_checkpoint_table())
          .add("steps", &PlaybookDraft::step_drafts, list_of(object(step_table()), 1), "In order.",
               Need::Required)
          .add("validation", validation_table().shape(), {}, read_validation)
          .add("rollback", &PlaybookDraft::rollback_drafts, list_of(object(step_table())),
               "When validation fails, after the undo of the steps.")
          .group("escalate", escalate_table())
          .add("cooldown", &PlaybookPolicy::cooldown, duration(), "0s: the global one.")
          .group("approval", approval_table())
          .check([](Reader&, const Node&, PlaybookDraft& playbook) {
            playbook.step_drafts = expanded(std::move(playbook.step_drafts));
            playbook.rollback_drafts = expanded(std::move(playbook.rollback_drafts));
          });
  return kTable;
}

}  // namespace recover::config
