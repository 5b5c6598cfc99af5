#include "adapters/process/child.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <string_view>

#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr int kNotExecuted = 127;
constexpr std::size_t kRecordMax = 8'192;  // Bytes of a line.

[[noreturn]] void give_up(const Plan& plan, const Report& report) noexcept {
  if (plan.note != nullptr) {
    *plan.note = {.failed = true, .report = report, .start_time = 0};
  } else {
    ::send(plan.child_end, &report, sizeof report, MSG_NOSIGNAL);
  }
  ::_exit(kNotExecuted);
}

[[noreturn]] void give_up(const Plan& plan, Stage stage) noexcept {
  give_up(plan, Report{.stage = stage, .error = errno, .attribute = {}});
}

void give_up_on(const Plan& plan, StepFailure failure) noexcept {
  if (failure.step == Step::None) return;
  give_up(plan, Report{.stage = Stage::Attribute, .error = failure.error, .attribute = failure});
}

// By the system call: the library refuses the two signals it keeps to itself, which whoever started
// us may have ignored.
void reset_signals() noexcept {
  struct KernelAction {  // As rt_sigaction(2) wants it; all zero is SIG_DFL.
    void (*handler)(int) = nullptr;
    unsigned long flags = 0;
    void (*restorer)() = nullptr;
    unsigned long mask = 0;
  };
  const KernelAction none;
  for (int number = 1; number < NSIG; ++number) {
    ::syscall(SYS_rt_sigaction, number, &none, nullptr, sizeof none.mask);
  }
}

// Raw system calls: the library's versions would talk to threads that do not exist in the child.
void become_user(const Plan& plan) noexcept {
  const Account& account = plan.account;
  // So that the service may open /dev/stdout; without is no reason to fail.
  if (::fchown(plan.output, account.uid, account.gid) != 0) errno = 0;
  if (plan.error >= 0 && ::fchown(plan.error, account.uid, account.gid) != 0) errno = 0;
  if (::syscall(SYS_setgroups, account.groups.size(), account.groups.data()) != 0 ||
      ::syscall(SYS_setresgid, account.gid, account.gid, account.gid) != 0) {
    give_up(plan, Stage::Groups);
  }
  if (::syscall(SYS_setresuid, account.uid, account.uid, account.uid) != 0) {
    give_up(plan, Stage::User);
  }
}

// First: what is done to descriptors before it is done to the parent's. The kernel copies only the
// part of the table that is kept.
void leave_parents_files(const Plan& plan) noexcept {
  if (plan.keep_below <= 0) return;
  if (::syscall(SYS_close_range, plan.keep_below, ~0U, CLOSE_RANGE_UNSHARE) != 0) {
    give_up(plan, Stage::Files);
  }
}

void take_files(const Plan& plan) noexcept {
  const int error = plan.error >= 0 ? plan.error : plan.output;
  if (::dup2(plan.input, 0) < 0 || ::dup2(plan.output, 1) < 0 || ::dup2(error, 2) < 0 ||
      ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    give_up(plan, Stage::Files);
  }
  int next = kFirstPassed;
  for (const int fd : plan.passed) {
    if (::dup2(fd, next++) < 0) give_up(plan, Stage::Files);
  }
  if (plan.numbered && ::dup2(plan.numbered->second, plan.numbered->first) < 0) {
    give_up(plan, Stage::Files);
  }
}

// In place: without a library that might allocate, and without zeros in front (an octal number).
void write_listen_pid(const Plan& plan) noexcept {
  if (plan.listen_pid == nullptr) return;
  std::array<char, kPidDigits> digits{};
  std::size_t count = 0;
  auto left = static_cast<unsigned long>(::syscall(SYS_getpid));
  for (; left > 0 && count < kPidDigits; left /= 10) {
    digits[count++] = static_cast<char>('0' + left % 10);
  }
  for (std::size_t at = 0; at < count; ++at) plan.listen_pid[at] = digits[count - 1 - at];
  plan.listen_pid[count] = '\0';
}

