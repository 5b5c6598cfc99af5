#include "adapters/process/instance.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <utility>

#include "adapters/process/output_pipe.h"
#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

using std::chrono::milliseconds;

constexpr std::size_t kReadBlock = 64U << 10U;
constexpr int kReadsPerTurn = 16;
// After a graceful stop the rest of the tree has so long to follow its leader.
constexpr milliseconds kTreeGrace{500};
constexpr milliseconds kClearPauseMax{50};
// How long to ask how a process ended that was not our child: when the keeper is its parent, and
// when only the kernel may know.
constexpr std::uint32_t kKeeperTriesMax = 200;
constexpr std::uint32_t kKernelTriesMax = 10;
constexpr milliseconds kStatusPause{10};
// Longer than it takes to start it again; doubled while its end is not recorded. After so many
// tries, about a minute, it is buried all the same: no journal may keep the dead for ever.
constexpr milliseconds kBurialPause{5};
constexpr milliseconds kBurialPauseMax{500};
constexpr std::uint32_t kBurialTriesMax = 128;

std::string text_of(ExitStatus status) {
  if (status.signal != 0) {
    const char* const name = ::sigabbrev_np(status.signal);
    return "ended by signal " + (name ? std::string(name) : std::to_string(status.signal));
  }
  return status.code < 0 ? "ended, nobody knows how"
                         : "exited with code " + std::to_string(status.code);
}

std::string seconds_text(Duration duration) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), "%gs", std::chrono::duration<double>(duration).count());
  return text.data();
}

Instant now() {
  return std::chrono::steady_clock::now();
}

}  // namespace

Instance::Instance(Surroundings& surroundings, std::string service, std::uint32_t number)
    : around_(surroundings),
      output_({}, nullptr),
      ready_alarm_(surroundings.loop),
      start_alarm_(surroundings.loop),
      watchdog_alarm_(surroundings.loop),
      end_alarm_(surroundings.loop),
      store_(surroundings.keeper, service + "@" + std::to_string(number + 1)),
      burial_alarm_(surroundings.loop) {
  row_.service = std::move(service);
  row_.instance = number;
}

Instance::~Instance() {
  if (phase_ == Phase::Down) tree_.leaf.remove();
}

const std::shared_ptr<const core::RunSpec>& Instance::no_spec() {
  static const auto kNone = std::make_shared<const core::RunSpec>();
  return kNone;
}

Hooks& Instance::hooks() {
  if (!hooks_) hooks_ = std::make_unique<Hooks>(around_.loop);
  return *hooks_;
}

std::string Instance::name() const {
  return row_.service + "@" + std::to_string(row_.instance + 1);
}

std::string Instance::label(std::string_view kind) const {
  return "process/" + std::string(kind) + "/" + row_.token;
}

// ---- its process -----------------------------------------------------------------------------

void Instance::attach() {
  tree_.leader = process_.incarnation();
  status_tries_ = 0;
  process_watch_ = Watch(around_.loop, process_.pidfd(), [this] { leader_ended(); });
  watch_output();
  if (notify_) {
    notify_watch_ = Watch(around_.loop, notify_.fd(), [this] { read_notifications(); });
  }
  if (ready_line_) {
    ready_watch_ = Watch(around_.loop, ready_line_.get(), [this] { read_ready_line(); });
  }
}

void Instance::watch_output() {
  if (errors_) errors_->watch(around_.loop);
  pipe_watch_ = {};  // A descriptor is watched once.
  if (pipe_) pipe_watch_ = Watch(around_.loop, pipe_.get(), [this] { read_output(); });
}

void Instance::adopt(LeftRunning left, std::shared_ptr<const core::RunSpec> wanted) {
  row_ = std::move(left.row);
  const RuntimeRow row = row_;
  killed_ = frozen_ = true;  // Perhaps, by the engine before.
  spec_ = std::move(wanted);
  const core::RunSpec& spec = *spec_;
  output_ =
      OutputLog(spec.output, [this](std::string_view line) { around_.host.on_line(*this, line); });
  tree_ = {
      .leaf = CgroupLeaf(row.cgroup), .leader = row.incarnation, .token = name() + ":" + row.token};
  if (!left.has_leaf) tree_.leaf = {};
  pipe_ = around_.keeper.take(label("out"));
  notify_ = NotifySocket(around_.keeper.take(label("notify")));
  ready_line_ = around_.keeper.take(label("ready"));
  watchdog_ = spec.watchdog.value_or(Duration::zero());
  make_errors();
  if (errors_) errors_->adopt(around_.keeper.take(label("err")));
  if (row.completed) {
    completed_ = true;
    phase_ = Phase::Up;
    around_.host.on_started(*this, true);
    around_.host.on_ready(*this);
    if (row.stopping) stop();
    return;
  }
  if (!left.process) {
    phase_ = row.stopping ? Phase::Stopping : Phase::Starting;
    const auto status = around_.keeper.exit_of(row.incarnation);
    if (status || !around_.keeper.connected()) return ended(status.value_or(ExitStatus{}));
    // It ended just now: its parent, the keeper, is about to tell how.
    around_.host.on_started(*this, true);
    return leader_ended();
  }
  process_ = std::move(*left.process);
  if (!pipe_) pipe_ = reopen_output_pipe(process_.pid(), row.output_inode);
  if (errors_ && errors_->reader() < 0) {
    errors_->adopt(reopen_output_pipe(process_.pid(), row.error_inode));
  }
  around_.sockets.recover(row_.service, spec.sockets, process_.pidfd());
  if (!notify_ && (spec.ready.notify || spec.watchdog || spec.fd_store > 0)) {
    if (auto again = NotifySocket::bind(row.token)) notify_ = std::move(again).value();
  }
  phase_ = row.ready ? Phase::Up : Phase::Starting;
  attach();
  around_.host.on_started(*this, true);
  if (row.ready) {
    around_.host.on_ready(*this);
    feed_watchdog();
  } else {
    await_ready();
  }
  if (row.stopping) stop();
}

