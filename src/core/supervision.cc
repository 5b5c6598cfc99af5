#include "core/supervision.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "core/health.h"
#include "core/hold.h"
#include "core/incident.h"
#include "core/last_good.h"
#include "core/saga.h"

namespace recover::core {
namespace {

bool is_ready(const Turn& turn, ServiceIndex named) {
  const ServiceIndex service = turn.state.services[named.value].replaced_by.value_or(named);
  const ServiceHealth& health = turn.state.services[service.value];
  if (health.state == ServiceState::Healthy) return true;
  // Nothing of it can be seen, so there is nothing to wait for.
  return turn.service(service).probes.empty() && count_instances(health).wanted == 0;
}

void start_pending(Turn& turn, ServiceIndex service) {
  if (!turn.state.services[service.value].start_pending) return;
  ServiceHealth& health = turn.health(service);
  if (health.supervision || turn.state.kill_switch) return;
  if (!health.wanted || health.quarantined || health.incident) {
    health.start_pending = false;
    return;
  }
  const auto& needed = turn.service(service).depends_on;
  if (!std::ranges::all_of(needed, [&](ServiceIndex each) { return is_ready(turn, each); })) return;
  supervise(turn, service, ActionKind::Start);
}

// Runs again once effects are no longer paused.
void postpone(Recovery& recovery, CommandId command) {
  for (std::vector<StepProgress>* list : {&recovery.steps, &recovery.rollback}) {
    for (StepProgress& progress : *list) {
      if (progress.command != command) continue;
      progress.state = StepState::Pending;
      progress.in_doubt = true;
    }
  }
}

// Whoever waited for the old command waits for the new one.
void hand_over(ServiceHealth& health, Recovery* recovery, CommandId old, const Command& again,
               CommandId fresh) {
  if (health.supervision == old) health.supervision = fresh;
  if (health.last_good == old) health.last_good = fresh;
  if (recovery == nullptr) return;
  for (std::vector<StepProgress>* list : {&recovery->steps, &recovery->rollback}) {
    for (StepProgress& progress : *list) {
      if (progress.command != old) continue;
      progress.command = fresh;
      // One to be settled says what became of the old one; one done again does not.
      if (!again.settle) progress.in_doubt = true;
    }
  }
}

// Sends it again: to be settled if it may not simply be done twice.
void resend(Turn& turn, Recovery* recovery, CommandId id, const Command& command) {
  constexpr Duration kLeftMin = seconds{10};
  constexpr Duration kLeftUnknown = minutes{2};
  const Duration left =
      command.deadline == kNever ? kLeftUnknown : Duration(command.deadline - turn.now);
  Command again = command;
  again.settle = !command.idempotent;
  again.deadline = saturating_add(turn.now, std::max(left, kLeftMin));
  const CommandId fresh = turn.send(again);
  hand_over(turn.health(command.service), recovery, id, again, fresh);
}

void settle_in_doubt(Turn& turn) {
  std::map<CommandId, Command> doubtful;
  doubtful.swap(turn.state.in_flight);
  for (auto& [id, command] : doubtful) {
    Recovery* recovery = turn.recovery(command.recovery);
    if (recovery != nullptr && !recovery->aborting.empty()) {
      // It was told to give up; whether it did is what the rollback must assume.
      CommandFinished lost{id, CommandOutcome::Unknown, "recoverd stopped meanwhile", {}};
      finish_step(turn, *recovery, command, lost);
      continue;
    }
    if (recovery != nullptr && turn.state.kill_switch && command.idempotent) {
      postpone(*recovery, id);
      continue;
    }
    resend(turn, recovery, id, command);
  }
}

// Processes that were not found again are gone; why, nobody can say.
void forget_lost_instances(ServiceHealth& health, Instant now) {
  for (InstanceHealth& instance : health.instances) {
    const bool lost = !instance.adopted && instance.state != InstanceState::Down;
    instance.adopted = false;
    if (!lost) continue;
    instance.state = InstanceState::Down;
    instance.since = now;
    instance.hung = false;
  }
}

void finish_checkpoint(Turn& turn, const Command& command, const CommandFinished& event) {
  const bool done = event.outcome == CommandOutcome::Done;
  ServiceHealth& health = turn.health(command.service);
  if (done && !event.checkpoint.empty()) health.last_checkpoint = event.checkpoint;
  turn.notice(done ? "checkpoint:taken" : "checkpoint:failed",
              done ? Severity::Low : Severity::Medium, command.service,
              text({turn.service(command.service).name, ": ", command.text, done ? "" : ": ",
                    done ? "" : event.detail}));
}

void finish_scale(Turn& turn, const Command& command) {
  ServiceHealth& health = turn.health(command.service);
  std::uint32_t instances = 0;
  const char* end = command.text.data() + command.text.size();
  if (std::from_chars(command.text.data(), end, instances).ec != std::errc()) return;
  health.desired = std::min<std::uint32_t>(instances, kInstancesMax);
  fit_instances(health);
  fit_holds(health);
}

void finish_restore(Turn& turn, const Command& command, const CommandFinished& event) {
  const bool done = event.outcome == CommandOutcome::Done;
  turn.notice(done ? "checkpoint:restored" : "checkpoint:restore_failed",
              done ? Severity::Low : Severity::High, command.service,
              text({turn.service(command.service).name, ": ", command.text, ": ", event.detail}));
}

void finish_supervision(Turn& turn, const Command& command, const CommandFinished& event) {
  ServiceHealth& health = turn.health(command.service);
  const std::string& name = turn.service(command.service).name;
  if (health.supervision == command.id) health.supervision = {};
  if (health.last_good == command.id) return finish_last_good(turn, command, event);
  const bool done = event.outcome == CommandOutcome::Done;
  const bool starts = command.action == ActionKind::Start || command.action == ActionKind::Restart;
  if (command.action == ActionKind::Checkpoint) return finish_checkpoint(turn, command, event);
  if (command.action == ActionKind::Notify) return;
  health.counts_from = turn.now;
  if (done && command.action == ActionKind::Scale) finish_scale(turn, command);
  if (command.action == ActionKind::RestoreCheckpoint) {
    finish_restore(turn, command, event);
  } else if (!done) {
    turn.notice("service:command_failed", Severity::High, command.service,
                text({name, ": ", to_string(command.action), ": ", event.detail}));
  }
  if (!done && starts) {
    health.start_deadline = kNever;
    report(turn, command.service,
           {.symptom = Symptom::StartFailed, .detail = event.detail, .began_at = turn.now});
  }
  if (done) turn.look(command.service);
  refresh(turn, command.service);
}

void give_up_lost(Turn& turn) {
  if (turn.wakes != nullptr) {
    turn.wakes->catch_up(turn.policy, turn.state);
    if (turn.wakes->next_lost(turn.state) > turn.now) return;
  }
  std::vector<CommandId> lost;
  for (const auto& [id, command] : turn.state.in_flight) {
    if (saturating_add(command.deadline, kLostAfter) <= turn.now) lost.push_back(id);
  }
  for (const CommandId id : lost) {
    CommandFinished event;
    event.command = id;
    event.outcome = CommandOutcome::Unknown;
    event.detail = "no answer in time";
    on_command_finished(turn, event);
  }
}

}  // namespace

bool on_engine_started(Turn& turn, const EngineStarted& event) {
  for (std::uint32_t index = 0; index < turn.state.services.size(); ++index) {
    const ServiceIndex service{index};
    ServiceHealth& health = turn.health(service);
    if (kind_of(turn.service(service).spec) == ServiceKind::Run) {
      forget_lost_instances(health, turn.now);
    }
    if (event.first) {
      turn.notice("service:registered", Severity::Low, service, turn.service(service).name);
    }
    const bool ours = health.desired > 0;
    const bool busy = health.supervision || turn.active_recovery(service) != nullptr;
    if (ours && health.wanted && !busy && !health.incident && !is_up(health)) {
      health.start_pending = true;
    }
  }
  settle_in_doubt(turn);
  for (std::uint32_t index = 0; index < turn.state.services.size(); ++index) {
    refresh(turn, ServiceIndex{index});
  }
  return true;
}

bool on_command_finished(Turn& turn, const CommandFinished& event) {
  const auto found = turn.state.in_flight.find(event.command);
  if (found == turn.state.in_flight.end()) return false;
  const Command command = found->second;
  turn.state.in_flight.erase(found);
  turn.moved = true;
  if (command.recovery) {
    if (Recovery* recovery = turn.recovery(command.recovery)) {
      finish_step(turn, *recovery, command, event);
    }
  } else {
    finish_supervision(turn, command, event);
  }
  return true;
}

void advance_supervision(Turn& turn) {
  give_up_lost(turn);
  for (auto index = turn.due_service(0); index != Wakes::kNone;
       index = turn.due_service(index + 1)) {
    start_pending(turn, ServiceIndex{index});
    advance_last_good(turn, ServiceIndex{index});
  }
}

void supervise(Turn& turn, ServiceIndex service, ActionKind action, std::string only) {
  ServiceHealth& health = turn.health(service);
  if (only.empty()) health.start_pending = false;
  Command command = supervision_command(turn.policy, service, action, turn.now);
  if (!only.empty()) command.text = std::move(only);
  health.supervision = turn.send(std::move(command));
  if (action == ActionKind::Start || action == ActionKind::Restart) {
    // The command's own deadline speaks first; this one is for services without instances.
    begin_start(turn, service, start_timeout(turn.service(service)));
    if (action == ActionKind::Restart) {
      health.start_deadline =
          saturating_add(turn.state.in_flight.at(health.supervision).deadline, seconds{1});
    }
  }
  if (action == ActionKind::Reload) note_state_read(turn, service);
  refresh(turn, service);
}

}  // namespace recover::core
