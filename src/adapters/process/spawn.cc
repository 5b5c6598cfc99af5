#include "adapters/process/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <iterator>
#include <map>
#include <system_error>

#include "adapters/process/account.h"
#include "adapters/process/clone.h"
#include "adapters/process/mounts.h"
#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr rlim_t kSoftFiles = 1024;  // More breaks programs that use select(2).
constexpr int kNotExecuted = 127;

constexpr std::size_t kRecordMax = 8'192;  // Bytes of a line.

enum class Stage : std::uint32_t { Session, Files, Limits, Groups, User, Folder, Record, Exec };

// What the child tells when it cannot go on. Success tells nothing: exec closes the socket.
struct Report {
  Stage stage = Stage::Session;
  int error = 0;
};
// What a suspended clone leaves in our memory instead.
struct Note {
  bool failed = false;
  Report report;
};

// Everything the child needs, prepared before the clone: it must not allocate, lock or throw.
struct Plan {
  std::string program;
  std::string folder;
  std::vector<std::string> environment;
  std::vector<char*> argv;
  std::vector<char*> envp;
  Account account;
  bool switch_user = false;
  rlimit files{};
  mode_t umask = 022;
  int input = -1;
  int output = -1;
  const ProcessRecord* record = nullptr;
  pid_t parent = 0;
  int join = -1;         // cgroup.procs of the leaf; -1: it is in it already.
  Note* note = nullptr;  // Of a suspended clone; a forked one sends it:
  int parent_end = -1;
  int child_end = -1;
};

[[noreturn]] void give_up(const Plan& plan, Stage stage) noexcept {
  const Report report{.stage = stage, .error = errno};
  if (plan.note != nullptr) {
    *plan.note = {.failed = true, .report = report};
    ::_exit(kNotExecuted);
  }
  ::send(plan.child_end, &report, sizeof report, MSG_NOSIGNAL);
  ::_exit(kNotExecuted);
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
  if (::syscall(SYS_setgroups, account.groups.size(), account.groups.data()) != 0 ||
      ::syscall(SYS_setresgid, account.gid, account.gid, account.gid) != 0) {
    give_up(plan, Stage::Groups);
  }
  if (::syscall(SYS_setresuid, account.uid, account.uid, account.uid) != 0) {
    give_up(plan, Stage::User);
  }
}

