#include "adapters/process/notify_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <system_error>

namespace recover::adapters::process {
namespace {

constexpr std::size_t kMessageMax = 4096;
constexpr std::size_t kDescriptorsMax = 16;  // Of one message; what is more, the kernel closes.
constexpr std::int64_t kMicrosMax = 366LL * 86'400 * 1'000'000;

struct Address {
  sockaddr_un name{};
  socklen_t size = 0;
};

Address abstract_address(std::string_view token) {
  Address address;
  address.name.sun_family = AF_UNIX;
  const std::string path = NotifySocket::address(token).substr(1);
  const auto length = std::min(path.size(), sizeof address.name.sun_path - 1);
  std::memcpy(&address.name.sun_path[1], path.data(), length);
  address.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + length);
  return address;
}

struct Attached {
  std::optional<ucred> sender;
  std::vector<Descriptor> descriptors;
};

Attached take_attached(msghdr& header) {
  Attached found;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      found.sender.emplace();
      std::memcpy(&*found.sender, CMSG_DATA(part), sizeof *found.sender);
    }
    if (part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
      found.descriptors.emplace_back(fd);
    }
  }
  return found;
}

template <class Number>
std::optional<Number> number_in(std::string_view text) {
  Number number = 0;
  const char* const end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, number);
  return error == std::errc() && stop == end ? std::optional(number) : std::nullopt;
}

std::optional<Duration> micros_in(std::string_view text) {
  const auto micros = number_in<std::int64_t>(text);
  if (!micros || *micros < 0 || *micros > kMicrosMax) return std::nullopt;
  return std::chrono::microseconds(*micros);
}

void take_field(Notification& notification, std::string_view name, std::string_view value) {
  const bool yes = value == "1";
  if (name == "READY") notification.ready = yes;
  if (name == "STOPPING") notification.stopping = yes;
  if (name == "RELOADING") notification.reloading = yes;
  if (name == "FDSTORE") notification.store = yes;
  if (name == "FDSTOREREMOVE") notification.forget = yes;
  if (name == "WATCHDOG") {
    notification.watchdog = yes;
    notification.trigger = value == "trigger";
  }
  if (name == "FDNAME") notification.name = value;
  if (name == "STATUS") notification.status = value;
  if (name == "MAINPID") notification.main_pid = number_in<pid_t>(value);
  if (name == "ERRNO") notification.error = number_in<int>(value);
  if (name == "EXTEND_TIMEOUT_USEC") notification.extend = micros_in(value);
  if (name == "WATCHDOG_USEC") notification.watchdog_for = micros_in(value);
}

}  // namespace

std::string NotifySocket::address(std::string_view token) {
  return "@recoverd/notify/" + std::string(token);
}

Result<NotifySocket, std::string> NotifySocket::bind(std::string_view token) {
  Descriptor socket(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const Address address = abstract_address(token);
  const int on = 1;
  if (!socket || ::setsockopt(socket.get(), SOL_SOCKET, SO_PASSCRED, &on, sizeof on) != 0 ||
      ::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address.name), address.size) != 0) {
    return Unexpected(std::string("notify socket: ") + std::generic_category().message(errno));
  }
  return NotifySocket(std::move(socket));
}

std::vector<Notification> NotifySocket::receive() {
  std::vector<Notification> all;
  for (std::size_t count = 0; count < kNotificationsMax; ++count) {
    std::array<char, kMessageMax> text{};
    alignas(cmsghdr)
        std::array<char, CMSG_SPACE(sizeof(ucred)) + CMSG_SPACE(kDescriptorsMax * sizeof(int))>
            control{};
    iovec body{.iov_base = text.data(), .iov_len = text.size()};
    msghdr header{};
    header.msg_iov = &body;
    header.msg_iovlen = 1;
    header.msg_control = control.data();
    header.msg_controllen = control.size();
    const ssize_t size = ::recvmsg(socket_.get(), &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0) break;
    Attached attached = take_attached(header);
    if (!attached.sender) continue;
    all.push_back(parse_notification({text.data(), static_cast<std::size_t>(size)}));
    all.back().sender = attached.sender->pid;
    all.back().uid = attached.sender->uid;
    if (all.back().store) all.back().descriptors = std::move(attached.descriptors);
  }
  return all;
}

Notification parse_notification(std::string_view text) {
  Notification notification;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    const auto equals = line.find('=');
    if (equals != std::string_view::npos) {
      take_field(notification, line.substr(0, equals), line.substr(equals + 1));
    }
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return notification;
}

}  // namespace recover::adapters::process
