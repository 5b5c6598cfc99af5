// How the members of a mirror stand, from the file in which its workers and recoverctl keep that.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/backup_policy.h"
#include "ports/backup_desk.h"

namespace recover::adapters::backup {

// In the order of the configuration; none: the repository is one place. A file that is not there or
// cannot be read knows nothing, which is no failure: a mirror that was never written to has none.
// `folder`: of the backups below the state directory. `now`: Unix time.
std::vector<ports::BackupMemberView> members_of(const core::BackupRepository& repository,
                                                const std::string& folder, std::int64_t now);

}  // namespace recover::adapters::backup
