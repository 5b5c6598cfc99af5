// What a recovery does once it may: checkpoint, steps, validation, rollback.
//
// One command at a time. Whatever may have happened is undone; what is known not to have started is
// not. A success is never reported before the criteria held for the whole stable time.
#pragma once

#include <string>

#include "core/turn.h"

namespace recover::core {

void advance_saga(Turn& turn, Recovery& recovery);
// A command of the recovery ended.
void finish_step(Turn& turn, Recovery& recovery, const Command& command,
                 const CommandFinished& event);
// The approve step it waits for is done.
void approve_step(Turn& turn, Recovery& recovery, const std::string& who);
// It did not help: rolled back if there is something to roll back, over otherwise.
void fail_recovery(Turn& turn, Recovery& recovery, Rule rule, const std::string& why);

}  // namespace recover::core
