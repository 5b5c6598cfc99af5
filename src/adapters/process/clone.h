// Makes a process that becomes another program, with a pidfd and in a cgroup from its first moment.
//
// Two ways. A suspended clone shares our memory while we wait for its exec (as vfork does): its
// cost does not grow with ours, and it can leave us a note. A forked one has a copy and runs beside
// us.
#pragma once

#include <sys/types.h>

namespace recover::adapters::process {

struct Cloned {
  pid_t pid = -1;  // 0: this is the child (of a fork only). -1: errno says why.
  int pidfd = -1;
};

// `cgroup`: descriptor of its folder; -1: ours.
Cloned fork_process(int cgroup) noexcept;
// Where clone3 is forbidden, as in old containers; in our cgroup.
Cloned fork_in_old_way() noexcept;

// False: this build cannot (another processor, or a sanitizer that minds).
bool can_suspend() noexcept;
// Runs `child(argument)` in the clone and returns once it executed a program or ended. REQUIRES:
// can_suspend(); every signal is blocked; `child` never returns, takes no lock, allocates nothing
// and needs little stack. One thread at a time.
//
// `shares_files`: nothing of our table of descriptors is copied; `child` must begin with
// close_range(…, CLOSE_RANGE_UNSHARE), or what it does to descriptors it does to ours.
Cloned suspend_for(int cgroup, bool shares_files, void (*child)(void*), void* argument) noexcept;

}  // namespace recover::adapters::process
