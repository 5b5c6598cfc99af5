// restic's layout of a repository: the path of each file below its root, alike in folders and in
// buckets.
#pragma once

#include <string>
#include <vector>

#include "backup/store/store.h"

namespace recover::backup {

// "config", "keys/…", "data/3f/3f2a…".
std::string relative_path(const FileName& name);
// Where files of a kind lie: 256 folders for packs, one for others. Not for Config.
std::vector<std::string> folders_of(FileKind kind);
// "keys", "data": the one folder that all of them are below.
std::string_view root_folder(FileKind kind);
// Every folder of a repository, outer ones first.
std::vector<std::string> all_folders();
// Of a file's last name: whether a writer that died left it, ours or restic.
bool is_temporary(std::string_view name);

}  // namespace recover::backup
