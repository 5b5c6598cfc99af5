// What --read-data-subset means.
#pragma once

#include <string>

#include "backup/check/checker.h"

namespace recover::apps {

// "2/5", "10%", "500M": as restic reads them. Throws Failure: none of these.
void choose_subset(backup::CheckOptions& options, const std::string& subset);

}  // namespace recover::apps
