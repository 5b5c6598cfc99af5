// A process as one value: pid, pidfd and start time.
//
// Invariant: the pidfd was opened on exactly this incarnation, so a reused pid is never signalled,
// waited for or mistaken. Refuses bare pids.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

#include <recover/result.h>

#include "adapters/process/descriptor.h"
#include "core/event.h"

namespace recover::adapters::process {

struct ExitStatus {
  int code = -1;   // -1: ended by a signal, or unknown.
  int signal = 0;  // 0: none.
  friend bool operator==(ExitStatus, ExitStatus) = default;
};

class Process {
 public:
  Process() = default;
  // Of a child just cloned, with the pidfd the kernel gave. `start_time` 0: to be looked up.
  static Process of_child(pid_t pid, Descriptor pidfd, std::uint64_t start_time);
  // The running process of that pid, if it is that incarnation and has not ended. Error: why not.
  static Result<Process, std::string> open(core::Incarnation incarnation);

  explicit operator bool() const noexcept { return static_cast<bool>(pidfd_); }
  pid_t pid() const noexcept { return static_cast<pid_t>(incarnation_.pid); }
  core::Incarnation incarnation() const noexcept { return incarnation_; }
  // Readable once the process has ended.
  int pidfd() const noexcept { return pidfd_.get(); }

  // False: it has ended, or we may not.
  bool signal(int number) const noexcept;
  bool ended() const noexcept;
  // How it ended, without collecting it when it is our child; none: it runs, or the kernel cannot
  // tell us (not our child and the kernel is older than 6.15, or its parent has not collected it).
  std::optional<ExitStatus> exit_status() const noexcept;
  // Our child? Only children can be collected.
  bool is_child() const noexcept;
  // Collects an ended child; nothing happens otherwise.
  void collect() const noexcept;

 private:
  core::Incarnation incarnation_;
  Descriptor pidfd_;
};

// A pidfd of whatever has this pid now; for checking it afterwards. Empty when there is none.
Descriptor open_pidfd(pid_t pid) noexcept;
bool signal_pidfd(int pidfd, int number) noexcept;

}  // namespace recover::adapters::process
