// One job of the backup engine, done in a process of its own.
//
// Says on `out` how it goes, one JSON object a line, as restic has its status messages; the last
// line is {"message_type":"result",…}. No such line: the job has failed, whatever else was said.
#pragma once

#include <ostream>
#include <stop_token>

#include "apps/recoverd_backup/job.h"

namespace recover::apps {

// Whether it was done. A command that fails is a failed backup: no snapshot of it is made.
bool do_job(const Job& job, std::ostream& out, const std::stop_token& stop);

}  // namespace recover::apps
