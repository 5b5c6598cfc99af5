// Where a service listens: "127.0.0.1:80", "[::1]:80", "*:80", "/run/x.sock", "udp:…".
//
// Pure text; whether it can be bound, the edge finds out.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace recover::core {

struct ListenAddress {
  bool datagram = false;
  std::string path;  // Of a unix socket; "@…" has no file. Empty: host and port.
  std::string host;  // A number, as "127.0.0.1" or "::"; never a name.
  std::uint16_t port = 0;
};

// None: it is nothing of the kind. "*" is every address, of IPv4 and IPv6.
std::optional<ListenAddress> parse_listen_address(std::string_view text);

}  // namespace recover::core
