#include "adapters/process/listen_sockets.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <optional>
#include <system_error>

#include "core/listen_address.h"

namespace recover::adapters::process {
namespace {

constexpr int kFirstPassedFd = 3;  // SD_LISTEN_FDS_START
constexpr int kSystemCallPidfdGetfd = 438;

struct Bindable {
  sockaddr_storage name{};
  socklen_t size = 0;

  const sockaddr* pointer() const noexcept { return reinterpret_cast<const sockaddr*>(&name); }
};

std::optional<Bindable> bindable(const core::ListenAddress& address) {
  Bindable made;
  if (!address.path.empty()) {
    sockaddr_un unix_name{};
    unix_name.sun_family = AF_UNIX;
    std::memcpy(unix_name.sun_path, address.path.data(), address.path.size());
    const bool abstract = address.path.front() == '@';
    if (abstract) unix_name.sun_path[0] = '\0';
    std::memcpy(&made.name, &unix_name, sizeof unix_name);
    made.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address.path.size() +
                                       (abstract ? 0U : 1U));
    return made;
  }
  sockaddr_in6 six{};
  sockaddr_in four{};
  if (::inet_pton(AF_INET6, address.host.c_str(), &six.sin6_addr) == 1) {
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(address.port);
    std::memcpy(&made.name, &six, sizeof six);
    made.size = sizeof six;
    return made;
  }
  if (::inet_pton(AF_INET, address.host.c_str(), &four.sin_addr) != 1) return std::nullopt;
  four.sin_family = AF_INET;
  four.sin_port = htons(address.port);
  std::memcpy(&made.name, &four, sizeof four);
  made.size = sizeof four;
  return made;
}

void allow_reuse(int socket) {
  const int on = 1;
  const int off = 0;
  ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  ::setsockopt(socket, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof off);  // "*" is IPv4, too.
}

// A file nobody listens behind is a leftover of a run that was killed.
bool remove_leftover(const Bindable& address, const std::string& path, int type) {
  const Descriptor probe(::socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (::connect(probe.get(), address.pointer(), address.size) == 0 || errno != ECONNREFUSED) {
    return false;
  }
  struct stat file {};
  return ::lstat(path.c_str(), &file) == 0 && S_ISSOCK(file.st_mode) && ::unlink(path.c_str()) == 0;
}

bool bind_socket(int socket, const Bindable& name, const core::ListenAddress& address, int type) {
  if (::bind(socket, name.pointer(), name.size) == 0) return true;
  const bool file = !address.path.empty() && address.path.front() == '/';
  if (errno != EADDRINUSE || !file) return false;
  if (remove_leftover(name, address.path, type)) {
    return ::bind(socket, name.pointer(), name.size) == 0;
  }
  errno = EADDRINUSE;
  return false;
}

std::string label_of(const std::string& service, const std::string& listen) {
  return "socket/" + short_name(service + "\n" + listen);
}

bool is_bound_to(int socket, const core::ListenAddress& address) {
  const auto wanted = bindable(address);
  Bindable found;
  found.size = sizeof found.name;
  auto* const name = reinterpret_cast<sockaddr*>(&found.name);
  return wanted && ::getsockname(socket, name, &found.size) == 0 && found.size == wanted->size &&
         std::memcmp(&found.name, &wanted->name, found.size) == 0;
}

// The process may have closed or moved them: what is not the socket is not taken.
Descriptor out_of(int pidfd, int number, const core::SocketPolicy& wanted) {
  Descriptor copy(static_cast<int>(::syscall(kSystemCallPidfdGetfd, pidfd, number, 0)));
  const auto address = core::parse_listen_address(wanted.listen);
  return copy && address && is_bound_to(copy.get(), *address) ? std::move(copy) : Descriptor();
}

}  // namespace

std::string short_name(std::string_view text) {
  std::uint64_t hash = 14695981039346656037ULL;
  for (const char letter : text) {
    hash = (hash ^ static_cast<unsigned char>(letter)) * 1099511628211ULL;
  }
  std::array<char, 17> digits{};
  std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(hash));
  return digits.data();
}

Result<Descriptor, std::string> open_listener(const core::SocketPolicy& wanted) {
  const auto address = core::parse_listen_address(wanted.listen);
  const auto name = address ? bindable(*address) : std::nullopt;
  if (!name) return Unexpected("listen " + wanted.listen + ": no address");
  const auto failed = [&wanted] {
    return Unexpected("listen " + wanted.listen + ": " + std::generic_category().message(errno));
  };
  const int type = address->datagram ? SOCK_DGRAM : SOCK_STREAM;
  Descriptor socket(::socket(name->name.ss_family, type | SOCK_CLOEXEC, 0));
  if (!socket) return failed();
  if (address->path.empty()) allow_reuse(socket.get());
  if (!bind_socket(socket.get(), *name, *address, type)) return failed();
  const bool file = !address->path.empty() && address->path.front() == '/';
  if (file && ::chmod(address->path.c_str(), wanted.mode) != 0) return failed();
  const auto backlog = static_cast<int>(wanted.backlog);
  if (!address->datagram && ::listen(socket.get(), backlog) != 0) return failed();
  return socket;
}

Result<ListenSockets::Passed, std::string> ListenSockets::of(
    const std::string& service, const std::vector<core::SocketPolicy>& wanted) {
  for (auto entry = open_.lower_bound({service, ""});
       entry != open_.end() && entry->first.first == service;) {
    const auto current = entry++;
    const bool named = std::any_of(wanted.begin(), wanted.end(), [&](const auto& each) {
      return each.listen == current->first.second;
    });
    if (!named) forget(current);
  }
  Passed passed;
  for (const core::SocketPolicy& each : wanted) {
    Descriptor& socket = open_[{service, each.listen}];
    if (!socket) socket = keeper_.take(label_of(service, each.listen));
    if (!socket) {
      auto opened = open_listener(each);
      if (!opened) {
        open_.erase({service, each.listen});
        return Unexpected(opened.error());
      }
      socket = std::move(opened).value();
      keeper_.store(label_of(service, each.listen), socket.get());
    }
    passed.emplace_back(each.name, socket.get());
  }
  return passed;
}

void ListenSockets::recover(const std::string& service,
                            const std::vector<core::SocketPolicy>& wanted, int pidfd) {
  int number = kFirstPassedFd;
  for (const core::SocketPolicy& each : wanted) {
    const int at = number++;
    Descriptor& socket = open_[{service, each.listen}];
    if (socket) continue;
    const std::string label = label_of(service, each.listen);
    socket = keeper_.take(label);
    if (socket) continue;
    socket = out_of(pidfd, at, each);
    if (socket) {
      keeper_.store(label, socket.get());
    } else {
      open_.erase({service, each.listen});
    }
  }
}

void ListenSockets::close(const std::string& service) {
  for (auto entry = open_.lower_bound({service, ""});
       entry != open_.end() && entry->first.first == service;) {
    forget(entry++);
  }
}

void ListenSockets::forget(std::map<Key, Descriptor>::iterator entry) {
  const auto& [service, listen] = entry->first;
  keeper_.drop(label_of(service, listen));
  const auto address = core::parse_listen_address(listen);
  if (address && !address->path.empty() && address->path.front() == '/') {
    ::unlink(address->path.c_str());
  }
  open_.erase(entry);
}

}  // namespace recover::adapters::process
