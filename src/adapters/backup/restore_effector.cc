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
  // The engine gives up a command that is long overdue; its worker may still be taking back.
  if (is_restoring(type->name)) {
    return effects::report(
        tools_, done, id,
        effects::failed("the restore of " + type->name + " before this one has not ended yet"));
  }
  const auto last = std::make_shared<std::optional<json::object>>();
  clients::ChildSpec spec{
      .command = worker_,
      .kill_rest = true,
      .input = restore_job_text(backups, *type, *action, {.parent = ::getpid(), .folder = folder_}),
      .on_line = [last](std::string_view line) {
        auto message = parse_line(line);
        if (message && is_result(*message)) *last = std::move(message);
      }};
  auto run = clients::ChildRun::start(
      tools_.loop, std::move(spec),
      [this, alive = std::weak_ptr<int>(alive_), id, done, last](const clients::ChildEnd& end) {
        const bool lives = !alive.expired();
        if (lives) running_.erase(id);
        done(effects::finished(id, outcome_of(end, *last)));
        if (lives) tell_stopped();
      });
  if (!run) {
    return effects::report(
        tools_, done, id,
        effects::failed("the worker: " + std::generic_category().message(run.error())));
  }
  running_.emplace(
      id, Running{*std::move(run), boost::asio::steady_timer(tools_.loop), type->name, false});
  watch(id, effects::time_left(command, tools_));
}

void RestoreEffector::watch(core::CommandId command, Duration left) {
  boost::asio::steady_timer& timer = running_.at(command).timer;
  timer.expires_after(left);
  timer.async_wait(
      [this, alive = std::weak_ptr<int>(alive_), command](const boost::system::error_code& error) {
        if (error || alive.expired()) return;
        const auto found = running_.find(command);
        if (found == running_.end()) return;
        if (!found->second.asked) return ask_to_end(command);
        found->second.child->kill("killed: it had not ended long after it was told to");
      });
}

// It puts back what it replaced, then ends.
void RestoreEffector::ask_to_end(core::CommandId command) {
  Running& running = running_.at(command);
  if (std::exchange(running.asked, true)) return;
  running.child->ask_to_end();
  watch(command, kGrace);
}

void RestoreEffector::cancel(core::CommandId command) {
  if (running_.contains(command)) ask_to_end(command);
}

void RestoreEffector::stop(std::function<void()> done) {
  stopped_ = std::move(done);
  std::vector<core::CommandId> commands;
  for (const auto& [command, running] : running_) commands.push_back(command);
  for (const core::CommandId command : commands) ask_to_end(command);
  tell_stopped();
}

bool RestoreEffector::is_restoring(const std::string& backup) const {
  return std::ranges::any_of(running_,
                             [&](const auto& one) { return one.second.backup == backup; });
}

void RestoreEffector::tell_stopped() {
  if (!running_.empty()) return;
  if (const auto done = std::exchange(stopped_, nullptr)) done();
}

}  // namespace recover::adapters::backup
