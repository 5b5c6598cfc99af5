#include "apps/recoverd_backup/program_run.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
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

// In the child, between fork and exec: only calls that are safe there. Tells its errno to `report`.
[[noreturn]] void become(char* const* words, int output, int errors, int report) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  ::signal(SIGPIPE, SIG_DFL);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  ::dup2(nothing, 0);
  ::dup2(output, 1);
  ::dup2(errors, 2);
  ::execvp(words[0], words);
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

backup::Outcome<std::unique_ptr<ProgramRun>> ProgramRun::start(
    const std::vector<std::string>& command, bool reads_output) {
  std::unique_ptr<ProgramRun> run(new ProgramRun());
  run->name_ = command.front();
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
  const std::vector<char*> words = pointers_to(command);
  const int output = reads_output ? writer.get() : run->errors_.get();
  run->pid_ = ::fork();
  if (run->pid_ == 0) become(words.data(), output, run->errors_.get(), reporter.get());
  if (run->pid_ < 0) {
    run->pid_ = 0;
    return Unexpected(trouble(run->name_, std::generic_category().message(errno)));
  }
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
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
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
