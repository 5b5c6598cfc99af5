// The part of Instance around its process: what it is given, the commands before and after, and a
// oneshot that is done.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "adapters/process/instance.h"
#include "adapters/process/output_pipe.h"

namespace recover::adapters::process {

// Sockets, stored descriptors, the ways to say that it is ready.
Result<void, std::string> Instance::pass_channels(SpawnRequest& wanted) {
  auto sockets = around_.sockets.of(row_.service, spec_->sockets);
  if (!sockets) return Unexpected(sockets.error());
  wanted.passed = std::move(sockets).value();
  for (auto& stored : store_.all()) wanted.passed.push_back(std::move(stored));
  if (spec_->ready.notify || spec_->watchdog || spec_->fd_store > 0) {
    auto socket = NotifySocket::bind(row_.token);
    if (!socket) return Unexpected(socket.error());
    notify_ = std::move(socket).value();
    wanted.environment.emplace_back("NOTIFY_SOCKET", NotifySocket::address(row_.token));
  }
  if (spec_->watchdog) {
    const auto limit = std::chrono::duration_cast<std::chrono::microseconds>(*spec_->watchdog);
    wanted.environment.emplace_back("WATCHDOG_USEC", std::to_string(limit.count()));
  }
  if (spec_->ready.fd) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC | O_NONBLOCK) != 0) {
      return Unexpected("notification pipe: " + std::generic_category().message(errno));
    }
    ready_line_.reset(ends[0]);
    ready_writer_.reset(ends[1]);
    ::fcntl(ends[1], F_SETFL, 0);  // The service's end waits, as pipes do.
    wanted.numbered.emplace(*spec_->ready.fd, ends[1]);
    if (*spec_->ready.fd < 3 + wanted.passed.size()) {
      return Unexpected("ready.fd " + std::to_string(*spec_->ready.fd) +
                        " is one of the descriptors passed to it");
    }
  }
  return {};
}

void Instance::prepare() {
  phase_ = Phase::Starting;
  watch_output();
  auto how = request(*spec_);
  if (!how) return give_up(how.error());
  tree_.leader = {};
  hooks().run(spec_->before, std::move(how).value(), spec_->ready.start_timeout,
              [this](const std::string& problem) {
                read_output();
                if (!problem.empty()) return give_up("before: " + problem);
                if (!launch()) around_.host.on_down(*this);
              });
}

// Before there is a process: what hooks left behind goes, and it is Down again.
void Instance::give_up(std::string why) {
  if (hooks_) hooks_->cancel();
  kill_tree();
  flush_output();
  // NOLINTNEXTLINE(bugprone-unused-return-value): the failure is kept for whoever asks.
  static_cast<void>(not_started(std::move(why)));
  around_.host.on_down(*this);
}

void Instance::run_after() {
  if (spec_->after.empty() || completed_ || std::exchange(after_ran_, true)) return finish();
  auto pipe = open_output_pipe();
  read_output();
  pipe_watch_ = {};
  if (pipe) {
    pipe_ = std::move(pipe->reader);
    hook_output_ = std::move(pipe->writer);
    // Without one of its own, their stderr goes where their stdout goes.
    if (errors_ && !errors_->open()) errors_->close();
    watch_output();
  }
  renew_leaf();
  auto how = request(*spec_);
  if (!pipe || !how) {
    note("after: " + (pipe ? how.error() : pipe.error()));
    return finish();
  }
  hooks().run(spec_->after, std::move(how).value(), spec_->stop.timeout,
              [this](const std::string& problem) {
                if (!problem.empty()) note("after: " + problem);
                kill_at_ = Instant::min();
                end_alarm_.set(Duration::zero(), [this] { clear_turn(); });
              });
}

// A killed leaf takes nobody in any more (see remove_leftover).
void Instance::renew_leaf() {
  if (!killed_ || !tree_.leaf) return;
  tree_.leaf.remove();
  leaf_is_clean_ = false;
  enter_leaf(spec_->limits);
  tree_.token = name() + ":" + row_.token;
  killed_ = false;
  around_.host.on_changed(*this);
}

// A oneshot has ended with 0: from now on it is Up, until it is stopped.
void Instance::complete() {
  const Process done = std::exchange(process_, {});
  tree_.leaf.remove();
  leaf_is_clean_ = false;
  failure_.clear();
  kill_at_ = Instant();
  phase_ = Phase::Starting;
  row_.completed = true;
  become_ready();
  done.collect();  // Last: until the table says that it is done, its status does.
}

}  // namespace recover::adapters::process
