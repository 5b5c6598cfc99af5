#include "core/command.h"

#include <array>
#include <charconv>

namespace recover::core {

std::string_view to_string(Rule rule) noexcept {
  // In the order of the enumerators.
  static constexpr auto kNames = std::to_array<std::string_view>({
      "mode",
      "conditions",
      "maintenance",
      "quarantine",
      "service_breaker",
      "playbook_breaker",
      "cooldown",
      "concurrent_recoveries",
      "recoveries_per_hour",
      "blast_radius",
      "prerequisites",
      "risk_and_approval",
      "kill_switch",
      "storm",
      "journal_degraded",
      "detection",
      "classification",
      "root_cause",
      "suppression",
      "playbook_choice",
      "playbook_refusal",
      "attempts",
      "step",
      "validation",
      "rollback",
      "escalation",
      "learning",
      "operator",
  });
  static_assert(kNames.size() == kRuleCount);
  static_assert(kRuleCount == static_cast<std::size_t>(Rule::Operator) + 1);
  return kNames[static_cast<std::size_t>(rule)];
}

std::string_view to_string(Verdict verdict) noexcept {
  switch (verdict) {
    case Verdict::Pass: return "pass";
    case Verdict::Refuse: return "refuse";
    case Verdict::Wait: return "wait";
    case Verdict::Info: return "info";
  }
  return "";
}

const ActionSpec& arguments_of(const Command& command, const Policy& policy) {
  static const ActionSpec kNone = NoArguments{};
  if (!command.playbook) return kNone;
  const PlaybookPolicy& playbook = policy.playbook(*command.playbook);
  switch (command.part) {
    case Part::Supervision:
    case Part::Checkpoint: return kNone;
    case Part::Step: return playbook.steps.at(command.index).with;
    case Part::Undo: return playbook.steps.at(command.index).undo_with;
    case Part::Rollback: return playbook.rollback.at(command.index).with;
  }
  return kNone;
}

SignalWish signal_of(const Command& command, const Policy& policy) {
  SignalWish wish;
  if (const auto* with = std::get_if<SignalAction>(&arguments_of(command, policy))) {
    wish.signal = with->signal;
    return wish;
  }
  const char* const end = command.text.data() + command.text.size();
  const auto [blank, error] = std::from_chars(command.text.data(), end, wish.signal);
  if (error != std::errc() || blank == end) return wish;
  std::uint32_t instance = 0;
  if (std::from_chars(blank + 1, end, instance).ec == std::errc()) wish.instance = instance;
  return wish;
}

}  // namespace recover::core
