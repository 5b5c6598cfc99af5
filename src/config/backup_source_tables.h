// The table of one of the `sources:` of a backup.
#pragma once

#include "config/table.h"
#include "core/backup_policy.h"

namespace recover::config {

const Table<core::BackupSource>& backup_source_table();

// Two that would write files of one name.
void check_source_names(Reader& reader, const Node& sources,
                        const std::vector<core::BackupSource>& read);

}  // namespace recover::config
