#include "adapters/process/notify_socket.h"

#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

namespace recover::adapters::process {
namespace {

constexpr std::size_t kMessageMax = 4096;
constexpr std::size_t kDescriptorsMax = 16;  // Senders may attach some; they are closed.

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

std::optional<ucred> credentials(msghdr& header) {
  std::optional<ucred> found;
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET) continue;
    if (part->cmsg_type == SCM_CREDENTIALS) {
      found.emplace();
      std::memcpy(&*found, CMSG_DATA(part), sizeof *found);
    }
    if (part->cmsg_type != SCM_RIGHTS) continue;
    for (std::size_t at = 0; CMSG_LEN(at + sizeof(int)) <= part->cmsg_len; at += sizeof(int)) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + at, sizeof fd);
      const Descriptor closed(fd);
    }
  }
  return found;
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
    const auto sender = credentials(header);
    if (!sender) continue;
    all.push_back(parse_notification({text.data(), static_cast<std::size_t>(size)}));
    all.back().sender = sender->pid;
    all.back().uid = sender->uid;
  }
  return all;
}

Notification parse_notification(std::string_view text) {
  constexpr std::string_view kStatus = "STATUS=";
  Notification notification;
  while (!text.empty()) {
    const auto end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line == "READY=1") notification.ready = true;
    if (line == "WATCHDOG=1") notification.watchdog = true;
    if (line == "STOPPING=1") notification.stopping = true;
    if (line.starts_with(kStatus)) notification.status = line.substr(kStatus.size());
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return notification;
}

}  // namespace recover::adapters::process
