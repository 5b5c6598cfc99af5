// A policy with one service and one playbook of one step, and the command that performs that step.
#pragma once

#include <utility>

#include "core/command.h"
#include "core/policy.h"

namespace recover::test {

struct StepCommand {
  core::Policy policy;
  core::Command command;
};

inline StepCommand step_command(core::ActionKind action, core::ActionSpec with) {
  StepCommand made;
  made.policy.services.emplace_back().name = "web";
  core::StepPolicy step;
  step.action = action;
  step.with = std::move(with);
  made.policy.playbooks.emplace_back().steps = {std::move(step)};
  made.command.id = core::CommandId{5};
  made.command.action = action;
  made.command.part = core::Part::Step;
  made.command.playbook = core::PlaybookIndex{0};
  made.command.recovery = core::RecoveryId{42};
  return made;
}

}  // namespace recover::test
