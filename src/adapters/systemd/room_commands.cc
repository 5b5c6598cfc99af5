// The part that acts: jobs of systemd, their ends, signals.
#include <boost/asio/post.hpp>

#include <algorithm>
#include <csignal>
#include <utility>

#include "adapters/systemd/room.h"

namespace recover::adapters::systemd {
namespace {

using core::ActionKind;
using core::CommandOutcome;

const char* method_of(ActionKind action) {
  if (action == ActionKind::Start) return "StartUnit";
  if (action == ActionKind::Stop) return "StopUnit";
  if (action == ActionKind::Restart) return "RestartUnit";
  if (action == ActionKind::Reload) return "ReloadUnit";
  return nullptr;
}

bool freezes(ActionKind action) {
  return action == ActionKind::Freeze || action == ActionKind::Thaw;
}

bool starts(ActionKind action) {
  return action == ActionKind::Start || action == ActionKind::Restart;
}

// What systemd says, with the name for those who search it.
std::string refusal(const BusError& error) {
  constexpr std::string_view kPrefix = "org.freedesktop.systemd1.";
  std::string_view name = error.name;
  if (name.starts_with(kPrefix)) name.remove_prefix(kPrefix.size());
  return error.message + (name.empty() ? "" : " (" + std::string(name) + ")");
}

}  // namespace

void Units::Room::report(const ports::Done& done, core::CommandFinished finished) {
  boost::asio::post(loop_, [done, finished = std::move(finished)] { done(finished); });
}

void Units::Room::end(core::CommandId id, CommandOutcome outcome, std::string detail) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  const std::unique_ptr<Job> job = std::move(found->second);
  jobs_.erase(found);
  report(job->done, {.command = id, .outcome = outcome, .detail = std::move(detail)});
}

void Units::Room::perform(const core::Command& command, const core::Policy& policy,
                          ports::Done done) {
  const auto refuse = [&](std::string why) {
    report(done,
           {.command = command.id, .outcome = CommandOutcome::Refused, .detail = std::move(why)});
  };
  const core::ServicePolicy& wanted = policy.service(command.service);
  const auto* spec = std::get_if<core::SystemdSpec>(&wanted.spec);
  Unit* unit = spec == nullptr ? nullptr : find(full_name(spec->unit));
  if (unit == nullptr) return refuse(wanted.name + " is not a systemd service");
  if (method_of(command.action) == nullptr && command.action != ActionKind::Signal &&
      !freezes(command.action)) {
    return refuse(std::string(core::to_string(command.action)) + " is not an action on units");
  }
  if (!bus_.connected()) {
    return report(done, {.command = command.id,
                         .outcome = CommandOutcome::Failed,
                         .detail = lost_why_.empty() ? "not connected to systemd yet" : lost_why_});
  }
  if (command.settle) return settle(command, *unit, done);
  begin(command, policy, *unit, std::move(done));
}

void Units::Room::begin(const core::Command& command, const core::Policy& policy, Unit& unit,
                        ports::Done done) {
  auto made = std::make_unique<Job>(loop_, command, std::move(done));
  made->unit = unit.name;
  Job& job = *jobs_.insert_or_assign(command.id, std::move(made)).first->second;
  if (command.deadline != kNever) {
    job.deadline.expires_after(
        std::max(Duration(command.deadline - options_.now()), Duration::zero()));
    job.deadline.async_wait(
        [this, alive = alive_, id = command.id](boost::system::error_code error) {
          if (error || !*alive) return;
          end(id, CommandOutcome::Unknown, "systemd's job has not ended at the deadline");
        });
  }
  if (command.action == ActionKind::Signal) {
    return call_kill(command.id, unit.name, core::signal_of(command, policy).signal);
  }
  if (freezes(command.action)) return call_freezer(command.id, command.action, unit.name);
  if (starts(command.action)) {
    // Else a start after too many failures is refused for a while.
    MessagePtr reset = manager("ResetFailedUnit");
    if (reset && sd_bus_message_append(reset.get(), "s", unit.name.c_str()) >= 0) {
      bus_.call(reset, [](Result<sd_bus_message*, BusError> /*answer*/) {});
    }
  }
  call_job(command.id, method_of(command.action), unit.name);
}

// What is known after a crash of ours, without doing anything.
void Units::Room::settle(const core::Command& command, const Unit& unit, const ports::Done& done) {
  const bool active = unit.properties.active_state == "active";
  CommandOutcome outcome = CommandOutcome::Unknown;
  if (starts(command.action)) outcome = active ? CommandOutcome::Done : CommandOutcome::Failed;
  if (command.action == ActionKind::Stop && !active) outcome = CommandOutcome::Done;
  report(done, {.command = command.id,
                .outcome = outcome,
                .detail = unit.name + " is " + unit.properties.active_state});
}

