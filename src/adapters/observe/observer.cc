#include "adapters/observe/observer.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <utility>

#include "adapters/observe/search.h"

namespace recover::adapters::observe {
namespace {

using boost::system::error_code;
using core::OwnerVerdict;

bool has_ended(int pidfd) {
  pollfd ready{.fd = pidfd, .events = POLLIN, .revents = 0};
  return ::poll(&ready, 1, 0) == 1;
}

}  // namespace

// One service's process. Handlers hold it weakly: only the observer owns it.
class Observer::Watch : public std::enable_shared_from_this<Watch> {
 public:
  Watch(Observer& observer, const core::ObserveSpec& wanted)
      : spec(wanted),
        observer_(observer),
        search_(wanted),
        pidfd_(observer.loop_),
        timer_(observer.loop_) {}

  void search() {
    if (const auto pid = search_.find()) {
      if (hold(*pid)) return schedule(observer_.options_.check_interval);
    }
    if (!std::exchange(told_missing_, true)) {
      tell(OwnerVerdict::Failed, "no such process is found");
    }
    schedule(observer_.options_.search_interval);
  }

  bool holds() const { return incarnation_.pid != 0; }
  void tell_again() {
    if (holds()) tell(OwnerVerdict::Up, {});
    if (!holds() && told_missing_) tell(OwnerVerdict::Failed, "no such process is found");
  }
  bool signal(int number) {
    return holds() &&
           ::syscall(SYS_pidfd_send_signal, pidfd_.native_handle(), number, nullptr, 0) == 0;
  }
  std::int64_t pid() const { return incarnation_.pid; }

  core::ServiceIndex service;
  const core::ObserveSpec spec;

 private:
  void tell(OwnerVerdict verdict, std::string detail) {
    core::OwnerReported event;
    event.service = service;
    event.verdict = verdict;
    event.incarnation = incarnation_;
    event.detail = std::move(detail);
    observer_.options_.sink(std::move(event));
  }

  // The start time is read after the pidfd was opened, so both are of one process.
  bool hold(pid_t pid) {
    const int fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
    if (fd < 0) return false;
    const std::uint64_t start_time = observer_.options_.start_time_of(pid);
    if (start_time == 0 || has_ended(fd)) {
      ::close(fd);
      return false;
    }
    close();
    pidfd_.assign(fd);
    incarnation_ = {.pid = pid, .start_time = start_time};
    told_missing_ = false;
    pidfd_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                      [weak = weak_from_this(), held = incarnation_](error_code error) {
                        const auto self = weak.lock();
                        if (!error && self && self->incarnation_ == held) self->ended();
                      });
    tell(OwnerVerdict::Up, {});
    return true;
  }

  void ended() {
    const core::Incarnation gone = std::exchange(incarnation_, {});
    close();
    // Its owner may have replaced it already; the new one is found before the old is mourned.
    const auto next = search_.find();
    if (next && hold(*next)) return schedule(observer_.options_.check_interval);
    told_missing_ = true;
    tell(OwnerVerdict::Failed,
         "pid " + std::to_string(gone.pid) + " has ended; how, only its parent knows");
    schedule(observer_.options_.search_interval);
  }

  void close() {
    error_code ignored;
    if (pidfd_.is_open()) pidfd_.close(ignored);
  }

  void schedule(Duration after) {
    timer_.expires_after(after);
    timer_.async_wait([weak = weak_from_this()](error_code error) {
      const auto self = weak.lock();
      if (!error && self) self->check();
    });
  }

  // A pid file may name another process while the old one still lives.
  void check() {
    if (!holds()) return search();
    if (!spec.pid_file.empty()) {
      const auto named = search_.find();
      if (named && *named != incarnation_.pid) hold(*named);
    }
    schedule(observer_.options_.check_interval);
  }

  Observer& observer_;
  Search search_;
  boost::asio::posix::stream_descriptor pidfd_;
  boost::asio::steady_timer timer_;
  core::Incarnation incarnation_;  // pid 0: none is held.
  bool told_missing_ = false;
};

Observer::Observer(boost::asio::io_context& loop, ObserverOptions options)
    : loop_(loop), options_(std::move(options)) {}
Observer::~Observer() = default;

void Observer::watch(const core::Policy& policy) {
  std::map<std::string, std::shared_ptr<Watch>> before = std::move(watches_);
  watches_.clear();
  for (std::uint32_t index = 0; index < policy.services.size(); ++index) {
    const core::ServicePolicy& service = policy.services[index];
    const auto* spec = std::get_if<core::ObserveSpec>(&service.spec);
    if (spec == nullptr) continue;
    const auto known = before.find(service.name);
    const bool same = known != before.end() && known->second->spec == *spec;
    const auto watch = same ? known->second : std::make_shared<Watch>(*this, *spec);
    watch->service = core::ServiceIndex{index};
    watches_.emplace(service.name, watch);
    if (same) {
      watch->tell_again();
    } else {
      watch->search();
    }
  }
}

void Observer::look(core::ServiceIndex service) {
  for (const auto& [name, watch] : watches_) {
    if (watch->service == service && !watch->holds()) watch->search();
  }
}

void Observer::report(const ports::Done& done, core::CommandFinished finished) {
  boost::asio::post(loop_, [done, finished = std::move(finished)] { done(finished); });
}

void Observer::perform(const core::Command& command, const core::Policy& policy, ports::Done done) {
  const core::ServicePolicy& service = policy.service(command.service);
  const auto found = watches_.find(service.name);
  core::CommandFinished finished{.command = command.id};
  if (command.action != core::ActionKind::Signal || found == watches_.end()) {
    finished.outcome = core::CommandOutcome::Refused;
    finished.detail = service.name +
                      " is only observed: it can be signalled, or mended by `exec`, " +
                      "but not be told to " + std::string(core::to_string(command.action));
    return report(done, std::move(finished));
  }
  const int number = core::signal_of(command, policy).signal;
  const bool sent = found->second->signal(number);
  finished.outcome = sent ? core::CommandOutcome::Done : core::CommandOutcome::Failed;
  finished.detail =
      sent ? "signal " + std::to_string(number) + " to pid " + std::to_string(found->second->pid())
           : "no process, or it may not be signalled";
  report(done, std::move(finished));
}

void Observer::cancel(core::CommandId /*command*/) {}  // A signal is sent at once.

}  // namespace recover::adapters::observe
