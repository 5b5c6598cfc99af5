#include "apps/recoverd_backup/sources/redis_connection.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <span>
#include <utility>

#include "apps/recoverd_backup/sources/program_dump.h"
#include "backup/local/file.h"

namespace recover::apps {
namespace {

using backup::FailureKind;
using backup::Outcome;

// A server that makes its RDB sends a line end every second.
constexpr std::chrono::seconds kSilenceMax{60};
constexpr timeval kConnectMax{.tv_sec = 10, .tv_usec = 0};
constexpr std::int64_t kListMax = 10'000;
constexpr std::size_t kTextMax = std::size_t{4} << 20U;

struct FreeAddresses {
  void operator()(addrinfo* list) const { ::freeaddrinfo(list); }
};

posix::Descriptor connected(int family, const sockaddr* address, socklen_t length) {
  posix::Descriptor socket(::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  if (!socket) return socket;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &kConnectMax, sizeof kConnectMax);
  if (::connect(socket.get(), address, length) != 0) return posix::Descriptor();
  return socket;
}

posix::Descriptor connected(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return posix::Descriptor();
  }
  path.copy(address.sun_path, path.size());
  return connected(AF_UNIX, reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

Outcome<posix::Descriptor> connected(const core::RedisSource& source) {
  if (!source.socket.empty()) {
    auto socket = connected(source.socket);
    if (!socket) return backup::system_failure("connecting to", where(source));
    return socket;
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* list = nullptr;
  const int error =
      ::getaddrinfo(source.host.c_str(), std::to_string(source.port).c_str(), &hints, &list);
  const std::unique_ptr<addrinfo, FreeAddresses> addresses(list);
  if (error != 0) {
    return backup::fail(FailureKind::Unreachable, where(source) + ": " + ::gai_strerror(error));
  }
  for (const addrinfo* one = list; one != nullptr; one = one->ai_next) {
    auto socket = connected(one->ai_family, one->ai_addr, one->ai_addrlen);
    if (socket) return socket;
  }
  return backup::system_failure("connecting to", where(source));
}

std::int64_t number_of(std::string_view text) {
  std::int64_t number = -1;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

}  // namespace

std::string where(const core::RedisSource& source) {
  if (!source.socket.empty()) return "redis at " + source.socket;
  return "redis at " + source.host + ":" + std::to_string(source.port);
}

Outcome<RedisConnection> RedisConnection::open(const core::RedisSource& source,
                                               std::stop_token stop) {
  auto socket = connected(source);
  if (!socket) return Unexpected(std::move(socket.error()));
  RedisConnection connection(std::move(*socket), std::move(stop));
  if (source.password.empty()) return connection;
  std::vector<std::string> words = {"AUTH"};
  if (!source.user.empty()) words.push_back(source.user);
  words.push_back(source.password.reveal());
  if (auto known = connection.ask(words); !known) {
    return backup::fail(FailureKind::NotPermitted, where(source) + ": " + known.error().message);
  }
  return connection;
}

Outcome<void> RedisConnection::send(const std::vector<std::string>& words) {
  std::string text = "*" + std::to_string(words.size()) + "\r\n";
  for (const std::string& word : words) {
    text += "$" + std::to_string(word.size()) + "\r\n" + word + "\r\n";
  }
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t sent = ::send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return backup::system_failure("sending to", "redis");
    rest.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Outcome<std::size_t> RedisConnection::read(std::span<std::uint8_t> room) {
  if (!waiting_.empty()) {
    const std::size_t count = std::min(room.size(), waiting_.size());
    std::memcpy(room.data(), waiting_.data(), count);
    waiting_.erase(0, count);
    return count;
  }
  if (auto ready = wait_readable(socket_.get(), stop_, kSilenceMax); !ready) {
    return Unexpected(std::move(ready.error()));
  }
  const ssize_t got = ::read(socket_.get(), room.data(), room.size());
  if (got < 0) return backup::system_failure("reading from", "redis");
  return static_cast<std::size_t>(got);
}

Outcome<void> RedisConnection::fill() {
  std::array<std::uint8_t, 4096> room{};
  std::string before = std::exchange(waiting_, {});
  const auto got = read(room);
  waiting_ = std::move(before);
  if (!got) return Unexpected(got.error());
  if (*got == 0) return backup::fail(FailureKind::Unreachable, "the server closed the connection");
  waiting_.append(room.begin(), room.begin() + static_cast<std::ptrdiff_t>(*got));
  return {};
}

Outcome<std::string> RedisConnection::line() {
  for (;;) {
    const auto end = waiting_.find('\n');
    if (end != std::string::npos) {
      std::string text = waiting_.substr(0, end);
      waiting_.erase(0, end + 1);
      if (text.ends_with('\r')) text.pop_back();
      return text;
    }
    if (waiting_.size() > kLineMax) {
      return backup::fail(FailureKind::Io, "the server does not speak Redis's protocol");
    }
    if (auto filled = fill(); !filled) return Unexpected(std::move(filled.error()));
  }
}

Outcome<std::string> RedisConnection::bytes(std::size_t count) {
  if (count > kTextMax) return backup::fail(FailureKind::Io, "the reply is larger than 4 MiB");
  while (waiting_.size() < count + 2) {
    if (auto filled = fill(); !filled) return Unexpected(std::move(filled.error()));
  }
  std::string text = waiting_.substr(0, count);
  waiting_.erase(0, count + 2);
  return text;
}

// A list in a list is told as the text of its own length line: nothing we ask has one.
Outcome<std::string> RedisConnection::reply() {
  auto begin = line();
  if (!begin || begin->empty()) return begin;
  const char kind = begin->front();
  const std::string rest = begin->substr(1);
  if (kind == '-') return backup::fail(FailureKind::Io, rest);
  if (kind != '$') return kind == '*' ? *begin : rest;
  const std::int64_t count = number_of(rest);
  return count < 0 ? std::string() : bytes(static_cast<std::size_t>(count));
}

Outcome<std::string> RedisConnection::ask(const std::vector<std::string>& words) {
  if (auto sent = send(words); !sent) return Unexpected(std::move(sent.error()));
  auto first = reply();
  if (!first || !first->starts_with('*')) return first;
  const std::int64_t count = std::min(number_of(first->substr(1)), kListMax);
  std::string text;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto item = reply();
    if (!item) return item;
    text += (i > 0 ? "\n" : "") + *item;
  }
  return text;
}

}  // namespace recover::apps