void take_files(const Plan& plan) noexcept {
  if (::dup2(plan.input, 0) < 0 || ::dup2(plan.output, 1) < 0 || ::dup2(plan.output, 2) < 0 ||
      ::syscall(SYS_close_range, 3U, ~0U, CLOSE_RANGE_CLOEXEC) != 0) {
    give_up(plan, Stage::Files);
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

// Whoever starts us may die at any moment. From here to the record we die with them; before the
// record nobody would know of us, after it the next engine finds us. So nothing runs unknown.
void record_self(const Plan& plan) noexcept {
  if (plan.record->fd < 0) return;
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up(plan, Stage::Record);
  if (::getppid() != plan.parent) ::_exit(kNotExecuted);
  const pid_t pid = ::getpid();
  const auto stat = read_stat(pid);
  if (!stat) give_up(plan, Stage::Record);
  RecordLine line;
  line.add(plan.record->before);
  line.add(static_cast<std::uint64_t>(pid));
  line.add("\t");
  line.add(stat->start_time);
  line.add(plan.record->after);
  if (!line.append_to(plan.record->fd)) give_up(plan, Stage::Record);
  ::prctl(PR_SET_PDEATHSIG, 0);
}

[[noreturn]] void run_child(const Plan& plan) noexcept {
  if (plan.parent_end >= 0) ::close(plan.parent_end);
  reset_signals();
  if (::setsid() < 0) give_up(plan, Stage::Session);
  take_files(plan);
  ::umask(plan.umask);
  if (plan.switch_user) become_user(plan);
  if (::chdir(plan.folder.c_str()) != 0) give_up(plan, Stage::Folder);
  if (plan.join >= 0) [[maybe_unused]]
    const ssize_t joined = ::write(plan.join, "0", 1);
  record_self(plan);
  // Last: until the exec the descriptors of all services are ours too, beyond any usual limit.
  if (::setrlimit(RLIMIT_NOFILE, &plan.files) != 0) give_up(plan, Stage::Limits);
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  ::execve(plan.program.c_str(), plan.argv.data(), plan.envp.data());
  give_up(plan, Stage::Exec);
}

SpawnError failed(const std::string& what, int error) {
  return {.message = what + ": " + std::generic_category().message(error)};
}

SpawnError explain(const Plan& plan, Report report) {
  switch (report.stage) {
    case Stage::Session: return failed("new session", report.error);
    case Stage::Files: return failed("redirect output", report.error);
    case Stage::Limits: return failed("limit of open files", report.error);
    case Stage::Groups: return failed("groups of " + plan.account.name, report.error);
    case Stage::User: return failed("become user " + plan.account.name, report.error);
    case Stage::Folder: return failed("working directory " + plan.folder, report.error);
    case Stage::Record: {
      SpawnError error = failed("record the process", report.error);
      error.unrecorded = true;
      return error;
    }
    case Stage::Exec: return failed("exec " + plan.program, report.error);
  }
  return failed("start", report.error);
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  // execve(2) takes char* for the sake of old programs and changes nothing.
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

rlimit files_limit(std::optional<std::uint32_t> files) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (files) return {.rlim_cur = *files, .rlim_max = std::max<rlim_t>(*files, limit.rlim_max)};
  limit.rlim_cur = std::min(kSoftFiles, limit.rlim_max);
  return limit;
}

std::map<std::string, std::string> environment_of(const SpawnRequest& request,
                                                  const Account& account) {
  std::map<std::string, std::string> all{{"PATH", kDefaultPath}};
  if (!request.user.empty()) {
    all["HOME"] = account.home;
    all["USER"] = all["LOGNAME"] = account.name;
    all["SHELL"] = account.shell;
  }
  for (const auto& [name, value] : request.environment) all[name] = value;
  return all;
}

Result<Plan, SpawnError> plan_of(const SpawnRequest& request) {
  if (request.command.empty()) return Unexpected(SpawnError{.message = "the command is empty"});
  Plan plan;
  plan.switch_user = !request.user.empty() || !request.group.empty();
  if (plan.switch_user) {  // To look somebody up takes longer than to start a program.
    auto account = find_account(request.user, request.group);
    if (!account) return Unexpected(SpawnError{.message = account.error()});
    plan.account = std::move(account).value();
  }
  const auto environment = environment_of(request, plan.account);
  const auto program = find_program(request.command[0], environment.at("PATH"));
  if (!program) {
    return Unexpected(SpawnError{.message = "exec " + request.command[0] + ": not found in PATH"});
  }
  plan.program = *program;
  plan.folder = request.working_directory.empty() ? "/" : request.working_directory;
  for (const auto& [name, value] : environment) plan.environment.push_back(name + "=" + value);
  plan.files = files_limit(request.files);
  plan.umask = request.umask;
  return plan;
}

// Never 0, 1 or 2, which the child overwrites.
Descriptor lifted(Descriptor fd) {
  if (!fd || fd.get() > 2) return fd;
  return Descriptor(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 3));
}

struct Channel {
  Descriptor parent;
  Descriptor child;
};

std::optional<Channel> open_channel() {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return std::nullopt;
  }
  return Channel{.parent = lifted(Descriptor(ends[0])), .child = lifted(Descriptor(ends[1]))};
}

