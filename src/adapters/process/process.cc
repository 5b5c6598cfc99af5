#include "adapters/process/process.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <utility>

#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

// linux/pidfd.h of kernel 6.15 and later, which Debian 12's headers lack.
struct PidfdInfo {
  std::uint64_t mask = 0;
  std::uint64_t cgroup_id = 0;
  std::array<std::uint32_t, 11> ids{};
  std::int32_t exit_code = 0;  // As wait(2) reports it.
};
static_assert(sizeof(PidfdInfo) == 64);
constexpr std::uint64_t kPidfdInfoExit = 1U << 3U;
constexpr unsigned long kPidfdGetInfo = _IOWR(0xFF, 11, PidfdInfo);

siginfo_t wait_for(int pidfd, int options, int& error) noexcept {
  siginfo_t info{};
  error = ::waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, options) == 0 ? 0 : errno;
  return info;
}

std::optional<ExitStatus> kernel_memory(int pidfd) noexcept {
  PidfdInfo info{.mask = kPidfdInfoExit};
  if (::ioctl(pidfd, kPidfdGetInfo, &info) != 0) return std::nullopt;
  if ((info.mask & kPidfdInfoExit) == 0) return std::nullopt;
  if (WIFSIGNALED(info.exit_code)) return ExitStatus{.signal = WTERMSIG(info.exit_code)};
  return ExitStatus{.code = WEXITSTATUS(info.exit_code)};
}

}  // namespace

Descriptor open_pidfd(pid_t pid) noexcept {
  return Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
}

bool signal_pidfd(int pidfd, int number) noexcept {
  return ::syscall(SYS_pidfd_send_signal, pidfd, number, nullptr, 0) == 0;
}

Process Process::of_child(pid_t pid, Descriptor pidfd, std::uint64_t start_time) {
  Process process;
  const auto stat = start_time != 0 ? std::nullopt : read_stat(pid);
  process.incarnation_ = {.pid = pid, .start_time = stat ? stat->start_time : start_time};
  process.pidfd_ = std::move(pidfd);
  return process;
}

Result<Process, std::string> Process::open(core::Incarnation incarnation) {
  const auto pid = static_cast<pid_t>(incarnation.pid);
  Process process;
  process.incarnation_ = incarnation;
  if (pid > 0) process.pidfd_ = open_pidfd(pid);
  // The start time is read after the pidfd was opened: if it fits, the pidfd is of that
  // incarnation.
  const auto stat = process.pidfd_ ? read_stat(pid) : std::nullopt;
  if (!stat) return Unexpected(std::string("no such process"));
  if (stat->start_time != incarnation.start_time) {
    return Unexpected(std::string("the pid is another process's now"));
  }
  if (stat->state == 'Z') return Unexpected(std::string("it has ended"));
  return process;
}

bool Process::signal(int number) const noexcept {
  return pidfd_ && signal_pidfd(pidfd_.get(), number);
}

bool Process::ended() const noexcept {
  if (!pidfd_) return true;
  pollfd ready{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
  return ::poll(&ready, 1, 0) == 1;
}

std::optional<ExitStatus> Process::exit_status() const noexcept {
  if (!pidfd_) return std::nullopt;
  int error = 0;
  const siginfo_t info = wait_for(pidfd_.get(), WEXITED | WNOHANG | WNOWAIT, error);
  if (error != 0) return kernel_memory(pidfd_.get());
  if (info.si_pid == 0) return std::nullopt;
  if (info.si_code == CLD_EXITED) return ExitStatus{.code = info.si_status};
  return ExitStatus{.signal = info.si_status};
}

bool Process::is_child() const noexcept {
  int error = 0;
  wait_for(pidfd_.get(), WEXITED | WNOHANG | WNOWAIT, error);
  return error == 0;
}

void Process::collect() const noexcept {
  int error = 0;
  if (pidfd_) wait_for(pidfd_.get(), WEXITED | WNOHANG, error);
}

}  // namespace recover::adapters::process
