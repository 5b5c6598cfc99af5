// A wire between a client and a server on this machine, which breaks or changes what goes over it.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace recover::test {

class Relay {
 public:
  enum class Does { Nothing, Cuts, Flips };
  enum class Way { ToServer, ToClient };

  explicit Relay(const std::string& server_port) : server_(std::stoi(server_port)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(0);
    ::bind(listener_, reinterpret_cast<sockaddr*>(&address), sizeof address);
    ::listen(listener_, 64);
    socklen_t length = sizeof address;
    ::getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &length);
    port = std::to_string(ntohs(address.sin_port));
    acceptor_ = std::thread([this] { accept_all(); });
  }
  Relay(const Relay&) = delete;
  Relay& operator=(const Relay&) = delete;
  ~Relay() {
    closing_ = true;
    ::shutdown(listener_, SHUT_RDWR);
    acceptor_.join();
    for (std::thread& thread : threads_) thread.join();
    ::close(listener_);
  }

  // Once, at that byte of all that goes that way from now on.
  void strike(Does what, Way way, std::uint64_t byte) {
    const std::lock_guard lock(mutex_);
    what_ = what;
    way_ = way;
    left_ = byte;
  }
  bool has_struck() {
    const std::lock_guard lock(mutex_);
    return what_ == Does::Nothing;
  }

  std::string port;

 private:
  static sockaddr_in loopback(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
  }

  void accept_all() {
    while (!closing_) {
      const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      if (client < 0) return;
      threads_.emplace_back([this, client] { carry(client); });
    }
  }

  void carry(int client) {
    const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address = loopback(server_);
    bool whole = ::connect(server, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    while (whole && !closing_) {
      std::array<pollfd, 2> ends{{{client, POLLIN, 0}, {server, POLLIN, 0}}};
      if (::poll(ends.data(), ends.size(), 50) <= 0) continue;
      if (ends[0].revents != 0) whole = pass(client, server, Way::ToServer);
      if (whole && ends[1].revents != 0) whole = pass(server, client, Way::ToClient);
    }
    ::close(client);
    ::close(server);
  }

  // False: the connection is over.
  bool pass(int from, int to, Way way) {
    std::array<char, 16384> bytes{};
    const ssize_t got = ::recv(from, bytes.data(), bytes.size(), 0);
    if (got <= 0 || !change(bytes.data(), static_cast<std::size_t>(got), way)) return false;
    for (ssize_t sent = 0; sent < got;) {
      const auto more =
          ::send(to, bytes.data() + sent, static_cast<std::size_t>(got - sent), MSG_NOSIGNAL);
      if (more <= 0) return false;
      sent += more;
    }
    return true;
  }

  // False: it is cut here.
  bool change(char* bytes, std::size_t count, Way way) {
    const std::lock_guard lock(mutex_);
    if (what_ == Does::Nothing || way != way_) return true;
    if (left_ >= count) {
      left_ -= count;
      return true;
    }
    const bool cuts = what_ == Does::Cuts;
    what_ = Does::Nothing;
    if (!cuts) bytes[left_] = static_cast<char>(bytes[left_] ^ 1);
    return !cuts;
  }

  int server_;
  int listener_ = -1;
  std::atomic<bool> closing_{false};
  std::mutex mutex_;
  Does what_ = Does::Nothing;
  Way way_ = Way::ToServer;
  std::uint64_t left_ = 0;
  std::vector<std::thread> threads_;
  std::thread acceptor_;
};

}  // namespace recover::test
