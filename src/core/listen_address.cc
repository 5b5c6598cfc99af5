#include "core/listen_address.h"

#include <charconv>

namespace recover::core {
namespace {

constexpr std::string_view kDatagram = "udp:";
constexpr std::size_t kPathMax = 107;  // What a sockaddr_un holds.

bool is_numeric_host(std::string_view host) {
  const auto allowed = [](char letter) {
    return (letter >= '0' && letter <= '9') || (letter >= 'a' && letter <= 'f') ||
           (letter >= 'A' && letter <= 'F') || letter == '.' || letter == ':';
  };
  for (const char letter : host) {
    if (!allowed(letter)) return false;
  }
  return !host.empty();
}

}  // namespace

std::optional<ListenAddress> parse_listen_address(std::string_view text) {
  ListenAddress address;
  if (text.starts_with(kDatagram)) {
    address.datagram = true;
    text.remove_prefix(kDatagram.size());
  }
  if (text.starts_with('/') || text.starts_with('@')) {
    if (text.size() < 2 || text.size() > kPathMax) return std::nullopt;
    address.path = text;
    return address;
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const std::string_view port = text.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  if (!bracketed && host.find(':') != std::string_view::npos) return std::nullopt;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), address.port);
  if (error != std::errc() || end != port.data() + port.size()) return std::nullopt;
  if (host != "*" && !is_numeric_host(host)) return std::nullopt;
  address.host = host == "*" ? "::" : host;
  return address;
}

}  // namespace recover::core
