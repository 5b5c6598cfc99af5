// Names become indices, and what was not said gets its default.
#pragma once

#include "config/draft.h"
#include "config/reader.h"

namespace recover::config {

// Notes names that stand for nothing; they are left out of the policy then.
core::Policy resolve(Reader& reader, const Draft& draft);

}  // namespace recover::config