// What a filter may hide: afterwards nothing can be reported.
void look_at_program(const Plan& plan) noexcept {
  if (plan.attributes->filter.empty()) return;
  if (::syscall(SYS_faccessat, AT_FDCWD, plan.program.c_str(), X_OK) != 0) {
    give_up(plan, Stage::Exec);
  }
}

// Fixed room for one line.
class RecordLine {
 public:
  void add(std::string_view text) noexcept {
    fits_ = fits_ && text.size() <= bytes_.size() - size_;
    if (!fits_) return;
    std::copy(text.begin(), text.end(), bytes_.begin() + size_);
    size_ += static_cast<std::uint32_t>(text.size());
  }
  void add(std::uint64_t number) noexcept {
    std::array<char, 20> digits{};
    const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr;
    add(std::string_view(digits.data(), static_cast<std::size_t>(end - digits.data())));
  }
  bool append_to(int fd) const noexcept {
    errno = EMSGSIZE;
    return fits_ && ::write(fd, bytes_.data(), size_) == static_cast<ssize_t>(size_);
  }

 private:
  std::array<char, kRecordMax> bytes_;  // NOLINT: not cleared, for speed.
  std::uint32_t size_ = 0;
  bool fits_ = true;
};

// Almost always the clock says it; else the kernel is asked, which takes twenty times as long. 0:
// it does not say.
std::uint64_t own_start_time(const Plan& plan, pid_t pid) noexcept {
  const std::uint64_t now = start_time_now();
  if (now != 0 && now == plan.before) return now;
  const auto stat = read_stat(pid);
  return stat ? stat->start_time : 0;
}

// Whoever starts us may die at any moment. From here to the record we die with them; before the
// record nobody would know of us, after it the next engine finds us. So nothing runs unknown.
void record_self(const Plan& plan) noexcept {
  if (plan.record_fd < 0) return;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan, Stage::Record);
  if (::getppid() != plan.parent) ::_exit(kNotExecuted);
  const pid_t pid = ::getpid();
  const std::uint64_t start_time = own_start_time(plan, pid);
  if (start_time == 0) give_up(plan, Stage::Record);
  if (plan.note != nullptr) plan.note->start_time = start_time;
  RecordLine line;
  line.add(plan.record->before);
  line.add(static_cast<std::uint64_t>(pid));
  line.add("\t");
  line.add(start_time);
  line.add(plan.record->after);
  if (!line.append_to(plan.record_fd)) give_up(plan, Stage::Record);
  ::prctl(PR_SET_PDEATHSIG, 0);
}

// Raised while we may; lowered when nothing of ours is opened or written any more.
void make_room(const Plan& plan) noexcept {
  rlimit room{};
  if (::getrlimit(RLIMIT_NOFILE, &room) != 0) give_up(plan, Stage::Limits);
  if (plan.files.rlim_max <= room.rlim_max) return;
  room.rlim_max = plan.files.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &room) != 0) give_up(plan, Stage::Limits);
}

}  // namespace

void run_child(const Plan& plan) noexcept {
  if (plan.parent_end >= 0) ::close(plan.parent_end);
  leave_parents_files(plan);
  reset_signals();
  if (::setsid() < 0) give_up(plan, Stage::Session);
  if (plan.join >= 0) [[maybe_unused]]
    const ssize_t joined = ::write(plan.join, "0", 1);
  take_files(plan);
  ::umask(plan.umask);
  make_room(plan);
  give_up_on(plan, apply_attributes(*plan.attributes));
  if (plan.switch_user) become_user(plan);
  give_up_on(plan, apply_rights(*plan.attributes));
  if (::chdir(plan.folder.c_str()) != 0) give_up(plan, Stage::Folder);
  write_listen_pid(plan);
  record_self(plan);
  // Late: until the exec the descriptors of all services are ours too, beyond any usual limit.
  if (::setrlimit(RLIMIT_NOFILE, &plan.files) != 0) give_up(plan, Stage::Limits);
  give_up_on(plan, apply_limits(*plan.attributes));
  look_at_program(plan);
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  give_up_on(plan, apply_filter(*plan.attributes));
  ::execve(plan.program.c_str(), plan.argv.data(), plan.envp.data());
  give_up(plan, Stage::Exec);
}

}  // namespace recover::adapters::process
