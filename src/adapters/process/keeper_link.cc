#include "adapters/process/keeper_link.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>

#include <charconv>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "adapters/process/keeper.h"
#include "adapters/process/keeper_message.h"

namespace recover::adapters::process {
namespace {

constexpr int kHelloWaitMillis = 5'000;
constexpr int kSendWaitMillis = 100;

int inherited_fd() noexcept {
  const char* const text = std::getenv(kKeeperVariable);
  if (text == nullptr) return -1;
  int fd = -1;
  std::from_chars(text, text + std::strlen(text), fd);
  return fd >= 0 && ::fcntl(fd, F_GETFD) >= 0 ? fd : -1;
}

}  // namespace

bool has_keeper() noexcept {
  int type = 0;
  socklen_t size = sizeof type;
  const int fd = inherited_fd();
  return fd >= 0 && ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
         type == SOCK_SEQPACKET;
}

KeeperLink KeeperLink::connect() {
  KeeperLink link;
  link.socket_.reset(inherited_fd());
  // Before any thread was started.  NOLINTNEXTLINE(concurrency-mt-unsafe)
  ::unsetenv(kKeeperVariable);
  if (!link.connected()) return link;
  ::fcntl(link.fd(), F_SETFD, FD_CLOEXEC);
  link.send({.kind = MessageKind::Fetch, .label = make_label(kTakesMany)}, -1);
  while (!link.fetched_) {
    pollfd ready{.fd = link.fd(), .events = POLLIN, .revents = 0};
    if (::poll(&ready, 1, kHelloWaitMillis) != 1 || !link.receive()) break;
  }
  return link;
}

bool KeeperLink::receive() {
  Many many;
  while (connected()) {
    Received received;
    const Transfer transfer = receive_message(socket_.get(), received, &many);
    if (transfer == Transfer::Later) return true;
    if (transfer == Transfer::Closed) break;
    const Message& message = received.message;
    if (message.kind == MessageKind::Fetched) fetched_ = true;
    if (message.kind == MessageKind::Kept) {
      kept_.insert_or_assign(message.label.data(), std::move(received.attached));
    }
    for (std::size_t i = 0; i < many.count; ++i) {
      many.labels[i].back() = '\0';
      kept_.insert_or_assign(many.labels[i].data(), std::move(many.attached[i]));
    }
    if (message.kind == MessageKind::Exit) {
      const core::Incarnation incarnation{.pid = message.pid, .start_time = message.start_time};
      if (exits_.size() >= kOrphansMax) exits_.erase(exits_.begin());
      exits_.insert_or_assign(
          message.pid,
          std::pair(incarnation, ExitStatus{.code = message.code, .signal = message.signal}));
    }
  }
  lost_ = true;
  return false;
}

Descriptor KeeperLink::take(std::string_view label) {
  const auto found = kept_.find(label);
  if (found == kept_.end()) return Descriptor();
  Descriptor fd = std::move(found->second);
  kept_.erase(found);
  return fd;
}

std::vector<std::string> KeeperLink::labels(std::string_view prefix) const {
  std::vector<std::string> found;
  for (auto each = kept_.lower_bound(prefix); each != kept_.end(); ++each) {
    if (!each->first.starts_with(prefix)) break;
    found.push_back(each->first);
  }
  return found;
}

void KeeperLink::store(std::string_view label, int fd) {
  send({.kind = MessageKind::Store, .label = make_label(label)}, fd);
  for (const std::string& gone : std::exchange(drops_, {})) drop(gone);
}

void KeeperLink::drop_later(std::string_view label) {
  drops_.emplace_back(label);
  if (drops_.size() < kDropsMax) return;
  for (const std::string& gone : std::exchange(drops_, {})) drop(gone);
}

void KeeperLink::drop(std::string_view label) {
  if (const auto found = kept_.find(label); found != kept_.end()) kept_.erase(found);
  send({.kind = MessageKind::Drop, .label = make_label(label)}, -1);
}

void KeeperLink::announce(std::string_view state) {
  send({.kind = MessageKind::Announce, .label = make_label(state)}, -1);
}

void KeeperLink::reexec() {
  send({.kind = MessageKind::Reexec}, -1);
}

std::optional<ExitStatus> KeeperLink::exit_of(core::Incarnation incarnation) const {
  const auto found = exits_.find(static_cast<pid_t>(incarnation.pid));
  if (found == exits_.end() || found->second.first != incarnation) return std::nullopt;
  return found->second.second;
}

void KeeperLink::send(const Message& message, int fd) {
  if (!connected() || send_message(socket_.get(), message, fd) != Transfer::Later) return;
  pollfd ready{.fd = socket_.get(), .events = POLLOUT, .revents = 0};
  if (::poll(&ready, 1, kSendWaitMillis) == 1) send_message(socket_.get(), message, fd);
}

}  // namespace recover::adapters::process
