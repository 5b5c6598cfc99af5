// The durable list of running instances: <state_dir>/run/processes, read by the next engine.
//
// Text. Line 1: "recoverd-processes 1 <boot id>". Then one line an instance, tab-separated:
//   service  instance(from 0)  pid  start_time(ticks since boot)  token  output_inode  flags cgroup
// output_inode: with "+" and that of stderr's pipe behind it, where that is another one.
// flags: letters of "r" (ready), "s" (being stopped), "d" (a oneshot that is done) and "x" (gone),
// or "-". cgroup: path or "-". Of an instance with several lines the last one counts: a change
// appends one line, and a new process appends its own before it executes. Now and then replaced as
// a whole by rename(2). Not flushed to the disk: it must survive our death, not the machine's, for
// after a boot none of its processes is left; a table of another boot counts as empty.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

#include "adapters/process/descriptor.h"
#include "adapters/process/spawn.h"
#include "core/event.h"

namespace recover::adapters::process {

struct RuntimeRow {
  std::string service;
  std::uint32_t instance = 0;
  core::Incarnation incarnation;
  std::string token;
  std::uint64_t output_inode = 0;  // Of the pipe behind stdout; 0: unknown.
  std::uint64_t error_inode = 0;   // Of the pipe behind stderr; 0: the same, or unknown.
  bool ready = false;
  bool stopping = false;
  bool completed = false;  // A oneshot whose process has ended with 0.
  std::string cgroup;
  friend bool operator==(const RuntimeRow&, const RuntimeRow&) = default;
};

inline constexpr std::size_t kRuntimeRowsMax = 4096;

class RuntimeTable {
 public:
  // Touches nothing. `boot_id`: of this boot.
  RuntimeTable(std::string path, std::string boot_id);

  // In the order of service and instance. Lines that make no sense are skipped.
  std::vector<RuntimeRow> load() const;
  // Makes the folder. Error: with the path and the system's reason.
  Result<void, std::string> save(const std::vector<RuntimeRow>& rows);
  // Adds the row as it is now; `gone`: it is not there any more. False: that failed, save() all.
  bool append(const RuntimeRow& row, bool gone);
  // For a process that is about to start; the row's own pid is not looked at.
  ProcessRecord record_of(const RuntimeRow& row) const;
  // The lines become so many that all should be saved, of so many instances.
  bool is_long(std::size_t instances) const noexcept;
  // The same on a nameless file in memory, for the keeper; empty when that fails, too.
  // From now on records go there; until the next save().
  Descriptor in_memory(const std::vector<RuntimeRow>& rows);
  std::vector<RuntimeRow> load_memory(const Descriptor& memory) const;

  static std::string format(const std::vector<RuntimeRow>& rows, std::string_view boot_id);
  static std::vector<RuntimeRow> parse(std::string_view text, std::string_view boot_id);

 private:
  std::string path_;
  std::string boot_id_;
  Descriptor file_;  // Where lines are appended.
  std::size_t appended_ = 0;
};

}  // namespace recover::adapters::process