// All signals stay blocked from before the clone until the child has reset its handlers.
class BlockedSignals {
 public:
  BlockedSignals() noexcept {
    sigset_t all;
    ::sigfillset(&all);
    ::pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  BlockedSignals(const BlockedSignals&) = delete;
  BlockedSignals& operator=(const BlockedSignals&) = delete;
  ~BlockedSignals() { ::pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_{};
};

void run_suspended(void* plan) noexcept {
  run_child(*static_cast<const Plan*>(plan));
}

Cloned clone_once(Plan& plan, int cgroup) noexcept {
  if (plan.note != nullptr) return suspend_for(cgroup, run_suspended, &plan);
  const Cloned cloned = fork_process(cgroup);
  if (cloned.pid == 0) run_child(plan);
  return cloned;
}

Result<Spawned, SpawnError> clone_child(Plan& plan, const CgroupLeaf& leaf) {
  const Descriptor folder(leaf ? ::open(leaf.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                               : -1);
  const BlockedSignals blocked;
  bool in_leaf = static_cast<bool>(folder);
  Cloned cloned = clone_once(plan, folder.get());
  Descriptor procs;
  if (cloned.pid < 0 && in_leaf) {
    in_leaf = false;
    procs.reset(::open((leaf.path() + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
    plan.join = procs.get();
    cloned = clone_once(plan, -1);
  }
  if (cloned.pid < 0) return Unexpected(failed("fork", errno));
  Spawned spawned{.process = Process::of_child(cloned.pid, Descriptor(cloned.pidfd))};
  spawned.in_leaf = in_leaf || (leaf && leaf.add(cloned.pid));
  return spawned;
}

// None: it runs the program.
std::optional<Report> await_exec(const Plan& plan) {
  if (plan.note != nullptr) {
    return plan.note->failed ? std::optional(plan.note->report) : std::nullopt;
  }
  pollfd ready{.fd = plan.parent_end, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, kExecWaitMillis) != 1) return std::nullopt;
  Report report;
  const ssize_t size = ::recv(plan.parent_end, &report, sizeof report, MSG_DONTWAIT);
  return size == static_cast<ssize_t>(sizeof report) ? std::optional(report) : std::nullopt;
}

// While we wait for a clone that shares our memory, nothing else happens.
bool may_suspend(const Plan& plan) {
  static Mounts mounts;
  return can_suspend() && !mounts.may_hang(plan.program) && !mounts.may_hang(plan.folder);
}

void abandon(const Process& child) {
  child.signal(SIGKILL);
  pollfd ended{.fd = child.pidfd(), .events = POLLIN, .revents = 0};
  ::poll(&ended, 1, kExecWaitMillis);
  child.collect();
}

}  // namespace

std::optional<std::string> find_program(const std::string& name, const std::string& path) {
  if (name.find('/') != std::string::npos) return name;
  for (std::size_t at = 0; at <= path.size();) {
    const auto end = std::min(path.find(':', at), path.size());
    std::string candidate = path.substr(at, end - at) + "/" + name;
    struct stat file {};
    constexpr mode_t kExecutable = S_IXUSR | S_IXGRP | S_IXOTH;
    if (::stat(candidate.c_str(), &file) == 0 && S_ISREG(file.st_mode) &&
        (file.st_mode & kExecutable) != 0) {
      return candidate;
    }
    at = end + 1;
  }
  return std::nullopt;
}

Result<Spawned, SpawnError> spawn(const SpawnRequest& request) {
  auto planned = plan_of(request);
  if (!planned) return Unexpected(planned.error());
  Plan plan = std::move(planned).value();
  Note note;
  std::optional<Channel> channel;
  if (may_suspend(plan)) {
    plan.note = &note;
  } else {
    channel = open_channel();
    if (!channel) return Unexpected(failed("descriptors", errno));
    plan.parent_end = channel->parent.get();
    plan.child_end = channel->child.get();
  }
  const Descriptor input = lifted(Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)));
  const Descriptor output = lifted(Descriptor(::fcntl(request.output, F_DUPFD_CLOEXEC, 3)));
  if (!input || !output) return Unexpected(failed("descriptors", errno));
  plan.argv = pointers(request.command);
  plan.envp = pointers(plan.environment);
  plan.input = input.get();
  plan.output = output.get();
  plan.record = &request.record;
  plan.parent = ::getpid();

  auto spawned = clone_child(plan, request.leaf);
  if (!spawned) return spawned;
  if (channel) channel->child.reset();
  if (const auto report = await_exec(plan)) {
    abandon(spawned->process);
    return Unexpected(explain(plan, *report));
  }
  return spawned;
}

}  // namespace recover::adapters::process
