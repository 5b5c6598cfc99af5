#include "adapters/process/keeper_message.h"

#include <sys/socket.h>

#include <cerrno>

namespace recover::adapters::process {
namespace {

union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
};

Transfer verdict(int error) noexcept {
  return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ETOOMANYREFS
             ? Transfer::Later
             : Transfer::Closed;
}

int attached_fd(msghdr& header) noexcept {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    int fd = -1;
    std::memcpy(&fd, CMSG_DATA(part), sizeof fd);
    return fd;
  }
  return -1;
}

}  // namespace

Transfer send_message(int socket, const Message& message, int attached) noexcept {
  Message copy = message;
  iovec body{.iov_base = &copy, .iov_len = sizeof copy};
  Control control{};
  msghdr header{};
  header.msg_iov = &body;
  header.msg_iovlen = 1;
  if (attached >= 0) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = control.bytes.size();
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(sizeof(int));
    std::memcpy(CMSG_DATA(part), &attached, sizeof attached);
  }
  const ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent >= 0 ? Transfer::Done : verdict(errno);
}

Transfer receive_message(int socket, Received& received) noexcept {
  iovec body{.iov_base = &received.message, .iov_len = sizeof received.message};
  Control control{};
  msghdr header{};
  header.msg_iov = &body;
  header.msg_iovlen = 1;
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  const ssize_t size = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) return verdict(errno);
  if (size == 0) return Transfer::Closed;
  received.attached.reset(attached_fd(header));
  if (size != static_cast<ssize_t>(sizeof received.message)) return Transfer::Later;
  received.message.label.back() = '\0';
  return Transfer::Done;
}

}  // namespace recover::adapters::process
