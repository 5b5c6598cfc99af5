// PostgreSQL by its own programs: pg_dump of each database and the roles, or pg_basebackup of the
// whole cluster as one tar. Both are consistent by PostgreSQL's own promise, each database for
// itself.
//
// Nothing is compressed before it comes to us, so that what did not change is not stored again.
#pragma once

#include "apps/recoverd_backup/sources/source.h"

namespace recover::apps {

std::unique_ptr<Source> make_postgres_source(const core::PostgresSource& source,
                                             std::stop_token stop);

// As the name of a file: all but letters, digits, `-`, `_` and `.` as %XX.
std::string as_file_name(const std::string& name);
std::string from_file_name(std::string_view name);

}  // namespace recover::apps