// ---- ready -----------------------------------------------------------------------------------

void Instance::await_ready() {
  const core::ReadyPolicy& ready = spec_->ready;
  if (spec_->type == core::RunType::Oneshot) {
    start_alarm_.set(ready.start_timeout, [this] { not_ready_in_time(); });
    return;
  }
  if (!ready.notify && !ready.fd && (ready.probe || !ready.after)) return become_ready();
  if (ready.after) ready_alarm_.set(*ready.after, [this] { become_ready(); });
  if (ready.notify || ready.fd) {
    ready_alarm_.cancel();
    start_alarm_.set(ready.start_timeout, [this] { not_ready_in_time(); });
  }
}

void Instance::become_ready() {
  if (phase_ != Phase::Starting) return;
  start_alarm_.cancel();
  ready_alarm_.cancel();
  phase_ = Phase::Up;
  row_.ready = true;
  around_.host.on_changed(*this);
  around_.host.on_ready(*this);
  feed_watchdog();
}

void Instance::not_ready_in_time() {
  if (phase_ != Phase::Starting) return;
  failure_ = "not ready within " + seconds_text(spec_->ready.start_timeout);
  kill();
}

void Instance::read_output() {
  if (errors_) errors_->read();
  // Of the loop's thread alone; thread_local, every thread of the pool would have one.
  static std::array<char, kReadBlock> block;
  for (int reads = 0; reads < kReadsPerTurn && pipe_; ++reads) {
    const ssize_t size = ::read(pipe_.get(), block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return;
    if (size == 0) {
      pipe_watch_ = {};
      pipe_.reset();
      return;
    }
    output_.feed({block.data(), static_cast<std::size_t>(size)}, now());
  }
}

// ---- end -------------------------------------------------------------------------------------

void Instance::stop() {
  if (phase_ != Phase::Starting && phase_ != Phase::Up) return;
  if (phase_ == Phase::Starting && prepares()) return give_up("stopped");
  phase_ = Phase::Stopping;
  row_.stopping = true;
  around_.host.on_changed(*this);
  ready_alarm_.cancel();
  start_alarm_.cancel();
  watchdog_alarm_.cancel();
  if (completed_) return ended({.code = 0});
  if (status_tries_ > 0) return;  // It has ended; how, is being asked for.
  if (frozen_) freeze(false);     // What stands still cannot follow the request.
  process_.signal(spec_->stop.signal);
  process_.signal(SIGCONT);  // A stopped process cannot follow the request.
  end_alarm_.set(spec_->stop.timeout, [this] { kill(); });
}

void Instance::kill() {
  if (phase_ == Phase::Down) return;
  if (phase_ == Phase::Starting && prepares()) return give_up("killed");
  if (completed_ && phase_ == Phase::Up) return stop();
  if (phase_ != Phase::Clearing) {
    phase_ = Phase::Stopping;
    row_.stopping = true;
    around_.host.on_changed(*this);
  }
  kill_at_ = Instant::min();
  process_.signal(SIGKILL);
  kill_tree();
}

void Instance::kill_tree() {
  killed_ = true;
  tree_.kill();
}

bool Instance::freeze(bool still) {
  if (phase_ != Phase::Starting && phase_ != Phase::Up && phase_ != Phase::Stopping) return false;
  if (still && prepares())
    return false;  // Its next command would be cloned into what stands still.
  frozen_ = still;
  tree_.freeze(still);
  return true;
}

bool Instance::signal(int number) {
  const bool leads = phase_ == Phase::Starting || phase_ == Phase::Up || phase_ == Phase::Stopping;
  return leads && process_.signal(number);
}

void Instance::leader_ended() {
  // Readiness may be that of a descriptor which had this number a moment ago.
  if (!process_.ended()) return;
  // What it said last may be that another process leads.
  const pid_t leader = process_.pid();
  if (notify_) read_notifications();
  if (process_.pid() != leader || phase_ == Phase::Down || phase_ == Phase::Clearing) return;
  auto status = process_.exit_status();
  if (status) return ended(*status);
  around_.keeper.receive();
  status = around_.keeper.exit_of(row_.incarnation);
  const auto stat = read_stat(static_cast<pid_t>(row_.incarnation.pid));
  const bool kept = around_.keeper.connected() && stat && stat->parent == ::getppid() &&
                    stat->start_time == row_.incarnation.start_time;
  const auto tries_max = kept ? kKeeperTriesMax : kKernelTriesMax;
  if (status || ++status_tries_ > tries_max) return ended(status.value_or(ExitStatus{}));
  process_watch_ = {};
  end_alarm_.set(kStatusPause, [this] { leader_ended(); });
}

void Instance::ended(ExitStatus status) {
  const bool expected = phase_ == Phase::Stopping;
  status_tries_ = 0;
  // Killed while it stood still: who is cloned into such a leaf never gets to its exec, nor we on.
  if (std::exchange(frozen_, false)) tree_.freeze(false);
  completed_ =
      spec_->type == core::RunType::Oneshot && phase_ == Phase::Starting && status.code == 0;
  process_watch_ = {};
  notify_watch_ = {};
  ready_watch_ = {};
  // The end alarm too: it would kill what starts next.
  for (Alarm* alarm : {&ready_alarm_, &start_alarm_, &watchdog_alarm_, &end_alarm_}) {
    alarm->cancel();
  }
  phase_ = Phase::Clearing;
  read_output();
  flush_output();
  if (failure_.empty()) failure_ = text_of(status);
  if (!completed_) around_.host.on_exited(*this, status, expected);
  if (tree_.empty()) return run_after();  // As almost always: it may start again at once.
  if (expected && kill_at_ != Instant::min()) {
    tree_.signal(spec_->stop.signal);
    kill_at_ = now() + kTreeGrace;
  } else {
    kill_tree();
    kill_at_ = Instant::min();
  }
  clear_pause_ = milliseconds(1);
  end_alarm_.set(Duration::zero(), [this] { clear_turn(); });
}

void Instance::clear_turn() {
  if (tree_.empty()) return run_after();
  if (now() >= kill_at_) kill_tree();
  end_alarm_.set(clear_pause_, [this] { clear_turn(); });
  clear_pause_ = std::min<Duration>(clear_pause_ * 2, kClearPauseMax);
}

// One that ended by itself is collected when its end is recorded: if we die before, its row and its
// status are still there for the next engine. What was to end, a command's outcome tells of.
void Instance::finish() {
  read_output();
  flush_output();
  pipe_watch_ = {};
  pipe_.reset();
  hook_output_.reset();
  around_.keeper.drop_later(label("out"));
  if (errors_) {
    errors_->close();
    around_.keeper.drop_later(label("err"));
  }
  if (notify_) around_.keeper.drop_later(label("notify"));
  if (spec_->ready.fd) around_.keeper.drop_later(label("ready"));
  notify_ = {};
  ready_line_.reset();
  if (completed_) return complete();
  bury();  // Who ended before.
  phase_ = Phase::Down;
  dead_ = std::exchange(process_, {});
  dead_row_ = std::make_unique<const RuntimeRow>(row_);
  const bool expected = row_.stopping;
  former_watch_ = {};
  former_.collect();
  former_ = {};
  // One that ended by itself is about to start again, in the same leaf.
  leaf_is_clean_ = tree_.leaf && !row_.stopping && !killed_;
  if (!leaf_is_clean_) tree_.leaf.remove();
  kill_at_ = Instant();
  row_ = {.service = row_.service,
          .instance = row_.instance,
          .incarnation = row_.incarnation,
          .token = {},
          .cgroup = {}};
  if (expected) {
    bury();
  } else {
    burial_tries_ = 0;
    burial_alarm_.set(kBurialPause, [this] { bury_when_recorded(); });
  }
  around_.host.on_down(*this);
}

void Instance::bury_when_recorded() {
  if (around_.host.has_recorded() || ++burial_tries_ > kBurialTriesMax) return bury();
  const auto pause = kBurialPause * (1U << std::min(burial_tries_, 8U));
  burial_alarm_.set(std::min<Duration>(pause, kBurialPauseMax), [this] { bury_when_recorded(); });
}

// After the next start: not where what has ended may be all that is allowed.
bool Instance::may_bury_later() const {
  return leaf_is_clean_ && dead_ && !spec_->limits.pids && spec_->user.empty() &&
         spec_->before.empty();
}

// Its line in the table and its last trace in the kernel. If we die before, the next engine hears
// of its end again, and it is the same end.
void Instance::bury() {
  burial_alarm_.cancel();
  if (!std::exchange(dead_row_, nullptr)) return;
  if (phase_ == Phase::Down) around_.host.on_changed(*this);
  dead_.collect();
  dead_ = {};
  around_.pipes.prepare();
}

}  // namespace recover::adapters::process
