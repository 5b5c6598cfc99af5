#include "adapters/process/spawn.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <iterator>
#include <map>
#include <system_error>

#include "adapters/process/account.h"

namespace recover::adapters::process {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr rlim_t kSoftFiles = 1024;  // More breaks programs that use select(2).
constexpr int kNotExecuted = 127;
constexpr int kReportLooksMax = 3;
constexpr int kFirstPassed = 3;     // SD_LISTEN_FDS_START
constexpr int kAboveTargets = 300;  // Descriptors to be given numbers wait above those.
constexpr std::size_t kPidDigits = 10;
constexpr std::string_view kListenPid = "LISTEN_PID=";

enum class Stage : std::uint32_t {
  Session,
  Files,
  Limits,
  Groups,
  User,
  Folder,
  Attribute,
  Exec,
};

// What the child reports when it cannot go on. Success reports nothing: exec closes the socket.
struct Report {
  Stage stage = Stage::Session;
  int error = 0;
  StepFailure attribute;  // Of Stage::Attribute.
};

// Everything the child needs, prepared before the fork: it must not allocate, lock or throw.
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
  int parent_end = -1;
  int child_end = -1;
  const Attributes* attributes = nullptr;
  std::vector<int> passed;                      // Become 3, 4, ….
  std::optional<std::pair<int, int>> numbered;  // The second becomes the first.
  char* listen_pid = nullptr;  // Where in `environment` its digits go; null: nowhere.
};

[[noreturn]] void give_up(const Plan& plan, Stage stage) noexcept {
  const Report report{.stage = stage, .error = errno, .attribute = {}};
  ::send(plan.child_end, &report, sizeof report, MSG_NOSIGNAL);
  ::_exit(kNotExecuted);
}

void give_up_on(const Plan& plan, StepFailure failure) noexcept {
  if (failure.step == Step::None) return;
  const Report report{.stage = Stage::Attribute, .error = failure.error, .attribute = failure};
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

void wait_for_go(const Plan& plan) noexcept {
  char go = 0;
  ssize_t size = 0;
  do {
    size = ::recv(plan.child_end, &go, 1, 0);
  } while (size < 0 && errno == EINTR);
  if (size != 1) ::_exit(kNotExecuted);  // Nobody knows of us: never run.
}

[[noreturn]] void run_child(const Plan& plan) noexcept {
  ::close(plan.parent_end);
  reset_signals();
  if (::setsid() < 0) give_up(plan, Stage::Session);
  take_files(plan);
  ::umask(plan.umask);
  if (::setrlimit(RLIMIT_NOFILE, &plan.files) != 0) give_up(plan, Stage::Limits);
  give_up_on(plan, apply_attributes(*plan.attributes));
  if (plan.switch_user) become_user(plan);
  give_up_on(plan, apply_rights(*plan.attributes));
  if (::chdir(plan.folder.c_str()) != 0) give_up(plan, Stage::Folder);
  write_listen_pid(plan);
  wait_for_go(plan);
  look_at_program(plan);
  sigset_t none;
  ::sigemptyset(&none);
  ::pthread_sigmask(SIG_SETMASK, &none, nullptr);
  give_up_on(plan, apply_filter(*plan.attributes));
  ::execve(plan.program.c_str(), plan.argv.data(), plan.envp.data());
  give_up(plan, Stage::Exec);
}

SpawnError failed(const std::string& what, int error) {
  return {what + ": " + std::generic_category().message(error)};
}

SpawnError explain(const Plan& plan, Report report) {
  switch (report.stage) {
    case Stage::Session: return failed("new session", report.error);
    case Stage::Files: return failed("redirect output", report.error);
    case Stage::Limits: return failed("limit of open files", report.error);
    case Stage::Groups: return failed("groups of " + plan.account.name, report.error);
    case Stage::User: return failed("become user " + plan.account.name, report.error);
    case Stage::Folder: return failed("working directory " + plan.folder, report.error);
    case Stage::Attribute:
      return failed(describe(*plan.attributes, report.attribute), report.error);
    case Stage::Exec: return failed("exec " + plan.program, report.error);
  }
  return failed("start", report.error);
}

// Copies above everything that is overwritten, for the time of the clone. None: errno says why.
std::optional<std::vector<Descriptor>> lift_passed(const SpawnRequest& request, Plan& plan) {
  std::vector<Descriptor> copies;
  const auto lift = [&copies](int fd) {
    copies.emplace_back(::fcntl(fd, F_DUPFD_CLOEXEC, kAboveTargets));
    return copies.back().get();
  };
  for (const auto& [name, fd] : request.passed) plan.passed.push_back(lift(fd));
  if (request.numbered) {
    plan.numbered.emplace(static_cast<int>(request.numbered->first),
                          lift(request.numbered->second));
  }
  const bool whole = std::all_of(copies.begin(), copies.end(),
                                 [](const Descriptor& copy) { return static_cast<bool>(copy); });
  return whole ? std::optional(std::move(copies)) : std::nullopt;
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
  if (request.passed.empty()) return all;
  all["LISTEN_FDS"] = std::to_string(request.passed.size());
  all["LISTEN_PID"] = std::string(kPidDigits, '0');  // The child knows it.
  std::string& names = all["LISTEN_FDNAMES"];
  for (const auto& [name, fd] : request.passed) {
    names += (names.empty() ? "" : ":") + (name.empty() ? std::string("unknown") : name);
  }
  return all;
}

Result<Plan, SpawnError> plan_of(const SpawnRequest& request) {
  if (request.command.empty()) return Unexpected(SpawnError{"the command is empty"});
  auto account = find_account(request.user, request.group, request.supplementary_groups);
  if (!account) return Unexpected(SpawnError{account.error()});
  Plan plan;
  plan.account = std::move(account).value();
  plan.switch_user =
      !request.user.empty() || !request.group.empty() || request.supplementary_groups.has_value();
  plan.attributes = &request.attributes;
  const auto environment = environment_of(request, plan.account);
  const auto program = find_program(request.command[0], environment.at("PATH"));
  if (!program) {
    return Unexpected(SpawnError{"exec " + request.command[0] + ": not found in PATH"});
  }
  plan.program = *program;
  plan.folder = request.working_directory.empty() ? "/" : request.working_directory;
  for (const auto& [name, value] : environment) plan.environment.push_back(name + "=" + value);
  plan.files = files_limit(request.files);
  plan.umask = request.umask;
  return plan;
}

// Never one of those the child overwrites: 0, 1, 2, and what is passed.
Descriptor lifted(Descriptor fd, int least) {
  if (!fd || fd.get() >= least) return fd;
  return Descriptor(::fcntl(fd.get(), F_DUPFD_CLOEXEC, least));
}

struct Channel {
  Descriptor parent;
  Descriptor child;
};

std::optional<Channel> open_channel(int least) {
  std::array<int, 2> ends{};
  if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends.data()) != 0) {
    return std::nullopt;
  }
  return Channel{.parent = Descriptor(ends[0]), .child = lifted(Descriptor(ends[1]), least)};
}

