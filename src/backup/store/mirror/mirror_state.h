// What is known of the members of a mirror, kept in a file beside no repository: which of them may
// lack something, and what they were not told to remove.
//
// Kept by all processes that use the mirror: each change reads the file, changes it and replaces
// it, under a lock. A process that ends without saying so leaves every member but the first in
// doubt.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "backup/store/store.h"

namespace recover::backup {

inline constexpr std::string_view kNotCompared = "not compared yet";

struct MemberRecord {
  bool behind = true;             // It may lack files that another has.
  bool held = false;              // It once had all of a repository.
  std::string why{kNotCompared};  // For people.
  std::int64_t since = 0;         // Unix seconds.
  std::vector<FileName> missed_removals =
      {};  // At most kMissedRemovalsMax; more stay where they are.

  static constexpr std::size_t kMissedRemovalsMax = 100'000;
};

struct MirrorRecord {
  std::map<std::string, MemberRecord> members;
  std::vector<std::string> writers;  // Processes that write: "pid start-time".
};

class MirrorState {
 public:
  // An empty path: nothing outlives the process.
  explicit MirrorState(std::string path) : path_(std::move(path)) {}

  // What is known now. A file that is not there or cannot be read knows nothing.
  MirrorRecord load();
  // Changes it. Thread-safe.
  Outcome<void> change(const std::function<void(MirrorRecord&)>& how);
  // This process begins or ends to write.
  Outcome<void> begin_writing();
  void end_writing();
  // Whether a process that wrote is gone without having ended.
  static bool has_dead_writer(const MirrorRecord& record);
  static void forget_dead_writers(MirrorRecord& record);

 private:
  MirrorRecord read_file() const;
  Outcome<void> write_file(const MirrorRecord& record) const;

  std::string path_;
  std::mutex mutex_;
  MirrorRecord here_;  // With an empty path.
};

}  // namespace recover::backup
