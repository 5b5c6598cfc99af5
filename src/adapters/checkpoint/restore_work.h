// What the parts of one restore share: what is wanted, how, and what was done so far.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "adapters/checkpoint/content_source.h"
#include "adapters/checkpoint/file_system.h"
#include "ports/checkpoint_store.h"

namespace recover::adapters::checkpoint {

// The arguments outlive it.
struct RestoreWork {
  RestoreWork(const ports::CheckpointContents& wanted, ContentSource& store,
              const ports::RestoreRequest& request, std::vector<std::string> paths);

  bool selected(std::string_view path) const;
  // Whether something selected can be below.
  bool leads_to_selected(std::string_view path) const;
  // Whether the checkpoint may hold that path at all.
  bool is_covered(const std::string& path) const;
  // REQUIRES: covered.
  const std::string& root_of(const std::string& path) const;
  bool same_owner(const ports::CheckpointFile& file, const struct stat& now) const;

  const ports::CheckpointContents& contents;
  ContentSource& objects;
  const CheckpointLimits limits;
  const std::vector<std::string> only;
  const bool dry;
  const bool root_user;
  std::map<std::string, const ports::CheckpointFile*> known;  // By path.
  bool touched = false;                                       // Something was changed.
  std::set<std::string> made;                                 // Folders.
  std::set<std::string> dirty;  // Folders with names added or removed.
  ports::RestoreReport report;
};

// Owner, mode and time of an open file or folder, in that order: changing the owner clears setuid
// bits.
Done dress(const RestoreWork& work, int fd, const ports::CheckpointFile& file);

}  // namespace recover::adapters::checkpoint
