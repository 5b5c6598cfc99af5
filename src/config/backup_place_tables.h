// The tables of where backups go, and of how much of the machine they may take.
#pragma once

#include "config/table.h"
#include "core/backup_policy.h"

namespace recover::config {

const Table<core::BackupRepository>& backup_repository_table();
const Table<core::BackupLoad>& backup_load_table();

}  // namespace recover::config
