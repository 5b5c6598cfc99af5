#include "adapters/process/instance.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <thread>
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
constexpr int kLeftoverTries = 50;
constexpr milliseconds kLeftoverPause{1};
// How long to ask how a process ended that was not our child: when the keeper is its parent, and
// when only the kernel may know.
constexpr std::uint32_t kKeeperTriesMax = 200;
constexpr std::uint32_t kKernelTriesMax = 10;
constexpr milliseconds kStatusPause{10};
constexpr std::size_t kFailureLines = 5;

std::string random_token() {
  std::array<unsigned char, 8> bytes{};
  if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) return {};
  std::string token;
  for (const unsigned char byte : bytes) {
    std::array<char, 3> hex{};
    std::snprintf(hex.data(), hex.size(), "%02x", byte);
    token += hex.data();
  }
  return token;
}

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
      end_alarm_(surroundings.loop) {
  row_.service = std::move(service);
  row_.instance = number;
}

Instance::~Instance() {
  if (phase_ == Phase::Down) tree_.leaf.remove();
}

std::string Instance::name() const {
  return row_.service + "@" + std::to_string(row_.instance + 1);
}

std::string Instance::label(std::string_view kind) const {
  return "process/" + std::string(kind) + "/" + row_.token;
}

std::string Instance::failure() const {
  std::string text = failure_;
  for (const std::string& line : output_.tail(kFailureLines)) text += "\n" + line;
  return text;
}

void Instance::note(const std::string& text) {
  output_.feed("[recoverd: " + text + "]\n", now());
}

// ---- start -----------------------------------------------------------------------------------

Result<void, std::string> Instance::start(const core::RunSpec& spec) {
  row_ = {.service = row_.service,
          .instance = row_.instance,
          .incarnation = {},
          .token = random_token(),
          .cgroup = {}};
  failure_.clear();
  killed_ = false;
  auto pipe = open_output_pipe();
  if (!pipe) return Unexpected(failure_ = pipe.error());
  spec_ = spec;
  output_ =
      OutputLog(spec.output, [this](std::string_view line) { around_.host.on_line(*this, line); });
  pipe_ = std::move(pipe->reader);
  row_.output_inode = pipe->inode;
  enter_leaf(spec.limits);
  auto wanted = request(spec);
  if (!wanted) return Unexpected(failure_ = wanted.error());
  wanted->output = pipe->writer.get();

  wanted->record = around_.host.record_of(*this);
  auto spawned = spawn(*wanted);
  if (!spawned && spawned.error().unrecorded) {
    around_.host.on_unrecorded();
    wanted->record = around_.host.record_of(*this);
    spawned = spawn(*wanted);
  }
  if (!spawned) {
    failure_ = spawned.error().message;
    pipe_.reset();
    notify_ = {};
    tree_.leaf.remove();
    leaf_is_clean_ = false;
    around_.host.on_changed(*this);
    return Unexpected(failure_);
  }
  row_.incarnation = spawned->process.incarnation();
  phase_ = Phase::Starting;
  process_ = std::move(spawned->process);
  if (!spawned->in_leaf) tree_.leaf = {};
  attach();
  around_.keeper.store(label("out"), pipe_.get());
  if (notify_) around_.keeper.store(label("notify"), notify_.fd());
  around_.host.on_started(*this, false);
  await_ready();
  return {};
}

Result<SpawnRequest, std::string> Instance::request(const core::RunSpec& spec) {
  SpawnRequest wanted{.command = spec.command,
                      .user = spec.user,
                      .group = spec.group,
                      .environment = {},
                      .working_directory = spec.working_directory,
                      .umask = spec.umask,
                      .files = spec.limits.files,
                      .leaf = tree_.leaf,
                      .record = {}};
  for (const auto& [name, value] : spec.environment) {
    wanted.environment.emplace_back(name, value.reveal());
  }
  tree_.token = name() + ":" + row_.token;
  wanted.environment.emplace_back(kTokenVariable, tree_.token);
  if (spec.ready.notify || spec.watchdog) {
    auto socket = NotifySocket::bind(row_.token);
    if (!socket) return Unexpected(socket.error());
    notify_ = std::move(socket).value();
    wanted.environment.emplace_back("NOTIFY_SOCKET", NotifySocket::address(row_.token));
  }
  if (spec.watchdog) {
    const auto limit = std::chrono::duration_cast<std::chrono::microseconds>(*spec.watchdog);
    wanted.environment.emplace_back("WATCHDOG_USEC", std::to_string(limit.count()));
  }
  return wanted;
}

