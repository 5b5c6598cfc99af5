#include "adapters/process/keeper.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <utility>

#include "adapters/process/descriptor.h"
#include "adapters/process/keeper_handover.h"
#include "adapters/process/keeper_message.h"
#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

using Steady = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr int kConfigurationError = 2;
constexpr std::chrono::seconds kHelloWait{1};
constexpr milliseconds kForkRetry{100};
constexpr int kStopTriesMax = 3;  // Engines that break while stopping, before we give up.

// Of fixed size, in static memory: pages that are never used cost nothing.
struct Storage {
  std::array<Label, kStoredFdsMax> labels{};
  std::array<int, kStoredFdsMax> fds{};  // -1: free.
  std::array<KeptExit, kOrphansMax> exits{};
  std::array<Steady::time_point, kEngineDeathsMax> deaths{};
};
// The keeper's process has one keeper.
// NOLINTNEXTLINE(cppcoreguidelines-avoid-non-const-global-variables)
Storage storage;

class Keeper {
 public:
  Keeper(const std::function<int()>& engine_main, KeeperOptions options)
      : engine_main_(engine_main), options_(options) {
    storage.fds.fill(-1);
  }

  int run() {
    prepare();
    collect_children();  // Those that ended while we were executed anew.
    start_engine();
    while (!result_) turn();
    return *result_;
  }

