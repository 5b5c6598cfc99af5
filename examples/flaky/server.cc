#include "server.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <system_error>
#include <utility>

#include <recover/error.h>

namespace flaky {
namespace {

using namespace std::chrono_literals;
using recover::Result;
using recover::Unexpected;

constexpr std::size_t kPeersMax = 64;
constexpr std::size_t kRequestBytesMax = 1024;
constexpr Duration kTick = 10ms;  // How soon new weather and a stop are noticed.

Instant now() {
  return std::chrono::steady_clock::now();
}

// Port 0: any free one. Closed when it could not be bound; errno says why.
Descriptor bound_to(std::uint16_t port) {
  Descriptor socket(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int on = 1;
  ::setsockopt(socket.number(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int bound = ::bind(socket.number(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  return bound == 0 ? std::move(socket) : Descriptor();
}

std::uint16_t port_of(const Descriptor& socket) {
  sockaddr_in address{};
  socklen_t size = sizeof address;
  ::getsockname(socket.number(), reinterpret_cast<sockaddr*>(&address), &size);
  return ntohs(address.sin_port);
}

// A price for whatever is asked for; the same each time.
std::string price_of(std::string_view item) {
  std::size_t cents = 95;
  for (const char c : item) cents = (cents * 31 + static_cast<unsigned char>(c)) % 900;
  const std::string digits = std::to_string(100 + cents);
  return std::string(item) + " at " + digits.substr(0, 1) + "." + digits.substr(1);
}

}  // namespace

Result<std::unique_ptr<Server>> Server::start(std::string_view remark) {
  Descriptor anchor = bound_to(0);
  if (!anchor.open()) {
    return Unexpected(recover::Error::from_code({errno, std::system_category()}, "bind"));
  }
  const std::uint16_t port = port_of(anchor);
  return std::unique_ptr<Server>(new Server(std::move(anchor), port, remark));
}

Server::Server(Descriptor anchor, std::uint16_t port, std::string_view remark)
    : anchor_(std::move(anchor)), port_(port), remark_(remark) {
  open_or_close(Weather::Healthy);
  thread_ = std::jthread([this](const std::stop_token& stop) { run(stop); });
}

void Server::run(const std::stop_token& stop) {
  while (!stop.stop_requested()) {
    wait_for_traffic();
    const Weather weather = weather_.load();
    open_or_close(weather);
    accept_peers();
    for (Peer& peer : peers_) receive(peer, weather);
    for (Peer& peer : peers_) send_due(peer);
    std::erase_if(peers_, [](const Peer& peer) { return !peer.socket.open(); });
  }
}

void Server::open_or_close(Weather weather) {
  if (weather == Weather::Refusing) {
    listener_ = Descriptor();
    peers_.clear();
  } else if (!listener_.open()) {
    listener_ = bound_to(port_);
    if (listener_.open()) ::listen(listener_.number(), SOMAXCONN);
  }
}

void Server::wait_for_traffic() {
  std::vector<pollfd> entries = {{.fd = listener_.number(), .events = POLLIN, .revents = 0}};
  Instant until = now() + kTick;
  for (const Peer& peer : peers_) {
    entries.push_back({.fd = peer.socket.number(), .events = POLLIN, .revents = 0});
    until = std::min(until, peer.due);
  }
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - now());
  ::poll(entries.data(), entries.size(), static_cast<int>(std::max(left, 0ms).count()));
}

void Server::accept_peers() {
  while (listener_.open() && peers_.size() < kPeersMax) {
    Descriptor socket(
        ::accept4(listener_.number(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!socket.open()) return;
    const int on = 1;
    ::setsockopt(socket.number(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    peers_.push_back({.socket = std::move(socket)});
  }
}

void Server::receive(Peer& peer, Weather weather) {
  std::array<char, kRequestBytesMax> chunk{};
  const ssize_t size = ::recv(peer.socket.number(), chunk.data(), chunk.size(), 0);
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) return;
  if (size <= 0 || peer.request.size() > kRequestBytesMax) {
    peer.socket = Descriptor();
    return;
  }
  peer.request.append(chunk.data(), static_cast<std::size_t>(size));
  if (peer.request.ends_with("\r\n\r\n")) take_request(peer, weather);
}

void Server::take_request(Peer& peer, Weather weather) {
  const Treatment treatment = treatment_of(weather, requests_++);
  if (treatment.status != 0) {
    peer.reply = reply_to(peer.request, treatment);
    peer.due = now() + treatment.latency;
  }
  peer.request.clear();
}

void Server::send_due(Peer& peer) const {
  if (!peer.socket.open() || peer.due > now()) return;
  const ssize_t sent =
      ::send(peer.socket.number(), peer.reply.data(), peer.reply.size(), MSG_NOSIGNAL);
  if (sent < 0) peer.socket = Descriptor();
  peer.due = recover::kNever;
}

std::string Server::reply_to(std::string_view request, const Treatment& treatment) const {
  const std::string_view path = request.substr(0, request.find(" HTTP/"));
  const std::string body = treatment.status == 200
                               ? price_of(path.substr(path.rfind('/') + 1)) + remark_
                               : std::string();
  std::string reply = "HTTP/1.1 " + std::to_string(treatment.status) +
                      (treatment.status == 200 ? " OK" : " Trouble") + "\r\n";
  if (treatment.retry_after) {
    reply += "Retry-After: " + std::to_string(treatment.retry_after->count()) + "\r\n";
  }
  return reply + "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
}

}  // namespace flaky
