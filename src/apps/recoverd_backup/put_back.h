// The task "restore": the backups of a type back onto the paths they came from, all or none.
//
// The newest snapshot of each source with paths; when one is damaged, an older one. What stood
// there is kept (in_place.h), and put back for every source when one cannot be restored.
#pragma once

#include <boost/json/object.hpp>

#include <stop_token>
#include <string>

#include "apps/recoverd_backup/job.h"
#include "backup/repo/repository.h"
#include "backup/restore/in_place.h"

namespace recover::apps {

// `host` and `user` are of the undo snapshots, and only snapshots of the host are restored.
// Failure: why nothing was restored; what stood there is as it was, or the message says what is
// not.
backup::Outcome<boost::json::object> restore_backup(const backup::Repository& repository,
                                                    const Job& job,
                                                    const backup::InPlaceOptions& options,
                                                    backup::RestoreProgress& progress,
                                                    const std::stop_token& stop);

}  // namespace recover::apps
