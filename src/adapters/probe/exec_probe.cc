// A program as a probe: exit status 0 passes. It runs in a process group of its own, which is
// killed whole when the look ends, in whatever way.
#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <utility>

#include "adapters/probe/runners.h"
#include "base/redact.h"

namespace recover::adapters::probe {
namespace {

namespace asio = boost::asio;
using boost::system::error_code;

constexpr std::size_t kOutputMax = 4096;  // The last bytes are kept.

struct Child {
  pid_t pid = 0;
  int pidfd = -1;
  int output = -1;  // Read end of its stdout and stderr.
};

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> result;
  for (std::string& text : texts) result.push_back(text.data());
  result.push_back(nullptr);
  return result;
}

// A clean environment: recoverd's own may hold what a probe must not see.
std::vector<std::string> environment_of(const core::Environment& extra) {
  const char* path = std::getenv("PATH");
  std::vector<std::string> all = {
      std::string("PATH=") + (path ? path : "/usr/sbin:/usr/bin:/sbin:/bin"), "LANG=C.UTF-8"};
  for (const auto& [name, value] : extra) all.push_back(name + "=" + value.reveal());
  return all;
}

// Returns errno in place of a child.
Result<Child, int> spawn(const core::ExecProbe& probe) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Unexpected(errno);
  std::vector<std::string> words = probe.command;
  std::vector<std::string> variables = environment_of(probe.environment);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, ends[1], 1);
  ::posix_spawn_file_actions_adddup2(&files, ends[1], 2);
  ::posix_spawn_file_actions_addclosefrom_np(&files, 3);  // Whatever a library opened without care.
  ::posix_spawnattr_init(&attributes);
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setsigdefault(&attributes, &all);
  ::posix_spawnattr_setpgroup(&attributes, 0);
  ::posix_spawnattr_setflags(
      &attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  Child child;
  const int error = ::posix_spawnp(&child.pid, words.front().c_str(), &files, &attributes,
                                   pointers(words).data(), pointers(variables).data());
  ::posix_spawnattr_destroy(&attributes);
  ::posix_spawn_file_actions_destroy(&files);
  ::close(ends[1]);
  if (error == 0) {
    child.pidfd = static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0));  // Close-on-exec.
  }
  if (error != 0 || child.pidfd < 0) {
    const int reason = error != 0 ? error : errno;
    ::close(ends[0]);
    if (error == 0) {
      ::kill(-child.pid, SIGKILL);
      ::waitpid(child.pid, nullptr, 0);
    }
    return Unexpected(reason);
  }
  child.output = ends[0];
  ::fcntl(child.output, F_SETFL, O_NONBLOCK);
  return child;
}

class ExecAttempt : public std::enable_shared_from_this<ExecAttempt> {
 public:
  ExecAttempt(asio::io_context& loop, Child child, std::vector<std::string> secrets, Found found)
      : pid_(child.pid),
        process_(loop, child.pidfd),
        output_(loop, child.output),
        secrets_(std::move(secrets)),
        found_(std::move(found)) {}
  ~ExecAttempt() {
    if (pid_ == 0) return;
    kill_group();
    reap();
  }

  void start() {
    read();
    process_.async_wait(asio::posix::stream_descriptor::wait_read,
                        [self = shared_from_this()](error_code error) {
                          if (!error) self->exited();
                        });
  }
  // The process is reaped when it is gone; nobody waits for it.
  void abandon() {
    found_ = nullptr;
    if (pid_ != 0) kill_group();
  }

 private:
  void read() {
    output_.async_read_some(asio::buffer(chunk_),
                            [self = shared_from_this()](error_code error, std::size_t size) {
                              if (error) return;
                              self->keep(size);
                              self->read();
                            });
  }
  void keep(std::size_t size) {
    text_.append(chunk_.data(), size);
    if (text_.size() > kOutputMax) text_.erase(0, text_.size() - kOutputMax);
  }
  // Safe: the group's leader is not reaped yet, so its number is nobody else's.
  void kill_group() const { ::kill(-pid_, SIGKILL); }
  siginfo_t reap() {
    siginfo_t status{};
    ::waitid(P_PIDFD, static_cast<id_t>(process_.native_handle()), &status, WEXITED | WNOHANG);
    pid_ = 0;
    return status;
  }

  void exited() {
    kill_group();
    const siginfo_t status = reap();
    drain();
    error_code ignored;
    output_.close(ignored);
    process_.close(ignored);
    const Found done = std::exchange(found_, nullptr);
    if (!done) return;
    if (status.si_pid == 0) return done(not_done("its exit status was lost"));
    while (text_.ends_with('\n')) text_.pop_back();
    std::string detail = status.si_code == CLD_EXITED
                             ? "exit " + std::to_string(status.si_status)
                             : "killed by signal " + std::to_string(status.si_status);
    if (!text_.empty()) detail += ": " + base::redacted(text_, secrets_);
    const bool ok = status.si_code == CLD_EXITED && status.si_status == 0;
    done(ok ? passed(std::move(detail)) : wrong(std::move(detail)));
  }
  void drain() {
    for (std::size_t round = 0; round < kDrainsMax; ++round) {
      const ssize_t size = ::read(output_.native_handle(), chunk_.data(), chunk_.size());
      if (size <= 0) return;
      keep(static_cast<std::size_t>(size));
    }
  }

  static constexpr std::size_t kDrainsMax = 64;  // A pipe holds 16 chunks.
  pid_t pid_;                                    // 0: reaped.
  asio::posix::stream_descriptor process_;
  asio::posix::stream_descriptor output_;
  std::array<char, 4096> chunk_{};
  std::string text_;
  std::vector<std::string> secrets_;
  Found found_;
};

class ExecRunner final : public ProbeRunner {
 public:
  ExecRunner(core::ExecProbe probe, asio::io_context& loop)
      : probe_(std::move(probe)), loop_(loop) {}
  ~ExecRunner() override { abandon(); }

  void run(Found found) override {
    const Result<Child, int> child = spawn(probe_);
    if (!child) return refuse(child.error(), std::move(found));
    std::vector<std::string> secrets;
    for (const auto& [name, value] : probe_.environment) secrets.push_back(value.reveal());
    attempt_ = std::make_shared<ExecAttempt>(loop_, *child, std::move(secrets), std::move(found));
    attempt_->start();
  }
  Finding give_up() override {
    abandon();
    return silent(probe_.command.front() + ": killed, not done in time");
  }

 private:
  // A probe that cannot be started says nothing about the service.
  void refuse(int error, Found found) {
    Finding finding = not_done(of_errno(error, probe_.command.front()).detail);
    *refused_ = std::move(found);
    asio::post(loop_, [cell = refused_, finding = std::move(finding)]() mutable {
      if (const Found done = std::exchange(*cell, nullptr)) done(std::move(finding));
    });
  }
  void abandon() {
    *refused_ = nullptr;
    if (attempt_) attempt_->abandon();
    attempt_.reset();
  }

  core::ExecProbe probe_;
  asio::io_context& loop_;
  std::shared_ptr<ExecAttempt> attempt_;
  std::shared_ptr<Found> refused_ = std::make_shared<Found>();
};

}  // namespace

std::unique_ptr<ProbeRunner> make_exec(const core::ExecProbe& probe, const Tools& tools) {
  if (probe.command.empty()) {
    return make_blocking([] { return not_done("no command"); }, "command", tools);
  }
  return std::make_unique<ExecRunner>(probe, tools.loop);
}

}  // namespace recover::adapters::probe
