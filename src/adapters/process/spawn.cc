#include "adapters/process/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <map>
#include <string_view>
#include <system_error>

#include "adapters/process/child.h"
#include "adapters/process/clone.h"
#include "adapters/process/mounts.h"
#include "adapters/process/proc_file.h"
#include "adapters/process/spawn_slots.h"

namespace recover::adapters::process {
namespace {

constexpr const char* kDefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr rlim_t kSoftFiles = 1024;  // More breaks programs that use select(2).
constexpr int kAboveTargets = 300;   // Descriptors to be given numbers wait above those.
constexpr std::string_view kListenPid = "LISTEN_PID=";

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
  if (request.command.empty()) return Unexpected(SpawnError{.message = "the command is empty"});
  Plan plan;
  plan.attributes = &request.attributes;
  plan.switch_user =
      !request.user.empty() || !request.group.empty() || request.supplementary_groups.has_value();
  if (plan.switch_user) {  // To look somebody up takes longer than to start a program.
    auto account = find_account(request.user, request.group, request.supplementary_groups);
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

Cloned clone_once(const Plan& plan, int cgroup) noexcept {
  // It reads the plan; void* is what a clone of any program is given.
  if (plan.note != nullptr) {
    return suspend_for(cgroup, plan.keep_below > 0, run_suspended, const_cast<Plan*>(&plan));
  }
  const Cloned cloned = fork_process(cgroup);
  if (cloned.pid == 0) run_child(plan);
  return cloned;
}

// To join it by itself; empty: there is none.
Descriptor open_procs(const CgroupLeaf& leaf) {
  if (!leaf) return Descriptor();
  return Descriptor(::open((leaf.path() + "/cgroup.procs").c_str(), O_WRONLY | O_CLOEXEC));
}

// By `way` or the next that works; a suspended one is never cloned in the old way. None: errno says
// why.
std::optional<Spawned> clone_child(Plan& plan, const CgroupLeaf& leaf, CloneWay way) {
  const Descriptor folder(leaf ? ::open(leaf.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)
                               : -1);
  const BlockedSignals blocked;
  Cloned cloned;
  if (folder && way == CloneWay::IntoCgroup) cloned = clone_once(plan, folder.get());
  if (cloned.pid < 0 && way == CloneWay::IntoCgroup) way = CloneWay::Clone3;
  const Descriptor procs = way == CloneWay::IntoCgroup ? Descriptor() : open_procs(leaf);
  plan.join = procs.get();
  if (procs) plan.keep_below = 0;  // It must be kept too.
  if (cloned.pid < 0 && way == CloneWay::Clone3) cloned = clone_once(plan, -1);
  if (cloned.pid < 0 && plan.note == nullptr) {
    way = CloneWay::Clone;
    cloned = fork_in_old_way();
    if (cloned.pid == 0) run_child(plan);
  }
  if (cloned.pid < 0) return std::nullopt;
  Spawned spawned{.process = Process::of_child(cloned.pid, Descriptor(cloned.pidfd),
                                               plan.note != nullptr ? plan.note->start_time : 0)};
  spawned.way = way;
  spawned.in_leaf = way == CloneWay::IntoCgroup || (leaf && leaf.add(cloned.pid));
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

// While we wait for a clone that shares our memory, nothing else happens: not for one whose exec
// may hang, nor for one that gets its processor only when nobody else wants it.
bool may_suspend(const Plan& plan) {
  static Mounts mounts;
  const Attributes& attributes = *plan.attributes;
  const auto& shown = attributes.read_only;
  return can_suspend() && !attributes.waits_for_others() && !mounts.may_hang(plan.program) &&
         !mounts.may_hang(plan.folder) &&
         std::none_of(shown.begin(), shown.end(),
                      [](const std::string& path) { return mounts.may_hang(path); });
}

void abandon(const Process& child) {
  child.signal(SIGKILL);
  pollfd ended{.fd = child.pidfd(), .events = POLLIN, .revents = 0};
  ::poll(&ended, 1, kExecWaitMillis);
  child.collect();
}

Result<Spawned, SpawnError> see_exec(const Plan& plan, Spawned spawned) {
  if (const auto report = await_exec(plan)) {
    abandon(spawned.process);
    return Unexpected(explain(plan, *report));
  }
  return spawned;
}

Result<Spawned, SpawnError> spawn_forked(Plan& plan, const SpawnRequest& request, int least) {
  plan.keep_below = 0;
  auto channel = open_channel(least);
  if (!channel || !channel->child) return Unexpected(failed("descriptors", errno));
  plan.parent_end = channel->parent.get();
  plan.child_end = channel->child.get();
  auto spawned = clone_child(plan, request.leaf, request.way);
  if (!spawned) return Unexpected(failed("fork", errno));
  channel->child.reset();
  return see_exec(plan, std::move(*spawned));
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

namespace {

void complete(Plan& plan, const SpawnRequest& request) {
  plan.argv = pointers(request.command);
  plan.envp = pointers(plan.environment);
  for (std::string& variable : plan.environment) {
    if (!request.passed.empty() && variable.starts_with(kListenPid)) {
      plan.listen_pid = variable.data() + kListenPid.size();
    }
  }
  plan.parent = ::getpid();
  plan.before = start_time_now();
  plan.record = &request.record;
  plan.record_fd = request.record.fd;
}

// None: it could not be cloned so, and nothing happened.
std::optional<Result<Spawned, SpawnError>> spawn_suspended(Plan& plan,
                                                           const SpawnRequest& request) {
  if (request.way == CloneWay::Clone || !may_suspend(plan)) return std::nullopt;
  Note note;
  plan.note = &note;
  auto spawned = clone_child(plan, request.leaf, request.way);
  if (spawned) return see_exec(plan, std::move(*spawned));
  plan.note = nullptr;
  return std::nullopt;
}

// As almost always: nothing but its input, output and record is given to it.
std::optional<Result<Spawned, SpawnError>> spawn_from_slots(Plan& plan,
                                                            const SpawnRequest& request) {
  const SpawnSlots slots(request.output, request.record.fd);
  if (!slots) return std::nullopt;
  plan.input = slots.input();
  plan.output = slots.output();
  plan.record_fd = slots.record();
  plan.keep_below = slots.end();
  auto spawned = spawn_suspended(plan, request);
  plan.keep_below = 0;
  return spawned;
}

}  // namespace

Result<Spawned, SpawnError> spawn(const SpawnRequest& request) {
  auto planned = plan_of(request);
  if (!planned) return Unexpected(planned.error());
  Plan plan = std::move(planned).value();
  complete(plan, request);
  const bool numbers = !request.passed.empty() || request.numbered;
  if (!numbers && request.error < 0) {
    if (auto spawned = spawn_from_slots(plan, request)) return std::move(*spawned);
  }
  const int least = numbers ? kAboveTargets : kFirstPassed;
  const Descriptor input = lifted(Descriptor(::open("/dev/null", O_RDONLY | O_CLOEXEC)), least);
  const Descriptor output(::fcntl(request.output, F_DUPFD_CLOEXEC, least));
  const Descriptor error(request.error < 0 ? -1 : ::fcntl(request.error, F_DUPFD_CLOEXEC, least));
  const auto passed = lift_passed(request, plan);
  const bool lacks_error = request.error >= 0 && !error;
  if (!input || !output || lacks_error || !passed) return Unexpected(failed("descriptors", errno));
  plan.input = input.get();
  plan.output = output.get();
  plan.error = error.get();
  plan.record_fd = request.record.fd;
  Descriptor record;
  if (numbers && plan.record_fd >= 0) {
    record.reset(::fcntl(plan.record_fd, F_DUPFD_CLOEXEC, least));
    if (!record) return Unexpected(failed("descriptors", errno));
    plan.record_fd = record.get();
  }
  if (auto spawned = spawn_suspended(plan, request)) return std::move(*spawned);
  return spawn_forked(plan, request, least);
}

}  // namespace recover::adapters::process
