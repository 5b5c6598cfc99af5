#include "adapters/backup/restore_effector.h"

#include <boost/json.hpp>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <system_error>
#include <utility>

#include "adapters/backup/job_text.h"
#include "adapters/backup/run_story.h"

namespace recover::adapters::backup {
namespace {

namespace json = boost::json;

// What the worker said last; it ends by itself when told to, so its own word counts first.
effects::Outcome outcome_of(const clients::ChildEnd& end,
                            const std::optional<json::object>& result) {
  const core::BackupEnd how = judge({.child = end, .result = result}, false);
  if (how.good) return {.detail = restore_story(*result)};
  return result ? effects::failed(how.error) : effects::in_doubt(how.error);
}

}  // namespace

void RestoreEffector::perform(const core::Command& command, const core::Policy& policy,
                              ports::Done done) {
  const core::CommandId id = command.id;
  const auto* action = std::get_if<core::RestoreBackupAction>(&core::arguments_of(command, policy));
  const core::BackupPolicy& backups = policy_();
  const auto type = std::ranges::find_if(backups.types, [&](const core::BackupType& one) {
    return action != nullptr && one.name == action->backup;
  });
  if (type == backups.types.end()) {
    return effects::report(tools_, done, id, effects::refused("there is no such backup any more"));
  }
  if (command.settle) return effects::report(tools_, done, id, effects::settled());
  const auto last = std::make_shared<std::optional<json::object>>();
  clients::ChildSpec spec{.command = worker_,
                          .limit = effects::time_left(command, tools_),
                          .kill_rest = true,
                          .input = restore_job_text(backups, *type, *action, ::getpid()),
                          .on_line = [last](std::string_view line) {
                            auto message = parse_line(line);
                            if (message && is_result(*message)) *last = std::move(message);
                          }};
  auto run = clients::ChildRun::start(
      tools_.loop, std::move(spec),
      [this, alive = std::weak_ptr<int>(alive_), id, done, last](const clients::ChildEnd& end) {
        if (!alive.expired()) running_.erase(id);
        done(effects::finished(id, outcome_of(end, *last)));
      });
  if (!run) {
    return effects::report(
        tools_, done, id,
        effects::failed("the worker: " + std::generic_category().message(run.error())));
  }
  running_.emplace(id, *std::move(run));
}

void RestoreEffector::cancel(core::CommandId command) {
  const auto found = running_.find(command);
  // It puts back what it replaced, then ends.
  if (found != running_.end()) found->second->ask_to_end();
}

}  // namespace recover::adapters::backup
