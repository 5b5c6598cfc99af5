// SQLite databases by SQLite's own online backup: consistent while others write, WAL and all, which
// no reading of files is.
//
// That API writes a database file, so a copy of each lies in the scratch folder while it is backed
// up. It is checked (quick_check) before a byte of it is stored.
#pragma once

#include "apps/recoverd_backup/sources/source.h"

namespace recover::apps {

std::unique_ptr<Source> make_sqlite_source(const core::SqliteSource& source, std::string scratch,
                                           std::stop_token stop);

}  // namespace recover::apps
