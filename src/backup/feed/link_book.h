// Which files below the paths have several names (hard links): a change through one name changes
// what a snapshot must say of the others, and no feed tells of those.
//
// Filled by full walks, kept by the runs in between. Bounded: with more than kNamesMax names it
// remembers none, and every change of such a file is a reason to walk everything.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <set>
#include <string>
#include <utility>

#include "backup/archive/change_set.h"
#include "backup/format/node.h"

namespace recover::backup {

class LinkBook {
 public:
  static constexpr std::size_t kNamesMax = 50'000;

  // A run begins that looks at `changes`.
  void begin(const ChangeSet& changes);
  // The run saw an entry with further names. From any thread.
  void saw(const std::string& path, const Node& node);
  // The run has ended well: what must be looked at besides. Everything, when names are unknown.
  // Of a run that failed it is not called: the next one tells of both.
  ChangeSet finish();

 private:
  using File = std::pair<std::uint64_t, std::uint64_t>;  // Device and inode.
  struct Name {
    File file;
    std::uint64_t links = 0;
    std::uint64_t run = 0;  // The last that saw it.
  };
  struct Names {
    std::set<std::string> paths;
    std::uint64_t outside = 0;  // Names that are not below the paths.
  };

  void forget(const std::string& path, bool deep);
  void erase(std::map<std::string, Name>::iterator name);

  std::mutex mutex_;
  bool full_walk_ = true;
  bool too_many_ = false;
  std::uint64_t run_ = 0;
  std::map<std::string, Name> names_;
  std::map<File, Names> files_;
  std::set<File> touched_;  // Since the last finish().
};

}  // namespace recover::backup
