// Everything that came out of one instance's process: found, signalled and killed as a whole.
//
// With a cgroup leaf that is exact. Without, a process belongs when it is in the leader's session
// or carries the instance's token in its environment; one that left both is not found. A process is
// signalled only through a pidfd opened before it was (re)checked.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "adapters/process/cgroup.h"
#include "core/event.h"

namespace recover::adapters::process {

// Environment variable that holds the token in every process of an instance.
inline constexpr std::string_view kTokenVariable = "RECOVERD_INSTANCE";

struct ProcessTree {
  CgroupLeaf leaf;           // Empty: none.
  core::Incarnation leader;  // It made the session, whose number is its pid.
  std::string token;         // Value of kTokenVariable, unique for each start.

  bool owns(pid_t pid) const;
  // Running ones; ended and not yet collected ones do not count.
  std::vector<pid_t> members() const;
  bool empty() const;
  void signal(int number) const;
  void kill() const;
  // All of it stands still, or goes on.
  void freeze(bool still) const;

 private:
  bool in_session(pid_t session) const;
};

}  // namespace recover::adapters::process
