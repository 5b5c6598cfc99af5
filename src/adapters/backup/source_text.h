// A source of a backup as the worker reads it in its job.
#pragma once

#include <boost/json/object.hpp>

#include "core/backup_policy.h"

namespace recover::adapters::backup {

// With its secrets: for the worker's standard input only.
boost::json::object source_text(const core::BackupSource& source);

}  // namespace recover::adapters::backup