void Instance::enter_leaf(const core::LimitPolicy& limits) {
  tree_ = {};
  if (around_.cgroups && !leaf_is_clean_) remove_leftover();
  const auto leaf = around_.cgroups ? around_.cgroups->leaf(name()) : std::nullopt;
  if (!leaf) {
    if (limits.memory || limits.cpu || limits.pids) note("no writable cgroup: limits not enforced");
    return;
  }
  tree_.leaf = *leaf;
  row_.cgroup = leaf->path();
  for (const std::string& missing : leaf->limit(limits)) {
    note("limit of " + missing + " not enforced: controller not delegated");
  }
}

// Left by a run nobody remembers; the leaf's name makes it ours. A leaf that cgroup.kill was
// written to is not entered again: Linux 6.14 and later end whatever is cloned into it.
void Instance::remove_leftover() {
  const CgroupLeaf leaf(around_.cgroups->path() + "/" + name());
  leaf.remove();
  for (int tries = 0; leaf.exists() && tries < kLeftoverTries; ++tries) {
    leaf.kill();
    std::this_thread::sleep_for(kLeftoverPause);
    leaf.remove();
  }
}

void Instance::attach() {
  tree_.leader = process_.incarnation();
  status_tries_ = 0;
  process_watch_ = Watch(around_.loop, process_.pidfd(), [this] { leader_ended(); });
  watch_output();
  if (notify_) {
    notify_watch_ = Watch(around_.loop, notify_.fd(), [this] { read_notifications(); });
  }
}

void Instance::watch_output() {
  if (pipe_) pipe_watch_ = Watch(around_.loop, pipe_.get(), [this] { read_output(); });
}

