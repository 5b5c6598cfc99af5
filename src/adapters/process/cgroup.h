// cgroup v2: a folder for our services below our own cgroup, and a leaf for each instance.
//
// Works with whatever the host allows: no cgroup v2, a read-only mount or missing controllers make
// it do less, never fail a start. Only folders it made itself are killed or removed.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "core/policy.h"

namespace recover::adapters::process {

// The cgroup of one instance. A value: the path; empty: none.
class CgroupLeaf {
 public:
  CgroupLeaf() = default;
  explicit CgroupLeaf(std::string path) : path_(std::move(path)) {}

  explicit operator bool() const noexcept { return !path_.empty(); }
  const std::string& path() const noexcept { return path_; }

  bool exists() const noexcept;
  std::vector<pid_t> members() const;
  bool populated() const;
  // KILL to everything in it, atomically (cgroup.kill, Linux 5.14). False: not possible.
  bool kill() const noexcept;
  // All of its processes stand still, or go on.
  bool freeze(bool still) const noexcept;
  bool add(pid_t pid) const noexcept;
  // Returns the limits that could not be set ("memory", "cpu", "pids").
  std::vector<std::string> limit(const core::LimitPolicy& limits) const;
  void remove() const noexcept;

 private:
  std::string path_;
};

// The folder all leaves are in: <own cgroup>/recoverd.services/<owner>. `owner` keeps two daemons
// in one cgroup apart.
class CgroupFolder {
 public:
  // None: no writable cgroup v2 here.
  static std::optional<CgroupFolder> open(std::string_view owner);

  const std::string& path() const noexcept { return path_; }
  // Makes the leaf; an existing one is taken over. None: not possible.
  std::optional<CgroupLeaf> leaf(std::string_view name) const;
  // Removes the folders that are empty.
  void remove() const noexcept;

 private:
  explicit CgroupFolder(std::string path) : path_(std::move(path)) {}
  std::string path_;
};

// Those of the paths that exist, as few listings of folders.
std::unordered_set<std::string> existing_leaves(const std::vector<std::string_view>& paths);
// The cgroup v2 path in a text like /proc/<pid>/cgroup: the line "0::/…".
std::string unified_path(std::string_view proc_cgroup);
// Where cgroup v2 is mounted, from a text like /proc/self/mountinfo; empty: nowhere.
std::string unified_mount(std::string_view mountinfo);

}  // namespace recover::adapters::process
