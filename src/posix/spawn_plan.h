// How a child of posix_spawn begins: its streams, no other descriptor, no signal blocked or
// ignored. What a library of ours blocked or opened without care never reaches it.
#pragma once

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

#include <string>
#include <vector>

namespace recover::posix {

struct ChildStreams {
  int input = -1;  // -1: nothing to read.
  int output = -1;
  int errors = -1;
};

class SpawnPlan {
 public:
  // In `folder`, or ours when it is empty. `own_group`: it leads a process group.
  SpawnPlan(ChildStreams streams, const std::string& folder, bool own_group) {
    ::posix_spawn_file_actions_init(&files_);
    if (!folder.empty()) ::posix_spawn_file_actions_addchdir_np(&files_, folder.c_str());
    if (streams.input < 0) {
      ::posix_spawn_file_actions_addopen(&files_, 0, "/dev/null", O_RDONLY, 0);
    } else {
      ::posix_spawn_file_actions_adddup2(&files_, streams.input, 0);
    }
    ::posix_spawn_file_actions_adddup2(&files_, streams.output, 1);
    ::posix_spawn_file_actions_adddup2(&files_, streams.errors, 2);
    ::posix_spawn_file_actions_addclosefrom_np(&files_, 3);
    ::posix_spawnattr_init(&attributes_);
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    ::posix_spawnattr_setsigmask(&attributes_, &none);
    ::posix_spawnattr_setsigdefault(&attributes_, &all);
    int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    if (own_group) {
      ::posix_spawnattr_setpgroup(&attributes_, 0);
      flags |= POSIX_SPAWN_SETPGROUP;
    }
    ::posix_spawnattr_setflags(&attributes_, static_cast<short>(flags));
  }
  SpawnPlan(const SpawnPlan&) = delete;
  SpawnPlan& operator=(const SpawnPlan&) = delete;
  ~SpawnPlan() {
    ::posix_spawnattr_destroy(&attributes_);
    ::posix_spawn_file_actions_destroy(&files_);
  }

  // Looks for a `program` without a slash in PATH. Returns 0, with the child's `pid`, or errno.
  int spawn(pid_t& pid, const std::string& program, std::vector<std::string> words,
            std::vector<std::string> variables) const {
    return ::posix_spawnp(&pid, program.c_str(), &files_, &attributes_, pointers(words).data(),
                          pointers(variables).data());
  }

 private:
  static std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> result;
    for (std::string& text : texts) result.push_back(text.data());
    result.push_back(nullptr);
    return result;
  }

  posix_spawn_file_actions_t files_{};
  posix_spawnattr_t attributes_{};
};

}  // namespace recover::posix
