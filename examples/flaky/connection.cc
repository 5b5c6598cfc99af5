#include "connection.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <optional>
#include <string_view>
#include <utility>

#include <recover/classification.h>

namespace flaky {
namespace {

using recover::Instant;
using recover::Result;
using recover::Unexpected;

constexpr std::size_t kReplyBytesMax = 4096;

Unexpected<CallError> failed(int number, bool sent = true) {
  return Unexpected(CallError{.number = number, .sent = sent});
}

// 0 when one of the events came in time, else an errno.
int wait_for(const Descriptor& socket, short events, Instant deadline) {
  using std::chrono::milliseconds;
  pollfd entry{.fd = socket.number(), .events = events, .revents = 0};
  for (;;) {
    const auto left = std::chrono::ceil<milliseconds>(std::min<recover::Duration>(
        deadline - std::chrono::steady_clock::now(), std::chrono::hours{1}));
    if (left <= milliseconds::zero()) return ETIMEDOUT;
    const int ready = ::poll(&entry, 1, static_cast<int>(left.count()));
    if (ready > 0) return 0;
    if (ready < 0 && errno != EINTR) return errno;
  }
}

// The value of a header field, or nothing. `head` ends with a line end.
std::optional<std::string_view> field(std::string_view head, std::string_view name) {
  const std::size_t start = head.find(name);
  if (start == std::string_view::npos) return std::nullopt;
  const std::string_view value = head.substr(start + name.size());
  return value.substr(0, value.find("\r\n"));
}

int number_in(std::string_view text) {
  int number = 0;
  text.remove_prefix(std::min(text.size(), text.find_first_not_of(' ')));
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

struct Reply {
  std::string_view head;
  std::string_view body;
};

// Nothing while bytes are missing.
std::optional<Reply> parse(std::string_view received) {
  const std::size_t end = received.find("\r\n\r\n");
  if (end == std::string_view::npos) return std::nullopt;
  const std::string_view head = received.substr(0, end + 2);
  const std::string_view body = received.substr(end + 4);
  const int length = number_in(field(head, "Content-Length:").value_or("0"));
  if (body.size() < static_cast<std::size_t>(std::max(length, 0))) return std::nullopt;
  return Reply{head, body};
}

Result<std::string, CallError> judge(const Reply& reply) {
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  if (!reply.head.starts_with(kVersion)) return failed(EBADMSG);
  const int status = number_in(reply.head.substr(kVersion.size()));
  if (status == 200) return std::string(reply.body);
  CallError error{.status = status};
  if (const auto hint = field(reply.head, "Retry-After:")) {
    error.retry_after = recover::parse_retry_after(*hint, std::chrono::system_clock::now());
  }
  return Unexpected(error);
}

}  // namespace

Result<Connection, CallError> Connection::open(std::uint16_t port, Instant deadline) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.open()) return failed(errno, false);
  const int on = 1;
  ::setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(socket.number(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
    return Connection(std::move(socket));
  }
  if (errno != EINPROGRESS) return failed(errno, false);
  if (const int number = wait_for(socket, POLLOUT, deadline)) return failed(number, false);
  int number = 0;
  socklen_t size = sizeof number;
  ::getsockopt(socket.number(), SOL_SOCKET, SO_ERROR, &number, &size);
  if (number != 0) return failed(number, false);
  return Connection(std::move(socket));
}

Result<std::string, CallError> Connection::get(const std::string& path, Instant deadline) {
  const std::string request = "GET " + path + " HTTP/1.1\r\nHost: localhost\r\n\r\n";
  // So short a request fits into the socket's buffer: it is sent whole or not at all.
  if (::send(socket_.number(), request.data(), request.size(), MSG_NOSIGNAL) < 0) {
    return failed(errno);
  }
  return receive(deadline);
}

Result<std::string, CallError> Connection::receive(Instant deadline) {
  std::string received;
  while (received.size() < kReplyBytesMax) {
    if (const int number = wait_for(socket_, POLLIN, deadline)) return failed(number);
    std::array<char, 1024> chunk{};
    const ssize_t size = ::recv(socket_.number(), chunk.data(), chunk.size(), 0);
    if (size < 0) return failed(errno);
    if (size == 0) return failed(ECONNRESET);
    received.append(chunk.data(), static_cast<std::size_t>(size));
    if (const std::optional<Reply> reply = parse(received)) return judge(*reply);
  }
  return failed(EMSGSIZE);
}

bool Connection::quiet() const {
  pollfd entry{.fd = socket_.number(), .events = POLLIN, .revents = 0};
  return ::poll(&entry, 1, 0) == 0;
}

}  // namespace flaky
