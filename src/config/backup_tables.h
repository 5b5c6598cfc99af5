// The table of `backup:`.
#pragma once

#include "config/draft.h"
#include "config/table.h"

namespace recover::config {

const Table<BackupDraft>& backup_table();

}  // namespace recover::config
