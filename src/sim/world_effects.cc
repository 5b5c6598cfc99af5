// What commands do to the simulated world: done, half done, done late or twice, or only said so.
#include <utility>

#include "sim/world.h"

namespace recover::sim {
namespace {

using core::ActionKind;
using core::CommandOutcome;
using core::milliseconds;
using core::seconds;

bool starts(ActionKind action) {
  return action == ActionKind::Start || action == ActionKind::Restart;
}

}  // namespace

void World::perform(const core::Command& command, const core::Policy& /*policy*/,
                    ports::Done done) {
  if (cut_ == 0) return;
  if (cut_ > 0) --cut_;
  checker_.command(command, now_);
  slots_.push_back({.command = command,
                    .done = std::move(done),
                    .engine = engine_,
                    .begun = false,
                    .dropped = false,
                    .answered = false,
                    .outcome = CommandOutcome::Done,
                    .checkpoint = {}});
  plan_effect(slots_.size() - 1);
}

// What an effector can find out about an earlier run of the same step.
CommandOutcome World::query(const core::Command& command) {
  CommandOutcome known = CommandOutcome::Failed;
  for (Slot& slot : slots_) {
    const core::Command& other = slot.command;
    if (other.settle || other.recovery != command.recovery || other.part != command.part ||
        other.index != command.index || other.attempt != command.attempt) {
      continue;
    }
    if (slot.begun) return CommandOutcome::Done;
    if (!slot.dropped && slot.outcome != CommandOutcome::Failed) known = CommandOutcome::Unknown;
  }
  return known;
}

void World::plan_effect(std::uint64_t index) {
  Slot& slot = slots_[index];
  const core::Command& command = slot.command;
  const auto result = [&](Duration after, CommandOutcome outcome) {
    slot.outcome = outcome;
    agenda_.add(now_ + after, Happening::Result, 0, 0, index);
  };
  const auto effect = [&](Duration after) {
    agenda_.add(now_ + after, Happening::Effect, 0, 0, index);
  };
  const Duration quick = dice_.pause(milliseconds{2}, milliseconds{700});
  if (command.settle) return result(quick, query(command));
  // After a start its effector waits until it is ready.
  const Duration settled = starts(command.action) ? milliseconds{500} : milliseconds{0};
  if (has(Fault::Effects) && dice_.percent(12)) {
    const Duration late = command.deadline - now_;
    switch (dice_.roll(6)) {
      case 0:  // It never was.
        slot.dropped = true;
        checker_.goals().reach(Goal::EmptySelector);
        return result(milliseconds{1}, CommandOutcome::Refused);
      case 1: slot.dropped = true; return result(quick, CommandOutcome::Failed);
      case 2: slot.dropped = true; return result(quick, CommandOutcome::Done);  // A lie.
      case 3:  // Too slow: it may still come.
        if (dice_.percent(50)) {
          effect(late + quick);
        } else {
          slot.dropped = true;
        }
        return result(late, CommandOutcome::Unknown);
      case 4: effect(quick); return result(quick + settled, CommandOutcome::Unknown);
      default: effect(late / 2); return result(late / 2 + settled, CommandOutcome::Done);
    }
  }
  effect(quick);
  if (has(Fault::Results) && dice_.percent(4)) return;  // Lost.
  result(quick + settled, CommandOutcome::Done);
  if (has(Fault::Results) && dice_.percent(6)) {
    agenda_.add(now_ + quick + settled + dice_.pause(milliseconds{1}, seconds{20}),
                Happening::Duplicate, 0, 0, index);
  }
}

void World::cancel(core::CommandId command) {
  if (cut_ == 0) return;
  for (std::uint64_t index = 0; index < slots_.size(); ++index) {
    Slot& slot = slots_[index];
    if (slot.engine != engine_ || slot.command.id != command || slot.answered) continue;
    if (!slot.begun) slot.dropped = true;
    if (slot.outcome != CommandOutcome::Unknown) {
      slot.outcome = slot.begun ? CommandOutcome::Unknown : CommandOutcome::Failed;
    }
    agenda_.add(now_ + milliseconds{5}, Happening::Result, 0, 0, index);
  }
}

void World::feel(Slot& slot) {
  if (slot.dropped || slot.begun) return;
  slot.begun = true;
  checker_.effect(slot.command, now_);
  if (scenario_.effects_twice) checker_.effect(slot.command, now_);
  act(slot.command, slot);
}

void World::act(const core::Command& command, Slot& slot) {
  const std::uint32_t index = command.service.value;
  Service& of = services_[index];
  const bool partial = has(Fault::Effects) && dice_.percent(4);
  switch (command.action) {
    case ActionKind::Start: return start(index);
    case ActionKind::Stop: return stop(index, true);
    case ActionKind::Restart:
      stop(index, true);
      if (partial) {
        slot.outcome = CommandOutcome::Unknown;
        return;
      }
      return start(index);
    case ActionKind::Reload:
    case ActionKind::KillLongQueries: of.slow = false; return;
    case ActionKind::Checkpoint:
      if (!command.checkpoint.empty()) {  // Nothing is taken: that one gets the name.
        slot.checkpoint = command.checkpoint;
        of.checkpoints["last-good"] = of.checkpoints[command.checkpoint];
        return;
      }
      slot.checkpoint = "cp" + std::to_string(next_checkpoint_++);
      of.checkpoints[slot.checkpoint] = of.broken;
      if (!command.text.empty()) of.checkpoints[command.text] = of.broken;
      return;
    case ActionKind::RestoreCheckpoint: {
      const auto found = of.checkpoints.find(command.text);
      if (found == of.checkpoints.end()) {
        slot.outcome = CommandOutcome::Failed;
        return;
      }
      of.broken = found->second;
      return;
    }
    case ActionKind::CleanFiles:
      if (disk_ > 0.5) set_disk(partial ? disk_ - 0.03 : 0.5);
      return;
    case ActionKind::Signal: of.hung = false; return;
    case ActionKind::Exec:
    case ActionKind::Http:
    case ActionKind::Sql:
    case ActionKind::Redis:
    case ActionKind::RotateLogs:
    case ActionKind::FreeResources:
    case ActionKind::AdjustLimits:
    case ActionKind::Scale:
    case ActionKind::Failover:
    case ActionKind::Isolate:
    case ActionKind::Quarantine:
    case ActionKind::RestoreBackup:
    case ActionKind::GitRestore:
    case ActionKind::Sync:
    case ActionKind::Wait:
    case ActionKind::Approve:
    case ActionKind::Freeze:
    case ActionKind::Thaw:
    case ActionKind::Notify: return;
  }
}

void World::finish(std::uint64_t index) {
  Slot& slot = slots_[index];
  if (slot.answered || slot.engine != engine_ || !slot.done) return;
  slot.answered = true;
  const Service& of = services_[slot.command.service.value];
  const bool lied = slot.dropped;
  if (slot.outcome == CommandOutcome::Done && starts(slot.command.action) && !lied && !of.ready) {
    slot.outcome = CommandOutcome::Failed;
  }
  // Failed means: nothing happened. Of what may have run on its own nobody says so.
  if (slot.outcome == CommandOutcome::Failed && slot.begun && !slot.command.idempotent) {
    slot.outcome = CommandOutcome::Unknown;
  }
  slot.done({.command = slot.command.id,
             .outcome = slot.outcome,
             .detail = slot.outcome == CommandOutcome::Done ? "" : "trouble",
             .checkpoint = slot.checkpoint});
}

}  // namespace recover::sim
