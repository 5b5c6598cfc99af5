// The steps of a recovery as they stand in its playbook: laid out, described, paced. Decides
// nothing.
#pragma once

#include <string>

#include "core/turn.h"

namespace recover::core {

// The saga's own checkpoint, if it takes one, and the playbook's steps.
void lay_out_steps(Turn& turn, Recovery& recovery);
// The undo of what happened or may have, in reverse; then the playbook's rollback. Nothing when
// nothing can have happened.
void lay_out_rollback(const Turn& turn, Recovery& recovery);

// What the step is to do; of an undo, in its place. A value: an undo stands nowhere in the policy.
StepPolicy policy_of(const Turn& turn, const Recovery& recovery, const StepProgress& progress);
// The message or the checkpoint's name that goes with the command.
std::string text_of(const Recovery& recovery, const StepPolicy& step);

// Before the next attempt. The same every time it is computed, and spread out between recoveries.
Duration retry_pause(const RetryPolicy& retry, const Recovery& recovery,
                     const StepProgress& progress);
// After a rollback step failed, and where a backoff is not valid.
inline constexpr Duration kRollbackPause = seconds{1};

}  // namespace recover::core
