#include "apps/recoverd_backup/program_run.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

namespace recover::apps {
namespace {

constexpr off_t kErrorBytesMax = 1000;  // Told of its stderr: the last.

backup::Failure trouble(const std::string& name, const std::string& what) {
  return {.kind = backup::FailureKind::Io, .message = name + ": " + what};
}

std::vector<char*> pointers_to(const std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (const std::string& text : texts) result.push_back(const_cast<char*>(text.c_str()));
  result.push_back(nullptr);
  return result;
}

// What the child becomes, made before the fork: after it only calls that are safe there.
struct Beginning {
  std::vector<char*> words;
  std::vector<char*> variables;
  const ProgramSpec& spec;
  int output;
  int errors;
  int report;
};

// Ours may hold passwords, which another user must not see: it gets what it needs to find its way.
bool may_see(const ProgramSpec& spec, std::string_view variable) {
  constexpr std::array<std::string_view, 11> kHarmless = {
      "PATH=",       "LANG=",        "LANGUAGE=",  "TZ=",       "http_proxy=", "https_proxy=",
      "HTTP_PROXY=", "HTTPS_PROXY=", "all_proxy=", "no_proxy=", "NO_PROXY="};
  return spec.account == nullptr || variable.starts_with("LC_") ||
         std::find(kHarmless.begin(), kHarmless.end(), variable) != kHarmless.end();
}

// Its variables first: of two with one name the first counts.
std::vector<char*> variables_of(const ProgramSpec& spec) {
  std::vector<char*> all = pointers_to(spec.variables);
  all.pop_back();
  for (char** one = environ; one != nullptr && *one != nullptr; ++one) {
    const std::string_view text(*one);
    const std::string_view name = text.substr(0, text.find('=') + 1);
    if (may_see(spec, name) &&
        std::none_of(spec.variables.begin(), spec.variables.end(),
                     [&](const std::string& ours) { return ours.starts_with(name); })) {
      all.push_back(*one);
    }
  }
  all.push_back(nullptr);
  return all;
}

// First out of the way of the numbers they go to.
bool take_handed(const ProgramSpec& spec) {
  std::array<int, ProgramSpec::kHandedMax> apart{};
  constexpr int kFar = ProgramSpec::kHandedFirst + static_cast<int>(ProgramSpec::kHandedMax);
  for (std::size_t i = 0; i < spec.handed.size(); ++i) {
    apart[i] = ::fcntl(spec.handed[i], F_DUPFD_CLOEXEC, kFar);
  }
  for (std::size_t i = 0; i < spec.handed.size(); ++i) {
    if (::dup2(apart[i], ProgramSpec::kHandedFirst + static_cast<int>(i)) < 0) return false;
  }
  return true;
}

bool become_account(const Account& account) {
  return ::setgroups(account.groups.size(), account.groups.data()) == 0 &&
         ::setresgid(account.gid, account.gid, account.gid) == 0 &&
         ::setresuid(account.uid, account.uid, account.uid) == 0;
}

bool prepare(const Beginning& begin) {
  const ProgramSpec& spec = begin.spec;
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  ::setpgid(0, 0);
  const int input = spec.input >= 0 ? spec.input : ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  const int ours = ::fcntl(input, F_DUPFD_CLOEXEC, 3);
  const int output = ::fcntl(begin.output, F_DUPFD_CLOEXEC, 3);
  const int errors = ::fcntl(begin.errors, F_DUPFD_CLOEXEC, 3);
  if (::dup2(ours, 0) < 0 || ::dup2(output, 1) < 0 || ::dup2(errors, 2) < 0) return false;
  if (!take_handed(spec)) return false;
  if (!spec.folder.empty() && ::chdir(spec.folder.c_str()) != 0) return false;
  if (spec.account != nullptr && !become_account(*spec.account)) return false;
  // After the change of user, which would take it back.
  return ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0;
}

// In the child. Tells its errno to `report`.
[[noreturn]] void become(const Beginning& begin) {
  const int report = ::fcntl(begin.report, F_DUPFD_CLOEXEC, 100);
  if (prepare(begin)) ::execvpe(begin.words[0], begin.words.data(), begin.variables.data());
  const int reason = errno;
  static_cast<void>(!::write(report, &reason, sizeof reason));
  ::_exit(127);
}

std::string last_of(int file) {
  struct stat info {};
  if (::fstat(file, &info) != 0) return {};
  const off_t from = std::max<off_t>(0, info.st_size - kErrorBytesMax);
  std::string text(static_cast<std::size_t>(info.st_size - from), '\0');
  const ssize_t got = ::pread(file, text.data(), text.size(), from);
  text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
  while (text.ends_with('\n')) text.pop_back();
  return text;
}

}  // namespace

backup::Outcome<std::unique_ptr<ProgramRun>> ProgramRun::start(const ProgramSpec& spec) {
  std::unique_ptr<ProgramRun> run(new ProgramRun());
  run->name_ = spec.command.front();
  run->errors_ = posix::Descriptor(::memfd_create("errors", MFD_CLOEXEC));
  std::array<int, 2> pipe{-1, -1};
  std::array<int, 2> report{-1, -1};
  const bool piped = ::pipe2(pipe.data(), O_CLOEXEC) == 0;
  run->output_ = posix::Descriptor(pipe[0]);
  const posix::Descriptor writer(pipe[1]);
  const bool reported = ::pipe2(report.data(), O_CLOEXEC) == 0;
  const posix::Descriptor reader(report[0]);
  posix::Descriptor reporter(report[1]);
  if (!piped || !reported || !run->errors_) {
    return Unexpected(trouble(run->name_, std::generic_category().message(errno)));
  }
  const Beginning begin{.words = pointers_to(spec.command),
                        .variables = variables_of(spec),
                        .spec = spec,
                        .output = spec.reads_output ? writer.get() : run->errors_.get(),
                        .errors = run->errors_.get(),
                        .report = reporter.get()};
  run->pid_ = ::fork();
  if (run->pid_ == 0) become(begin);
  if (run->pid_ < 0) {
    run->pid_ = 0;
    return Unexpected(trouble(run->name_, std::generic_category().message(errno)));
  }
  run->process_ = posix::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, run->pid_, 0)));
  reporter = posix::Descriptor();
  int reason = 0;
  if (::read(reader.get(), &reason, sizeof reason) == sizeof reason) {
    ::waitpid(run->pid_, nullptr, 0);
    run->pid_ = 0;
    return Unexpected(
        trouble(run->name_, "cannot be run: " + std::generic_category().message(reason)));
  }
  return run;
}

ProgramRun::~ProgramRun() {
  if (pid_ == 0) return;
  ::kill(-pid_, SIGKILL);
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
}

bool ProgramRun::ends_within(std::chrono::milliseconds limit) const {
  pollfd ended{.fd = process_.get(), .events = POLLIN, .revents = 0};
  return pid_ == 0 || ::poll(&ended, 1, static_cast<int>(limit.count())) > 0;
}

void ProgramRun::signal(int number) const {
  if (pid_ != 0) ::kill(pid_, number);
}

backup::Outcome<void> ProgramRun::wait() {
  int status = 0;
  const pid_t pid = std::exchange(pid_, 0);
  while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return {};
  std::string how = WIFEXITED(status) ? "exit " + std::to_string(WEXITSTATUS(status))
                                      : "killed by signal " + std::to_string(WTERMSIG(status));
  if (const std::string said = last_of(errors_.get()); !said.empty()) how += ": " + said;
  return Unexpected(trouble(name_, how));
}

}  // namespace recover::apps
