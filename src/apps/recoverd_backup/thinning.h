// Which snapshots of continuous protection are too many: a worker makes thousands a day. Pure.
#pragma once

#include <vector>

#include "backup/retain/retention.h"

namespace recover::apps {

// Kept are all of the last hour, one an hour for a day, one a day for a week, and what `wanted`
// keeps besides; its `last` would mean the last minutes here, and does not count.
std::vector<backup::Digest> too_many(
    const std::vector<backup::Repository::FoundSnapshot>& snapshots,
    const backup::Retention& wanted);

}  // namespace recover::apps