void Instance::adopt(const RuntimeRow& row, const core::RunSpec& spec) {
  row_ = row;
  killed_ = true;  // Perhaps, by the engine before.
  spec_ = spec;
  output_ =
      OutputLog(spec.output, [this](std::string_view line) { around_.host.on_line(*this, line); });
  tree_ = {
      .leaf = CgroupLeaf(row.cgroup), .leader = row.incarnation, .token = name() + ":" + row.token};
  if (!tree_.leaf.exists()) tree_.leaf = {};
  pipe_ = around_.keeper.take(label("out"));
  notify_ = NotifySocket(around_.keeper.take(label("notify")));
  auto process = Process::open(row.incarnation);
  if (!process) {
    phase_ = row.stopping ? Phase::Stopping : Phase::Starting;
    ended(around_.keeper.exit_of(row.incarnation).value_or(ExitStatus{}));
    return;
  }
  process_ = std::move(process).value();
  if (!pipe_) pipe_ = reopen_output_pipe(process_.pid(), row.output_inode);
  if (!notify_ && (spec.ready.notify || spec.watchdog)) {
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
  const core::ReadyPolicy& ready = spec_.ready;
  if (!ready.notify && (ready.probe || !ready.after)) return become_ready();
  if (ready.after) ready_alarm_.set(*ready.after, [this] { become_ready(); });
  if (ready.notify) {
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
  failure_ = "not ready within " + seconds_text(spec_.ready.start_timeout);
  kill();
}

void Instance::read_notifications() {
  for (const Notification& notification : notify_.receive()) {
    if (!trusts(notification)) continue;
    if (notification.ready) become_ready();
    if (notification.watchdog) feed_watchdog();
    if (notification.stopping) watchdog_alarm_.cancel();
  }
}

// A sender that is gone already (a short-lived notifier) is believed when its user fits: it knew
// the socket's unguessable name.
bool Instance::trusts(const Notification& notification) const {
  if (notification.sender == process_.pid() || tree_.owns(notification.sender)) return true;
  struct stat leader {};
  const std::string folder = "/proc/" + std::to_string(process_.pid());
  const bool gone = !read_stat(notification.sender).has_value();
  return gone && ::stat(folder.c_str(), &leader) == 0 && leader.st_uid == notification.uid;
}

void Instance::feed_watchdog() {
  if (phase_ != Phase::Up || !spec_.watchdog) return;
  watchdog_alarm_.set(*spec_.watchdog, [this] { around_.host.on_watchdog(*this); });
}

void Instance::read_output() {
  static thread_local std::array<char, kReadBlock> block;
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
  phase_ = Phase::Stopping;
  row_.stopping = true;
  around_.host.on_changed(*this);
  ready_alarm_.cancel();
  start_alarm_.cancel();
  watchdog_alarm_.cancel();
  process_.signal(spec_.stop.signal);
  process_.signal(SIGCONT);  // A stopped process cannot follow the request.
  end_alarm_.set(spec_.stop.timeout, [this] { kill(); });
}

void Instance::kill() {
  if (phase_ == Phase::Down) return;
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

bool Instance::signal(int number) {
  const bool leads = phase_ == Phase::Starting || phase_ == Phase::Up || phase_ == Phase::Stopping;
  return leads && process_.signal(number);
}

void Instance::leader_ended() {
  auto status = process_.exit_status();
  if (status) return ended(*status);
  around_.keeper.receive();
  status = around_.keeper.exit_of(row_.incarnation);
  const auto stat = read_stat(process_.pid());
  const bool kept = around_.keeper.connected() && stat && stat->parent == ::getppid();
  const auto tries_max = kept ? kKeeperTriesMax : kKernelTriesMax;
  if (status || ++status_tries_ > tries_max) return ended(status.value_or(ExitStatus{}));
  process_watch_ = {};
  end_alarm_.set(kStatusPause, [this] { leader_ended(); });
}

void Instance::ended(ExitStatus status) {
  const bool expected = phase_ == Phase::Stopping;
  process_watch_ = {};
  notify_watch_ = {};
  for (Alarm* alarm : {&ready_alarm_, &start_alarm_, &watchdog_alarm_}) alarm->cancel();
  phase_ = Phase::Clearing;
  read_output();
  output_.flush(now());
  if (failure_.empty()) failure_ = text_of(status);
  around_.host.on_exited(*this, status, expected);
  if (tree_.empty()) return finish();  // As almost always: it may start again at once.
  if (expected && kill_at_ != Instant::min()) {
    tree_.signal(spec_.stop.signal);
    kill_at_ = now() + kTreeGrace;
  } else {
    kill_tree();
    kill_at_ = Instant::min();
  }
  clear_pause_ = milliseconds(1);
  end_alarm_.set(Duration::zero(), [this] { clear_turn(); });
}

void Instance::clear_turn() {
  if (tree_.empty()) return finish();
  if (now() >= kill_at_) kill_tree();
  end_alarm_.set(clear_pause_, [this] { clear_turn(); });
  clear_pause_ = std::min<Duration>(clear_pause_ * 2, kClearPauseMax);
}

// The leader is collected last: if we die before, its status is still there for the next engine.
void Instance::finish() {
  read_output();
  output_.flush(now());
  pipe_watch_ = {};
  pipe_.reset();
  notify_ = {};
  around_.keeper.drop(label("out"));
  around_.keeper.drop(label("notify"));
  phase_ = Phase::Down;
  around_.host.on_changed(*this);
  process_.collect();
  process_ = {};
  // One that ended by itself is about to start again, in the same leaf.
  leaf_is_clean_ = tree_.leaf && !row_.stopping && !killed_;
  if (!leaf_is_clean_) tree_.leaf.remove();
  kill_at_ = Instant();
  row_ = {.service = row_.service,
          .instance = row_.instance,
          .incarnation = row_.incarnation,
          .token = {},
          .cgroup = {}};
  around_.host.on_down(*this);
}

}  // namespace recover::adapters::process
