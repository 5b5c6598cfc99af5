// What an earlier engine left running: the rows of its table, each with the process it names.
//
// Looked up on a thread of its own while the journal is read, for it is five system calls a
// service. Touches nothing it finds. Whoever ends after it was looked up is noticed by its pidfd;
// who ended before, by his not being there.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "adapters/process/descriptor.h"
#include "adapters/process/process.h"
#include "adapters/process/runtime_table.h"

namespace recover::adapters::process {

class KeeperLink;

struct LeftRunning {
  RuntimeRow row;
  std::optional<Process> process;  // None: it has ended, or never had one.
  bool has_leaf = false;           // The row's cgroup exists.
};

// The keeper has the table in memory under it while the disk refuses it.
inline constexpr const char* kTableLabel = "process-table";

std::string table_path(const std::string& state_dir);

class Adoption {
 public:
  // Begins to look. `keeper` is not needed any more once this returns. `before` looked elsewhere;
  // null: nobody did.
  Adoption(const std::string& state_dir, KeeperLink& keeper, Adoption* before = nullptr);
  // The same before anybody knows the state folder: where the engine before had its table, by the
  // keeper's word (remember()). Null: it knows nothing.
  static std::unique_ptr<Adoption> begin(KeeperLink& keeper);
  // Leaves the keeper the folder of the table.
  static void remember(const std::string& state_dir, KeeperLink& keeper);
  // It looks at the table of that state folder.
  bool is_of(const std::string& state_dir) const;
  Adoption(const Adoption&) = delete;
  Adoption& operator=(const Adoption&) = delete;
  ~Adoption();

  struct Found {
    std::vector<LeftRunning> left;
    bool in_memory = false;  // The table was with the keeper: the disk had refused it.
  };
  // Waits for the end of it. Once.
  Found take();

 private:
  Adoption(Descriptor folder, KeeperLink& keeper);
  void look();

  Descriptor folder_;  // Of the table.
  RuntimeTable table_;
  Descriptor memory_;
  std::vector<LeftRunning> left_;
  std::thread thread_;  // Joined before left_ is read.
};

}  // namespace recover::adapters::process
