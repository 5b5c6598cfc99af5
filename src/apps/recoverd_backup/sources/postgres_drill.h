// PostgreSQL started from a backup in a scratch folder, on a socket in it, asked, and stopped.
//
// What would reach out of the folder is switched off: no network, no archiving, no replication, no
// libraries loaded at the start (whose jobs would run).
#pragma once

#include "apps/recoverd_backup/sources/source.h"

namespace recover::apps {

struct PostgresDrill {
  const ScratchFolder& folder;
  const std::string& query;
  std::string user;           // Who may exist besides `postgres`.
  std::string database = {};  // That is asked; empty: the first of the dumps, or `postgres`.
  const std::stop_token& stop;
};

backup::Outcome<DrillAnswer> drill_dumps(const PostgresDrill& drill,
                                         const std::vector<std::string>& files);
backup::Outcome<DrillAnswer> drill_basebackup(const PostgresDrill& drill, const std::string& file);

}  // namespace recover::apps
