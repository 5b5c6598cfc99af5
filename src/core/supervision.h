// What is done without any failure: starting services in the order of their dependencies, the
// wishes of operators, last-good checkpoints, and commands in doubt after a crash of ours.
#pragma once

#include <string>

#include "core/event.h"
#include "core/turn.h"

namespace recover::core {

bool on_engine_started(Turn& turn, const EngineStarted& event);
// False: not one of ours, or already over.
bool on_command_finished(Turn& turn, const CommandFinished& event);

// Starts what is due and whose dependencies are healthy; takes last-good checkpoints; gives up on
// commands without an answer.
void advance_supervision(Turn& turn);

// Sends start, stop, restart or reload; REQUIRES that none of them is in flight for the service.
// `only`: of a start, stop or restart, the one instance it is about; empty: all.
void supervise(Turn& turn, ServiceIndex service, ActionKind action, std::string only = {});

}  // namespace recover::core
