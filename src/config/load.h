// A configuration file and all it names, as a policy; or every mistake in it at once.
//
// Does no I/O of its own. Secrets are expanded into base::Secret only: neither the sources nor the
// mistakes hold one.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <recover/result.h>

#include "config/files.h"
#include "config/place.h"
#include "core/backup_policy.h"
#include "core/policy.h"

namespace recover::config {

inline constexpr std::size_t kFilesMax = 256;  // Included files and playbook files together.

struct Loaded {
  core::Policy policy;
  core::BackupPolicy backup;  // Without types: nothing is backed up.
  std::string environment;    // What this host is part of: "production"; empty: nothing is said.
  // Path and text of each file read, the main one first, with secrets unexpanded.
  std::vector<std::pair<std::string, std::string>> sources;
  // Every value that ${env:} or ${file:} brought, longest first: what no output may hold.
  std::vector<std::string> secrets;
};

// Error: at least one mistake, sorted by file, line and column.
Result<Loaded, std::vector<Mistake>> load(const std::string& path, Files& files);

}  // namespace recover::config