void Units::Room::call_job(core::CommandId id, const char* member, const std::string& unit) {
  MessagePtr message = manager(member);
  if (!message || sd_bus_message_append(message.get(), "ss", unit.c_str(), "replace") < 0) {
    return end(id, CommandOutcome::Failed, "systemd cannot be asked");
  }
  bus_.call(message, [this, id](Result<sd_bus_message*, BusError> answer) {
    if (!answer) return end(id, CommandOutcome::Failed, refusal(answer.error()));
    const char* path = nullptr;
    if (sd_bus_message_read(*answer, "o", &path) < 0) {
      return end(id, CommandOutcome::Unknown, "systemd's answer cannot be read");
    }
    const auto job = jobs_.find(id);
    if (job != jobs_.end()) job->second->path = path;
  });
}

void Units::Room::call_kill(core::CommandId id, const std::string& unit, int signal) {
  const Unit* known = find(unit);
  // A unit without a main process (a slice, a scope) has all its processes signalled.
  const char* whom = known != nullptr && known->properties.main_pid != 0 ? "main" : "all";
  MessagePtr message = manager("KillUnit");
  if (!message || sd_bus_message_append(message.get(), "ssi", unit.c_str(), whom, signal) < 0) {
    return end(id, CommandOutcome::Failed, "systemd cannot be asked");
  }
  bus_.call(message,
            [this, id, signal, to = std::string(whom)](Result<sd_bus_message*, BusError> answer) {
              if (!answer) return end(id, CommandOutcome::Failed, refusal(answer.error()));
              end(id, CommandOutcome::Done, "signal " + std::to_string(signal) + " to " + to);
            });
}

// Not a job: systemd answers when all processes stand still, or go on.
void Units::Room::call_freezer(core::CommandId id, ActionKind action, const std::string& unit) {
  MessagePtr message = manager(action == ActionKind::Freeze ? "FreezeUnit" : "ThawUnit");
  if (!message || sd_bus_message_append(message.get(), "s", unit.c_str()) < 0) {
    return end(id, CommandOutcome::Failed, "systemd cannot be asked");
  }
  bus_.call(message, [this, id, unit, action](Result<sd_bus_message*, BusError> answer) {
    if (!answer) return end(id, CommandOutcome::Failed, refusal(answer.error()));
    end(id, CommandOutcome::Done,
        unit + (action == ActionKind::Freeze ? " stands still" : " goes on"));
  });
}

void Units::Room::job_removed(sd_bus_message* message) {
  std::uint32_t number = 0;
  const char* path = nullptr;
  const char* unit = nullptr;
  const char* result = nullptr;
  if (sd_bus_message_read(message, "uoss", &number, &path, &unit, &result) < 0) return;
  for (const auto& [id, job] : jobs_) {
    if (job->path != path) continue;
    const std::string how = result;
    if (how == "done" && starts(job->command.action)) return verify(id, job->unit, how);
    const bool done = how == "done";
    return end(id, done ? CommandOutcome::Done : CommandOutcome::Failed,
               job->unit + ": " + std::string(core::to_string(job->command.action)) +
                   " ended as `" + how + "`");
  }
}

// A job can end well without the unit running: a condition was not met, or it ended at once.
void Units::Room::verify(core::CommandId id, const std::string& unit, const std::string& result) {
  Unit* known = find(unit);
  MessagePtr message = known == nullptr
                           ? nullptr
                           : bus_.method("org.freedesktop.systemd1", known->path.c_str(),
                                         "org.freedesktop.DBus.Properties", "Get");
  if (!message || sd_bus_message_append(message.get(), "ss", "org.freedesktop.systemd1.Unit",
                                        "ActiveState") < 0) {
    return end(id, CommandOutcome::Unknown, unit + ": job " + result);
  }
  bus_.call(message, [this, id, unit](Result<sd_bus_message*, BusError> answer) {
    const char* state = nullptr;
    if (!answer || sd_bus_message_read(*answer, "v", "s", &state) < 0) {
      return end(id, CommandOutcome::Unknown, unit + ": its state cannot be read");
    }
    Unit* after = find(unit);
    const bool oneshot = after != nullptr && after->properties.type == "oneshot";
    const std::string active = state;
    const bool up = active == "active" || active == "reloading" || active == "activating";
    if (after != nullptr) read(*after);
    end(id, up || (oneshot && active == "inactive") ? CommandOutcome::Done : CommandOutcome::Failed,
        unit + " is " + active +
            (up ? "" : ": it ended at once, or a condition of the unit is not met"));
  });
}

void Units::Room::cancel(core::CommandId id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  if (!found->second->path.empty() && bus_.connected()) {
    MessagePtr message = bus_.method("org.freedesktop.systemd1", found->second->path.c_str(),
                                     "org.freedesktop.systemd1.Job", "Cancel");
    bus_.call(message, [](Result<sd_bus_message*, BusError> /*answer*/) {});
  }
  end(id, CommandOutcome::Unknown, "cancelled");
}

}  // namespace recover::adapters::systemd
