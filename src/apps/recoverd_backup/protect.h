// Continuous protection: a worker that stays. It follows the paths, and whenever something changed
// it makes a snapshot, soon enough for the RPO.
//
// Says on `out` what it does, one JSON object a line: "protecting", "snapshot", "waiting" (the
// store refuses), "thinned", "status".
#pragma once

#include <boost/json/object.hpp>

#include <ostream>
#include <stop_token>

#include "apps/recoverd_backup/job.h"

namespace recover::apps {

// Until a stop is requested; that is its success. Failure: what trying again cannot help.
// REQUIRES: job.task is Protect.
backup::Outcome<boost::json::object> protect(const Job& job, std::ostream& out,
                                             const std::stop_token& stop);

}  // namespace recover::apps
