// Has it helped? Criteria over what was seen after the last effect, held for a while.
#pragma once

#include "core/turn.h"

namespace recover::core {

void begin_validation(Turn& turn, Recovery& recovery);
// Ends the recovery once the criteria held long enough, fails it once they were not met in time.
void validate(Turn& turn, Recovery& recovery);

}  // namespace recover::core
