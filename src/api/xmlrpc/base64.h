// Base64 as HTTP's basic authentication and XML-RPC have it (RFC 4648), read only.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace recover::api::xmlrpc {

// White space is skipped. Nothing: it is no base64.
inline std::optional<std::string> from_base64(std::string_view text) {
  constexpr std::string_view kLetters =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  std::uint32_t held = 0;
  unsigned bits = 0;
  bool ended = false;
  for (const char letter : text) {
    if (letter == ' ' || letter == '\n' || letter == '\r' || letter == '\t') continue;
    if (letter == '=') {
      ended = true;
      continue;
    }
    const auto value = kLetters.find(letter);
    if (value == std::string_view::npos || ended) return std::nullopt;
    held = (held << 6U) | static_cast<std::uint32_t>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    bytes += static_cast<char>((held >> bits) & 0xFFU);
  }
  if (bits >= 6) return std::nullopt;  // A letter that says nothing.
  return bytes;
}

}  // namespace recover::api::xmlrpc