 private:
  void prepare() {
    ::prctl(PR_SET_CHILD_SUBREAPER, 1);
    rlimit files{};
    if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
      files.rlim_cur = files.rlim_max;
      ::setrlimit(RLIMIT_NOFILE, &files);
    }
    sigset_t handled;
    ::sigemptyset(&handled);
    for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) ::sigaddset(&handled, number);
    ::pthread_sigmask(SIG_BLOCK, &handled, &original_mask_);
    manager_ = open_manager();
    const int handover = handover_fd();
    if (handover < 0) return listen(handled);
    // Executed anew: what we block, the keeper before us blocked.
    for (const int number : {SIGCHLD, SIGTERM, SIGINT, SIGHUP}) {
      ::sigdelset(&original_mask_, number);
    }
    read_handover(
        handover, [this](const Label& label, int fd) { store(label, Descriptor(fd)); },
        [this](const KeptExit& exit) { storage.exits[exits_++ % kOrphansMax] = exit; });
    listen(handled);
  }

  void listen(const sigset_t& handled) {
    signals_.reset(::signalfd(-1, &handled, SFD_CLOEXEC | SFD_NONBLOCK));
  }

  void start_engine() {
    start_at_.reset();
    std::array<int, 2> ends{-1, -1};
    if (::socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ends.data()) != 0) {
      start_at_ = Steady::now() + kForkRetry;
      return;
    }
    socket_.reset(ends[0]);
    Descriptor engine_end(ends[1]);
    std::fflush(nullptr);
    engine_ = ::fork();
    if (engine_ == 0) be_engine(std::move(engine_end));
    if (engine_ < 0) start_at_ = Steady::now() + kForkRetry;
    greeted_ = takes_many_ = fetched_ = false;
    fetch_cursor_ = 0;
    exit_cursor_ = exits_ > kOrphansMax ? exits_ - kOrphansMax : 0;
    started_at_ = Steady::now();
  }

  [[noreturn]] void be_engine(Descriptor engine_end) noexcept {
    // Ctrl-C in a terminal reaches it through us alone: told twice, it would leave the services.
    ::setpgid(0, 0);
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      if (storage.fds[slot] >= 0) ::close(storage.fds[slot]);
    }
    socket_.reset();
    signals_.reset();
    ::fcntl(engine_end.get(), F_SETFD, 0);  // Also through an exec.
    // Whoever keeps us starts another keeper when this one dies, and its engine needs our journal:
    // then this engine ends as if it had crashed, services running on. Alone it would go on alone.
    const bool orphaned =
        manager_ && ::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0 && ::getppid() != keeper_;
    if (orphaned) ::_exit(1);
    manager_.reset();
    std::array<char, 16> number{};
    std::snprintf(number.data(), number.size(), "%d", engine_end.release());
    // A child just forked has one thread.  NOLINTNEXTLINE(concurrency-mt-unsafe)
    ::setenv(kKeeperVariable, number.data(), 1);
    // What we were started by is ours to talk to.  NOLINTNEXTLINE(concurrency-mt-unsafe)
    ::unsetenv(kManagerVariable);
    ::pthread_sigmask(SIG_SETMASK, &original_mask_, nullptr);
    const int code = engine_main_();
    std::fflush(nullptr);
    ::_exit(code);
  }

  // The one place that sleeps.
  void turn() {
    std::array<pollfd, 2> ready{};
    ready[0] = {.fd = signals_.get(), .events = POLLIN, .revents = 0};
    const bool writing = greeted_ && (!fetched_ || exit_cursor_ < exits_);
    ready[1] = {.fd = socket_.get(),
                .events = static_cast<short>(POLLIN | (writing ? POLLOUT : 0)),
                .revents = 0};
    ::poll(ready.data(), ready.size(), wait_millis());
    if (ready[1].revents != 0) receive();
    if (ready[0].revents != 0) read_signals();
    forward_signal();
    send_pending();
    if (start_at_ && Steady::now() >= *start_at_) start_engine();
  }

  int wait_millis() const {
    std::optional<Steady::time_point> until = start_at_;
    if (pending_signal_ != 0 && !greeted_ && engine_ > 0) until = started_at_ + kHelloWait;
    if (!until) return -1;
    const auto left = std::chrono::ceil<milliseconds>(*until - Steady::now()).count();
    return static_cast<int>(std::max<milliseconds::rep>(left, 0));
  }

  // ---- signals and children

  void read_signals() {
    signalfd_siginfo info{};
    while (::read(signals_.get(), &info, sizeof info) == static_cast<ssize_t>(sizeof info)) {
      const auto number = static_cast<int>(info.ssi_signo);
      if (number == SIGCHLD) continue;
      // A hang-up never replaces a request to stop.
      if (pending_signal_ == 0 || number != SIGHUP) pending_signal_ = number;
      if (number != SIGHUP) {
        stopping_ = true;
        stop_signal_ = number;
      }
    }
    collect_children();
  }

  void forward_signal() {
    if (pending_signal_ == 0) return;
    if (engine_ <= 0) {
      // To stop services takes an engine.
      if (start_at_) start_at_ = Steady::now();
      return;
    }
    if (!greeted_ && Steady::now() < started_at_ + kHelloWait) return;
    ::kill(engine_, pending_signal_);  // Our child, not collected: the pid is its own.
    pending_signal_ = 0;
  }

  void collect_children() {
    while (true) {
      siginfo_t info{};
      if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
      const auto stat =
          read_stat(info.si_pid);  // Before it is collected: it names the incarnation.
      siginfo_t collected{};
      ::waitid(P_PID, static_cast<id_t>(info.si_pid), &collected, WEXITED | WNOHANG);
      const bool exited = info.si_code == CLD_EXITED;
      const KeptExit exit{.pid = info.si_pid,
                          .start_time = stat ? stat->start_time : 0,
                          .code = exited ? info.si_status : -1,
                          .signal = exited ? 0 : info.si_status};
      if (exit.pid == engine_) {
        engine_ended(exit);
      } else if (!stat || stat->session == exit.pid) {
        storage.exits[exits_++ % kOrphansMax] = exit;  // Services lead their session.
      }
    }
  }

  void engine_ended(const KeptExit& exit) {
    engine_ = -1;
    receive_all();  // What it asked us to keep with its last breath.
    socket_.reset();
    greeted_ = false;
    if (std::exchange(reexec_, false) && !stopping_) {
      execute_anew();  // Comes back only if that was not possible.
      start_at_ = Steady::now();
      return;
    }
    // One that was killed or crashed has not stopped the services: the next one will.
    const bool broken = exit.signal != 0 && exit.signal != stop_signal_;
    if (stopping_ && broken && stop_tries_++ < kStopTriesMax) {
      pending_signal_ = stop_signal_;
      start_at_ = Steady::now();
      return;
    }
    if (stopping_ || exit.code == 0 || exit.code == kConfigurationError) {
      result_ = exit.signal != 0 ? 128 + exit.signal : exit.code;
      return;
    }
    const auto now = Steady::now();
    const auto oldest = storage.deaths[deaths_ % kEngineDeathsMax];
    const bool often = deaths_ >= kEngineDeathsMax && now - oldest < options_.death_window;
    storage.deaths[deaths_++ % kEngineDeathsMax] = now;
    start_at_ = often ? now + options_.backoff : now;
  }

  // With everything kept but the engine, which is gone.
  void execute_anew() {
    if (options_.program == nullptr) return;
    const Descriptor handover = begin_handover();
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      if (storage.fds[slot] >= 0) add_kept(handover, storage.labels[slot], storage.fds[slot]);
    }
    const std::uint64_t oldest = exits_ > kOrphansMax ? exits_ - kOrphansMax : 0;
    for (std::uint64_t i = oldest; i < exits_; ++i) {
      add_exit(handover, storage.exits[i % kOrphansMax]);
    }
    finish_handover(handover, options_.program, options_.arguments);
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      if (storage.fds[slot] >= 0) ::fcntl(storage.fds[slot], F_SETFD, FD_CLOEXEC);
    }
  }

  // ---- the engine's messages

  void receive() {
    if (receive_all()) return;
    socket_.reset();  // It closed its end; it may live on without us.
    greeted_ = false;
  }

  // False: the engine's end is closed.
  bool receive_all() {
    for (std::size_t count = 0; count < kStoredFdsMax; ++count) {
      Received received;
      switch (receive_message(socket_.get(), received)) {
        case Transfer::Done: handle(received); break;
        case Transfer::Later: return true;
        case Transfer::Closed: return false;
      }
    }
    return true;
  }

  void handle(Received& received) {
    switch (received.message.kind) {
      case MessageKind::Fetch:
        greeted_ = true;
        takes_many_ = received.message.label == make_label(kTakesMany);
        break;
      case MessageKind::Store: store(received.message.label, std::move(received.attached)); break;
      case MessageKind::Drop: drop(received.message.label); break;
      case MessageKind::Announce: announce(manager_, received.message.label.data()); break;
      case MessageKind::Reexec: reexec_ = true; break;
      case MessageKind::Kept:
      case MessageKind::KeptMany:
      case MessageKind::Exit:
      case MessageKind::Fetched: break;  // Ours to say.
    }
  }

  void store(const Label& label, Descriptor fd) {
    drop(label);
    for (std::size_t slot = 0; slot < kStoredFdsMax && fd; ++slot) {
      if (storage.fds[slot] >= 0) continue;
      storage.labels[slot] = label;
      storage.fds[slot] = fd.release();
      slots_ = std::max(slots_, slot + 1);
    }
  }

  void drop(const Label& label) {
    for (std::size_t slot = 0; slot < slots_; ++slot) {
      if (storage.fds[slot] < 0 || storage.labels[slot] != label) continue;
      ::close(storage.fds[slot]);
      storage.fds[slot] = -1;
    }
    while (slots_ > 0 && storage.fds[slots_ - 1] < 0) --slots_;
  }

  void send_pending() {
    if (!greeted_) return;
    while (fetch_cursor_ < slots_) {
      if (!send_kept()) return;
    }
    if (exits_ > exit_cursor_ + kOrphansMax) exit_cursor_ = exits_ - kOrphansMax;
    for (; exit_cursor_ < exits_; ++exit_cursor_) {
      const KeptExit& exit = storage.exits[exit_cursor_ % kOrphansMax];
      const Message message{.kind = MessageKind::Exit,
                            .pid = exit.pid,
                            .start_time = exit.start_time,
                            .code = exit.code,
                            .signal = exit.signal};
      if (!send(message, -1)) return;
    }
    if (fetched_) return;
    fetched_ = send({.kind = MessageKind::Fetched}, -1);
    if (fetched_ && options_.settled != nullptr) options_.settled();
  }

  // What is kept from the cursor on, as much as goes in one packet. False: later.
  bool send_kept() {
    const std::size_t most = takes_many_ ? kManyMax : 1;
    std::array<Label, kManyMax> labels{};
    std::array<int, kManyMax> fds{};
    std::size_t count = 0;
    std::size_t next = fetch_cursor_;
    for (; next < slots_ && count < most; ++next) {
      if (fetched_ || storage.fds[next] < 0) continue;
      labels[count] = storage.labels[next];
      fds[count++] = storage.fds[next];
    }
    if (count > 0) {
      const bool sent = takes_many_ ? send_many(socket_.get(), {labels.data(), count},
                                                {fds.data(), count}) == Transfer::Done
                                    : send({.kind = MessageKind::Kept, .label = labels[0]}, fds[0]);
      if (!sent) return false;
    }
    fetch_cursor_ = next;
    return true;
  }

  bool send(const Message& message, int fd) {
    return send_message(socket_.get(), message, fd) == Transfer::Done;
  }

  const std::function<int()>& engine_main_;
  const KeeperOptions options_;
  sigset_t original_mask_{};
  Descriptor signals_;
  Descriptor socket_;
  const pid_t keeper_ = ::getpid();
  pid_t engine_ = -1;
  std::size_t slots_ = 0;    // Slots in use are below.
  std::uint64_t exits_ = 0;  // Remembered since the start; the newest kOrphansMax are kept.
  std::uint64_t deaths_ = 0;
  // Of this engine:
  Steady::time_point started_at_;
  bool greeted_ = false;
  bool takes_many_ = false;
  bool fetched_ = false;
  std::size_t fetch_cursor_ = 0;
  std::uint64_t exit_cursor_ = 0;

  Descriptor manager_;  // Connected to NOTIFY_SOCKET; empty: nobody listens.
  bool reexec_ = false;
  int pending_signal_ = 0;
  bool stopping_ = false;
  int stop_signal_ = 0;
  int stop_tries_ = 0;
  std::optional<Steady::time_point> start_at_;
  std::optional<int> result_;
};

}  // namespace

int run_keeper(const std::function<int()>& engine_main, KeeperOptions options) {
  return Keeper(engine_main, options).run();
}

}  // namespace recover::adapters::process
