#include "clients/child_run.h"

#include <boost/asio/buffer.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/system/system_error.hpp>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <utility>

#include "posix/descriptor.h"
#include "posix/spawn_plan.h"

namespace recover::clients {
namespace {

namespace asio = boost::asio;
using asio::posix::stream_descriptor;
using boost::system::error_code;

struct Child {
  pid_t pid = 0;
  posix::Descriptor pidfd;
  posix::Descriptor output;  // Read end of its stdout and stderr.
  posix::Descriptor lines;   // Read end of its stdout, where that is read by line.
};

// A clean environment: recoverd's own may hold what a program must not see.
std::vector<std::string> environment_of(const ChildSpec& spec) {
  const char* path = std::getenv("PATH");
  std::vector<std::string> all = {
      std::string("PATH=") + (path != nullptr ? path : "/usr/sbin:/usr/bin:/sbin:/bin"),
      "LANG=C.UTF-8"};
  all.insert(all.end(), spec.variables.begin(), spec.variables.end());
  return all;
}

struct Pipe {
  posix::Descriptor reader;
  posix::Descriptor writer;
};

Result<Pipe, int> make_pipe() {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return Unexpected(errno);
  ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
  return Pipe{posix::Descriptor(ends[0]), posix::Descriptor(ends[1])};
}

// In memory, whole before the child begins: nobody has to feed it.
Result<posix::Descriptor, int> holding(std::string_view text) {
  posix::Descriptor file(::memfd_create("input", MFD_CLOEXEC));
  if (!file) return Unexpected(errno);
  while (!text.empty()) {
    const ssize_t written = ::write(file.get(), text.data(), text.size());
    if (written < 0) return Unexpected(errno);
    text.remove_prefix(static_cast<std::size_t>(written));
  }
  if (::lseek(file.get(), 0, SEEK_SET) != 0) return Unexpected(errno);
  return file;
}

// Returns errno in place of a child.
Result<Child, int> spawn(const ChildSpec& spec) {
  auto errors = make_pipe();
  if (!errors) return Unexpected(errors.error());
  std::optional<Pipe> lines;
  if (spec.on_line) {
    auto made = make_pipe();
    if (!made) return Unexpected(made.error());
    lines = std::move(*made);
  }
  posix::Descriptor input;
  if (spec.input) {
    auto held = holding(*spec.input);
    if (!held) return Unexpected(held.error());
    input = std::move(*held);
  }
  Child child;
  const posix::ChildStreams streams{.input = input ? input.get() : -1,
                                    .output = lines ? lines->writer.get() : errors->writer.get(),
                                    .errors = errors->writer.get()};
  const posix::SpawnPlan plan(streams, spec.folder, /*own_group=*/true);
  const int error = plan.spawn(child.pid, spec.command.front(), spec.command, environment_of(spec));
  if (error != 0) return Unexpected(error);
  child.output = std::move(errors->reader);
  if (lines) child.lines = std::move(lines->reader);
  // Close-on-exec by itself.
  child.pidfd = posix::Descriptor(static_cast<int>(::syscall(SYS_pidfd_open, child.pid, 0)));
  if (!child.pidfd) {
    const int reason = errno;
    ::kill(-child.pid, SIGKILL);
    ::waitpid(child.pid, nullptr, 0);
    return Unexpected(reason);
  }
  return child;
}

class Run final : public ChildRun, public std::enable_shared_from_this<Run> {
 public:
  // Throws when the loop cannot take another descriptor; the child is then still the caller's.
  Run(asio::io_context& loop, Child& child, const ChildSpec& spec,
      std::function<void(ChildEnd)> ended)
      : process_(loop),
        output_(loop),
        lines_(loop),
        limit_(loop),
        kill_rest_(spec.kill_rest),
        on_line_(spec.on_line),
        ended_(std::move(ended)) {
    process_.assign(child.pidfd.get());
    child.pidfd.release();
    output_.assign(child.output.get());
    child.output.release();
    if (child.lines) {
      lines_.assign(child.lines.get());
      child.lines.release();
    }
    pid_ = std::exchange(child.pid, 0);
  }
  ~Run() override {
    if (pid_ == 0) return;
    kill_group();
    reap();
  }

  void start(std::optional<Duration> limit) {
    read();
    if (lines_.is_open()) read_lines();
    process_.async_wait(stream_descriptor::wait_read,
                        [self = shared_from_this()](error_code error) {
                          if (!error) self->exited();
                        });
    if (!limit) return;
    limit_.expires_after(*limit);
    limit_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->kill("killed at its deadline");
    });
  }

