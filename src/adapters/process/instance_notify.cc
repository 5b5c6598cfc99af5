// The part of Instance that hears what the service says of itself: sd_notify and notification-fd.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "adapters/process/instance.h"
#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr std::size_t kStatusMax = 256;

}  // namespace

void Instance::read_notifications() {
  for (Notification& notification : notify_.receive()) {
    if (trusts(notification)) heed(notification);
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

// Who it is comes before what it says: the leader first, then its state.
void Instance::heed(Notification& notification) {
  if (notification.main_pid) follow(*notification.main_pid);
  if (!notification.status.empty()) {
    status_ = notification.status.substr(0, kStatusMax);
  }
  if (notification.error && *notification.error != 0) {
    failure_ = "it said: " + std::string(::strerrordesc_np(*notification.error) != nullptr
                                             ? ::strerrordesc_np(*notification.error)
                                             : "error " + std::to_string(*notification.error));
  }
  if (notification.watchdog_for) watchdog_ = *notification.watchdog_for;
  if (notification.extend) extend(*notification.extend);
  if (notification.reloading) reloading_ = true;
  if (notification.ready) {
    reloading_ = false;
    if (spec_->ready.notify) become_ready();
  }
  if (notification.watchdog) feed_watchdog();
  if (notification.stopping) watchdog_alarm_.cancel();
  if (notification.trigger && phase_ == Phase::Up) around_.host.on_watchdog(*this);
  for (Descriptor& descriptor : notification.descriptors) {
    if (!store_.put(notification.name, std::move(descriptor), spec_->fd_store)) {
      note("a descriptor was not kept: fd_store is " + std::to_string(spec_->fd_store));
    }
  }
  if (notification.forget) store_.remove(notification.name);
}

// Only one of its own: the name of a stranger would have us watch and kill it.
void Instance::follow(pid_t main_pid) {
  if (main_pid == process_.pid() || !tree_.owns(main_pid)) return;
  if (phase_ != Phase::Starting && phase_ != Phase::Up) return;
  const auto stat = read_stat(main_pid);
  if (!stat) return;
  auto process = Process::open({.pid = main_pid, .start_time = stat->start_time});
  if (!process || !tree_.owns(main_pid)) return;
  process_watch_ = {};
  former_watch_ = {};
  former_.collect();
  former_ = std::move(process_);
  process_ = std::move(process).value();
  row_.incarnation = process_.incarnation();
  status_tries_ = 0;
  process_watch_ = Watch(around_.loop, process_.pidfd(), [this] { leader_ended(); });
  former_watch_ = Watch(around_.loop, former_.pidfd(), [this] {
    former_watch_ = {};
    former_.collect();
    former_ = {};
  });
  around_.host.on_changed(*this);
  around_.host.on_started(*this, true);
}

void Instance::extend(Duration by) {
  if (phase_ == Phase::Starting && start_alarm_.armed()) {
    start_alarm_.set(by, [this] { not_ready_in_time(); });
  } else if (phase_ == Phase::Stopping && status_tries_ == 0) {
    end_alarm_.set(by, [this] { kill(); });
  } else {
    return;
  }
  around_.host.on_extended(*this, by);
}

void Instance::feed_watchdog() {
  if (phase_ != Phase::Up || watchdog_ <= Duration::zero()) return;
  watchdog_alarm_.set(watchdog_, [this] { around_.host.on_watchdog(*this); });
}

// A newline: ready. Closed without one: it will not tell any more, and the start times out.
void Instance::read_ready_line() {
  std::array<char, 64> text{};
  const ssize_t size = ::read(ready_line_.get(), text.data(), text.size());
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return;
  const std::string_view line(text.data(), static_cast<std::size_t>(std::max<ssize_t>(size, 0)));
  const bool said = line.find('\n') != std::string_view::npos;
  if (size > 0 && !said) return;
  ready_watch_ = {};
  ready_line_.reset();
  around_.keeper.drop(label("ready"));
  if (said) become_ready();
}

}  // namespace recover::adapters::process
