// Runs a program in a process group of its own. At the deadline, or when cancelled, the whole group
// is killed and the outcome is Unknown. What the program leaves running when it ends by itself is
// left alone: starting something is what many recovery scripts are for.
#include <utility>
#include <vector>

#include "adapters/command/child_runs.h"
#include "base/redact.h"

namespace recover::adapters::command {
namespace {

using clients::ChildEnd;
using core::CommandOutcome;
using effects::Outcome;

std::vector<std::string> variables_of(const core::ExecAction& action, const core::Command& command,
                                      const core::Policy& policy) {
  std::vector<std::string> all = {"RECOVER_SERVICE=" + policy.service(command.service).name,
                                  "RECOVER_INCIDENT=" + std::to_string(command.incident.value),
                                  "RECOVER_RECOVERY=" + std::to_string(command.recovery.value),
                                  "RECOVER_ATTEMPT=" + std::to_string(command.attempt),
                                  "RECOVER_IDEMPOTENCY_KEY=" + effects::idempotency_key(command)};
  for (const auto& [name, value] : action.environment) all.push_back(name + "=" + value.reveal());
  return all;
}

Outcome outcome_of(const ChildEnd& end, const std::vector<std::string>& secrets) {
  std::string text = end.text();
  if (!end.output.empty()) text += ": " + base::redacted(end.output, secrets);
  const bool lost = end.how == ChildEnd::How::Lost || !end.killed.empty();
  if (lost) return effects::in_doubt(std::move(text));
  return {end.good() ? CommandOutcome::Done : CommandOutcome::Failed, std::move(text)};
}

class ExecEffector final : public ports::Effector {
 public:
  explicit ExecEffector(const Tools& tools) : tools_(tools), runs_(tools) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const core::CommandId id = command.id;
    const auto* action = std::get_if<core::ExecAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->command.empty()) {
      return effects::report(tools_, done, id, effects::refused("no command to run"));
    }
    if (command.settle) return effects::report(tools_, done, id, effects::settled());
    std::vector<std::string> secrets;
    for (const auto& [name, value] : action->environment) secrets.push_back(value.reveal());
    runs_.start(
        id,
        {.command = action->command,
         .variables = variables_of(*action, command, policy),
         .limit = effects::time_left(command, tools_)},
        action->command.front(),
        [secrets = std::move(secrets)](const ChildEnd& end) { return outcome_of(end, secrets); },
        done);
  }
  void cancel(core::CommandId command) override { runs_.cancel(command); }

 private:
  Tools tools_;
  ChildRuns runs_;
};

}  // namespace

std::unique_ptr<ports::Effector> make_exec(const Tools& tools) {
  return std::make_unique<ExecEffector>(tools);
}

}  // namespace recover::adapters::command
