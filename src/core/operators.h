// What people ask for: every request leaves a Notice with its actor, also a refused one.
#pragma once

#include "core/event.h"
#include "core/turn.h"

namespace recover::core {

bool on_recover(Turn& turn, const OperatorRecover& event);
bool on_set_mode(Turn& turn, const OperatorSetMode& event);
bool on_kill_switch(Turn& turn, const OperatorKillSwitch& event);
bool on_maintenance(Turn& turn, const OperatorMaintenance& event);
bool on_service_request(Turn& turn, const OperatorService& event);
bool on_reset_breaker(Turn& turn, const OperatorResetBreaker& event);
bool on_checkpoint_request(Turn& turn, const OperatorCheckpoint& event);
bool on_note(Turn& turn, const OperatorNote& event);
bool on_backup(Turn& turn, const BackupReported& event);

}  // namespace recover::core
