#include "adapters/process/clone.h"

#include <linux/sched.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>

// The library offers no clone3 that shares memory: its child returns into our frames. The child
// gets a stack of its own, and where we know no way to do that, it is forked.
#if defined(__x86_64__) && !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#define RECOVER_CAN_SUSPEND 1
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#undef RECOVER_CAN_SUSPEND
#endif
#endif

namespace recover::adapters::process {
namespace {

clone_args arguments_for(Cloned& cloned, int cgroup) noexcept {
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&cloned.pidfd);
  arguments.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  return arguments;
}

#if defined(RECOVER_CAN_SUSPEND)

constexpr std::size_t kStackBytes = 256U << 10U;  // What is not used costs nothing.

// Kept for the next time. Null: no memory.
void* child_stack() noexcept {
  static void* const stack = [] {
    void* const made = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
    return made == MAP_FAILED ? nullptr : made;
  }();
  return stack;
}

// The child begins on the new stack with every register as it was, so it can call what is in them.
long clone_onto_stack(clone_args& arguments, void (*child)(void*), void* argument) noexcept {
  long result = SYS_clone3;
  asm volatile(
      "syscall\n\t"
      "testq %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "movq %[argument], %%rdi\n\t"
      "callq *%[child]\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&arguments), "S"(sizeof arguments), [child] "r"(child), [argument] "r"(argument)
      : "rcx", "r11", "memory");
  return result;
}

#endif

}  // namespace

Cloned fork_process(int cgroup) noexcept {
  Cloned cloned;
  clone_args arguments = arguments_for(cloned, cgroup);
  cloned.pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  return cloned;
}

Cloned fork_in_old_way() noexcept {
  Cloned cloned;
  cloned.pid =
      static_cast<pid_t>(::syscall(SYS_clone, static_cast<unsigned long>(CLONE_PIDFD | SIGCHLD),
                                   nullptr, &cloned.pidfd, nullptr, nullptr));
  return cloned;
}

#if defined(RECOVER_CAN_SUSPEND)

bool can_suspend() noexcept {
  return child_stack() != nullptr;
}

Cloned suspend_for(int cgroup, bool shares_files, void (*child)(void*), void* argument) noexcept {
  Cloned cloned;
  clone_args arguments = arguments_for(cloned, cgroup);
  arguments.flags |= CLONE_VM | CLONE_VFORK;
  if (shares_files) arguments.flags |= CLONE_FILES;
  arguments.stack = reinterpret_cast<std::uintptr_t>(child_stack());
  arguments.stack_size = kStackBytes;
  const long result = clone_onto_stack(arguments, child, argument);
  if (result < 0) errno = static_cast<int>(-result);
  cloned.pid = result < 0 ? -1 : static_cast<pid_t>(result);
  return cloned;
}

#else

bool can_suspend() noexcept {
  return false;
}
Cloned suspend_for(int /*cgroup*/, bool /*shares_files*/, void (* /*child*/)(void*),
                   void* /*argument*/) noexcept {
  errno = ENOSYS;
  return {};
}

#endif

}  // namespace recover::adapters::process