struct Cloned {
  pid_t pid = -1;  // 0: this is the child.
  int pidfd = -1;
};

Cloned clone_in_old_way() noexcept {
  Cloned cloned;
  cloned.pid =
      static_cast<pid_t>(::syscall(SYS_clone, static_cast<unsigned long>(CLONE_PIDFD | SIGCHLD),
                                   nullptr, &cloned.pidfd, nullptr, nullptr));
  return cloned;
}

Cloned clone_process(int cgroup) noexcept {
  Cloned cloned;
  clone_args arguments{};
  arguments.flags = CLONE_PIDFD;
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&cloned.pidfd);
  arguments.exit_signal = SIGCHLD;
  if (cgroup >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup);
  }
  cloned.pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  return cloned;
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

Result<Spawned, SpawnError> clone_child(const Plan& plan, const CgroupLeaf& leaf, CloneWay way) {
  const Descriptor folder(leaf ? ::open(leaf.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                               : -1);
  const BlockedSignals blocked;
  Cloned cloned;
  if (folder && way == CloneWay::IntoCgroup) cloned = clone_process(folder.get());
  if (cloned.pid < 0 && way == CloneWay::IntoCgroup) way = CloneWay::Clone3;
  if (cloned.pid < 0 && way == CloneWay::Clone3) cloned = clone_process(-1);
  if (cloned.pid < 0) {
    way = CloneWay::Clone;
    cloned = clone_in_old_way();
  }
  if (cloned.pid == 0) run_child(plan);
  if (cloned.pid < 0) return Unexpected(failed("fork", errno));
  Spawned spawned{.process = Process::of_child(cloned.pid, Descriptor(cloned.pidfd))};
  spawned.way = way;
  spawned.in_leaf = way == CloneWay::IntoCgroup || (leaf && leaf.add(cloned.pid));
  return spawned;
}

// None: it runs the program.
std::optional<Report> await_exec(int channel) {
  pollfd ready{.fd = channel, .events = POLLIN, .revents = 0};
  if (::poll(&ready, 1, kExecWaitMillis) != 1) return std::nullopt;
  Report report;
  // The child's end closed with the go unread makes the first look fail with ECONNRESET, whatever
  // is there to read.
  ssize_t size = -1;
  for (int looks = 0; looks < kReportLooksMax && size < 0; ++looks) {
    size = ::recv(channel, &report, sizeof report, MSG_DONTWAIT);
  }
  return size == static_cast<ssize_t>(sizeof report) ? std::optional(report) : std::nullopt;
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
  const bool numbers = !request.passed.empty() || request.numbered;
  const int least = numbers ? kAboveTargets : kFirstPassed;
  auto channel = open_channel(least);
  const Descriptor input = lifted(Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)), least);
  const Descriptor output(::fcntl(request.output, F_DUPFD_CLOEXEC, least));
  const auto passed = lift_passed(request, plan);
  if (!channel || !channel->child || !input || !output || !passed) {
    return Unexpected(failed("descriptors", errno));
  }
  plan.argv = pointers(request.command);
  plan.envp = pointers(plan.environment);
  for (std::string& variable : plan.environment) {
    if (!request.passed.empty() && variable.starts_with(kListenPid)) {
      plan.listen_pid = variable.data() + kListenPid.size();
    }
  }
  plan.input = input.get();
  plan.output = output.get();
  plan.parent_end = channel->parent.get();
  plan.child_end = channel->child.get();

  auto spawned = clone_child(plan, request.leaf, request.way);
  if (!spawned) return spawned;
  channel->child.reset();
  const Process& child = spawned->process;
  if (request.before_exec && !request.before_exec(child)) {
    abandon(child);
    return Unexpected(SpawnError{"the process could not be recorded"});
  }
  const char go = 1;
  ::send(channel->parent.get(), &go, 1, MSG_NOSIGNAL);
  if (const auto report = await_exec(channel->parent.get())) {
    abandon(child);
    return Unexpected(explain(plan, *report));
  }
  return spawned;
}

}  // namespace recover::adapters::process
