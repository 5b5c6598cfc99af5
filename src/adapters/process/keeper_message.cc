#include "adapters/process/keeper_message.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace recover::adapters::process {
namespace {

union Control {
  cmsghdr header;
  std::array<char, CMSG_SPACE(sizeof(int) * kManyMax)> bytes;
};

Transfer verdict(int error) noexcept {
  return error == EAGAIN || error == EINTR || error == ENOBUFS || error == ETOOMANYREFS
             ? Transfer::Later
             : Transfer::Closed;
}

// Hands each attached descriptor to `take`.
template <class Take>
void each_attached(msghdr& header, Take&& take) noexcept {
  for (cmsghdr* part = CMSG_FIRSTHDR(&header); part != nullptr; part = CMSG_NXTHDR(&header, part)) {
    if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) continue;
    const std::size_t count = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (std::size_t i = 0; i < count; ++i) {
      int fd = -1;
      std::memcpy(&fd, CMSG_DATA(part) + i * sizeof fd, sizeof fd);
      take(Descriptor(fd));
    }
  }
}

Transfer send_parts(int socket, std::span<iovec> parts, std::span<const int> fds) noexcept {
  Control control{};
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  if (!fds.empty()) {
    header.msg_control = control.bytes.data();
    header.msg_controllen = CMSG_SPACE(fds.size_bytes());
    cmsghdr* const part = CMSG_FIRSTHDR(&header);
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_RIGHTS;
    part->cmsg_len = CMSG_LEN(fds.size_bytes());
    std::memcpy(CMSG_DATA(part), fds.data(), fds.size_bytes());
  }
  const ssize_t sent = ::sendmsg(socket, &header, MSG_NOSIGNAL | MSG_DONTWAIT);
  return sent >= 0 ? Transfer::Done : verdict(errno);
}

}  // namespace

Transfer send_message(int socket, const Message& message, int attached) noexcept {
  Message copy = message;
  iovec body{.iov_base = &copy, .iov_len = sizeof copy};
  const std::size_t fds = attached >= 0 ? 1 : 0;
  return send_parts(socket, {&body, 1}, {&attached, fds});
}

Transfer send_many(int socket, std::span<const Label> labels, std::span<const int> fds) noexcept {
  Message message{.kind = MessageKind::KeptMany, .code = static_cast<std::int32_t>(labels.size())};
  std::array<Label, kManyMax> copies{};
  std::copy(labels.begin(), labels.end(), copies.begin());
  std::array<iovec, 2> parts{iovec{.iov_base = &message, .iov_len = sizeof message},
                             iovec{.iov_base = copies.data(), .iov_len = labels.size_bytes()}};
  return send_parts(socket, parts, fds);
}

Transfer receive_message(int socket, Received& received, Many* many) noexcept {
  std::array<Label, kManyMax> dropped{};
  std::array<iovec, 2> parts{
      iovec{.iov_base = &received.message, .iov_len = sizeof received.message},
      iovec{.iov_base = many != nullptr ? many->labels.data() : dropped.data(),
            .iov_len = sizeof dropped}};
  Control control{};
  msghdr header{};
  header.msg_iov = parts.data();
  header.msg_iovlen = parts.size();
  header.msg_control = control.bytes.data();
  header.msg_controllen = control.bytes.size();
  const ssize_t size = ::recvmsg(socket, &header, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
  if (size < 0) return verdict(errno);
  if (size == 0) return Transfer::Closed;
  Message& message = received.message;
  const bool is_many = static_cast<std::size_t>(size) >= sizeof message &&
                       message.kind == MessageKind::KeptMany && many != nullptr;
  std::size_t taken = 0;
  each_attached(header, [&](Descriptor fd) {
    if (!is_many) {
      received.attached = std::move(fd);
    } else if (taken < kManyMax) {
      many->attached[taken++] = std::move(fd);
    }
  });
  const std::size_t labels = is_many ? static_cast<std::size_t>(std::max(message.code, 0)) : 0;
  if (static_cast<std::size_t>(size) != sizeof message + labels * sizeof(Label)) {
    received.attached.reset();
    return Transfer::Later;
  }
  message.label.back() = '\0';
  if (many != nullptr) many->count = std::min(labels, taken);
  return Transfer::Done;
}

}  // namespace recover::adapters::process
