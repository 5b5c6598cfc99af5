// The paths a feed follows, as they are called in a backup and as the kernel calls them.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "backup/feed/feed.h"

namespace recover::backup {

struct WatchedPath {
  std::string path;  // As it is called in a backup.
  std::string real;  // The same without links on the way. Its last part is not followed.
  bool is_folder = false;
  dev_t device = 0;
  ino_t inode = 0;
};

class WatchedPaths {
 public:
  // NotFound: one of them is not there.
  static Outcome<WatchedPaths> look(const FeedOptions& options);

  const std::vector<WatchedPath>& all() const noexcept { return paths_; }
  // Whether each is still what it was: false once one, or a folder above it, was moved, removed or
  // hidden by a mount.
  bool are_same() const;
  // Notes a change of what the kernel calls `real`, under each name it has in the backup.
  void note(ChangeNotes& notes, std::string_view real, bool deep) const;
  // Mount points at and below the paths: other text, other mounts.
  std::string mounts() const;

  // The mounts that the paths lie on, and those below them.
  struct Mount {
    std::string point;
    std::string type;
  };
  std::vector<Mount> mounts_below() const;

 private:
  std::vector<WatchedPath> paths_;
  std::function<bool(const std::string&)> ignored_;
  bool one_file_system_ = false;
};

// Whether others change such a file system without this kernel's knowledge.
bool is_remote(std::string_view file_system);
std::string join_path(std::string_view folder, std::string_view name);
bool is_at_or_below(std::string_view path, std::string_view folder);

}  // namespace recover::backup