  pid_t pid() const override { return pid_; }
  void ask_to_end() override {
    if (pid_ != 0) ::kill(pid_, SIGTERM);  // Not reaped yet: its number is nobody else's.
  }
  void kill(std::string why) override {
    if (pid_ == 0) return;
    if (end_.killed.empty()) end_.killed = std::move(why);
    kill_group();
  }
  // The process is reaped when it is gone; nobody waits for it.
  void abandon() override {
    ended_ = nullptr;
    on_line_ = nullptr;
    kill("abandoned");
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
    std::string& text = end_.output;
    text.append(chunk_.data(), size);
    if (text.size() > kOutputMax) text.erase(0, text.size() - kOutputMax);
  }
  void read_lines() {
    lines_.async_read_some(asio::buffer(line_chunk_),
                           [self = shared_from_this()](error_code error, std::size_t size) {
                             if (error) return;
                             self->keep_lines({self->line_chunk_.data(), size});
                             self->read_lines();
                           });
  }
  void keep_lines(std::string_view text) {
    while (!text.empty()) {
      const std::size_t end = text.find('\n');
      const std::string_view part = text.substr(0, end);
      line_.append(part.substr(0, kLineMax - std::min(line_.size(), kLineMax)));
      if (end == std::string_view::npos) return;
      text.remove_prefix(end + 1);
      tell_line();
    }
  }
  void tell_line() {
    const std::string line = std::exchange(line_, {});
    if (on_line_) on_line_(line);
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
    if (kill_rest_) kill_group();
    const siginfo_t status = reap();
    drain();
    error_code ignored;
    lines_.close(ignored);
    output_.close(ignored);
    process_.close(ignored);
    limit_.cancel();
    const auto ended = std::exchange(ended_, nullptr);
    if (!ended) return;
    while (end_.output.ends_with('\n')) end_.output.pop_back();
    if (status.si_pid != 0) {
      end_.how = status.si_code == CLD_EXITED ? ChildEnd::How::Exited : ChildEnd::How::Signalled;
      end_.code = status.si_status;
    }
    ended(std::move(end_));
  }
  void drain() {
    for (std::size_t round = 0; round < kDrainsMax; ++round) {
      const ssize_t size = ::read(output_.native_handle(), chunk_.data(), chunk_.size());
      if (size <= 0) break;
      keep(static_cast<std::size_t>(size));
    }
    for (std::size_t round = 0; lines_.is_open() && round < kDrainsMax; ++round) {
      const ssize_t size = ::read(lines_.native_handle(), line_chunk_.data(), line_chunk_.size());
      if (size <= 0) break;
      keep_lines({line_chunk_.data(), static_cast<std::size_t>(size)});
    }
    if (!line_.empty()) tell_line();
    on_line_ = nullptr;
  }

  static constexpr std::size_t kDrainsMax = 64;  // A pipe holds 16 chunks.
  pid_t pid_ = 0;                                // 0: reaped.
  stream_descriptor process_;
  stream_descriptor output_;
  stream_descriptor lines_;  // Not open: stdout is part of the output.
  asio::steady_timer limit_;
  std::array<char, 4096> chunk_{};
  std::array<char, 4096> line_chunk_{};
  std::string line_;  // Of which the end has not come yet.
  bool kill_rest_;
  std::function<void(std::string_view)> on_line_;
  ChildEnd end_;
  std::function<void(ChildEnd)> ended_;
};

}  // namespace

std::string ChildEnd::text() const {
  if (!killed.empty()) return killed;
  switch (how) {
    case How::Exited: return "exit " + std::to_string(code);
    case How::Signalled: return "killed by signal " + std::to_string(code);
    case How::Lost: break;
  }
  return "its exit status was lost";
}

Result<std::shared_ptr<ChildRun>, int> ChildRun::start(asio::io_context& loop, ChildSpec spec,
                                                       std::function<void(ChildEnd)> ended) {
  Result<Child, int> child = spawn(spec);
  if (!child) return Unexpected(child.error());
  try {
    auto run = std::make_shared<Run>(loop, *child, spec, std::move(ended));
    run->start(spec.limit);
    return std::shared_ptr<ChildRun>(std::move(run));
  } catch (const boost::system::system_error& error) {
    if (child->pid != 0) {
      ::kill(-child->pid, SIGKILL);
      ::waitpid(child->pid, nullptr, 0);
    }
    return Unexpected(error.code().value());
  }
}

}  // namespace recover::clients
