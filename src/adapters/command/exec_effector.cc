// Runs a program in a process group of its own. At the deadline, or when cancelled, the whole group
// is killed and the outcome is Unknown. What the program leaves running when it ends by itself is
// left alone: starting something is what many recovery scripts are for.
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <fcntl.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <system_error>
#include <utility>
#include <vector>

#include "adapters/command/effectors.h"
#include "base/redact.h"

namespace recover::adapters::command {
namespace {

namespace asio = boost::asio;
using asio::posix::stream_descriptor;
using boost::system::error_code;
using core::CommandOutcome;

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

std::vector<std::string> environment_of(const core::ExecAction& action,
                                        const core::Command& command, const core::Policy& policy) {
  const char* path = std::getenv("PATH");
  std::vector<std::string> all = {
      std::string("PATH=") + (path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
      "LANG=C.UTF-8",
      "RECOVER_SERVICE=" + policy.service(command.service).name,
      "RECOVER_INCIDENT=" + std::to_string(command.incident.value),
      "RECOVER_RECOVERY=" + std::to_string(command.recovery.value),
      "RECOVER_ATTEMPT=" + std::to_string(command.attempt),
      "RECOVER_IDEMPOTENCY_KEY=" + idempotency_key(command)};
  for (const auto& [name, value] : action.environment) all.push_back(name + "=" + value.reveal());
  return all;
}

// Returns errno in place of a child.
Result<Child, int> spawn(std::vector<std::string> words, std::vector<std::string> variables) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Unexpected(errno);
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  sigset_t none;
  sigset_t all;
  ::sigemptyset(&none);
  ::sigfillset(&all);
  ::posix_spawn_file_actions_init(&files);
  ::posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&files, ends[1], 1);
  ::posix_spawn_file_actions_adddup2(&files, ends[1], 2);
  ::posix_spawn_file_actions_addclosefrom_np(&files, 3);  // Whatever a library opened without care.
  ::posix_spawnattr_init(&attributes);
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

class Run : public std::enable_shared_from_this<Run> {
 public:
  using Ended = std::function<void(CommandOutcome, std::string)>;

  Run(asio::io_context& loop, Child child, std::vector<std::string> secrets, Ended ended)
      : pid_(child.pid),
        process_(loop, child.pidfd),
        output_(loop, child.output),
        limit_(loop),
        secrets_(std::move(secrets)),
        ended_(std::move(ended)) {}

  void start(Duration limit) {
    read();
    process_.async_wait(stream_descriptor::wait_read,
                        [self = shared_from_this()](error_code error) {
                          if (!error) self->exited();
                        });
    limit_.expires_after(limit);
    limit_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->kill("killed at its deadline");
    });
  }

  // The end is told once the process is gone, with this reason.
  void kill(std::string why) {
    if (pid_ == 0) return;
    if (killed_.empty()) killed_ = std::move(why);
    ::kill(-pid_, SIGKILL);  // The leader is not reaped, so the number is still its group's.
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

  void exited() {
    siginfo_t status{};
    ::waitid(P_PIDFD, static_cast<id_t>(process_.native_handle()), &status, WEXITED | WNOHANG);
    pid_ = 0;
    for (std::size_t round = 0; round < kDrainsMax; ++round) {
      const ssize_t size = ::read(output_.native_handle(), chunk_.data(), chunk_.size());
      if (size <= 0) break;
      keep(static_cast<std::size_t>(size));
    }
    error_code ignored;
    output_.close(ignored);
    process_.close(ignored);
    limit_.cancel();
    while (text_.ends_with('\n')) text_.pop_back();
    const std::string tail =
        text_.empty() ? std::string() : ": " + base::redacted(std::move(text_), secrets_);
    const Ended ended = std::exchange(ended_, nullptr);
    if (!killed_.empty()) return ended(CommandOutcome::Unknown, killed_ + tail);
    if (status.si_pid == 0)
      return ended(CommandOutcome::Unknown, "its exit status was lost" + tail);
    const std::string code = std::to_string(status.si_status);
    if (status.si_code != CLD_EXITED) {
      return ended(CommandOutcome::Failed, "killed by signal " + code + tail);
    }
    ended(status.si_status == 0 ? CommandOutcome::Done : CommandOutcome::Failed,
          "exit " + code + tail);
  }

  static constexpr std::size_t kDrainsMax = 64;  // A pipe holds 16 chunks.
  pid_t pid_;                                    // 0: reaped.
  stream_descriptor process_;
  stream_descriptor output_;
  asio::steady_timer limit_;
  std::array<char, 4096> chunk_{};
  std::string text_;
  std::string killed_;
  std::vector<std::string> secrets_;
  Ended ended_;
};

class ExecEffector final : public ports::Effector {
 public:
  explicit ExecEffector(Tools tools) : tools_(std::move(tools)) {}

  void perform(const core::Command& command, const core::Policy& policy,
               ports::Done done) override {
    const auto refuse = [&](CommandOutcome outcome, std::string detail) {
      report(tools_.loop, std::move(done),
             {.command = command.id,
              .outcome = outcome,
              .detail = std::move(detail),
              .checkpoint = {}});
    };
    const auto* action = std::get_if<core::ExecAction>(&core::arguments_of(command, policy));
    if (action == nullptr || action->command.empty()) {
      return refuse(CommandOutcome::Refused, "no command to run");
    }
    if (command.settle) return refuse(CommandOutcome::Unknown, "it may have run before the crash");
    const Result<Child, int> child =
        spawn(action->command, environment_of(*action, command, policy));
    if (!child) {
      return refuse(CommandOutcome::Failed, action->command.front() + ": " +
                                                std::generic_category().message(child.error()));
    }
    std::vector<std::string> secrets;
    for (const auto& [name, value] : action->environment) secrets.push_back(value.reveal());
    try {
      watch(command, *child, std::move(secrets), done);
    } catch (const std::exception& error) {  // The loop could not take another descriptor.
      ::kill(-child->pid, SIGKILL);
      ::waitpid(child->pid, nullptr, 0);
      refuse(CommandOutcome::Unknown, std::string("killed: ") + error.what());
    }
  }

  void cancel(core::CommandId command) override {
    const auto found = runs_.find(command);
    if (found != runs_.end()) found->second->kill("cancelled");
  }

 private:
  void watch(const core::Command& command, const Child& child, std::vector<std::string> secrets,
             const ports::Done& done) {
    const core::CommandId id = command.id;
    const auto run = std::make_shared<Run>(
        tools_.loop, child, std::move(secrets),
        [this, alive = std::weak_ptr<int>(alive_), id, done](CommandOutcome outcome,
                                                             std::string detail) {
          if (!alive.expired()) runs_.erase(id);
          done({.command = id, .outcome = outcome, .detail = std::move(detail), .checkpoint = {}});
        });
    runs_.emplace(id, run);
    run->start(time_left(command, tools_.now()));
  }

  Tools tools_;
  std::map<core::CommandId, std::shared_ptr<Run>> runs_;
  std::shared_ptr<int> alive_ = std::make_shared<int>();
};

}  // namespace

std::unique_ptr<ports::Effector> make_exec(const Tools& tools) {
  return std::make_unique<ExecEffector>(tools);
}

}  // namespace recover::adapters::command
