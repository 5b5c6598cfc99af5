// Bytes that others wrote, made fit for JSON: the journal must be readable whatever a program
// prints.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace recover::base {

// Length of the UTF-8 sequence that begins at `at`; 0: none does. Overlong forms, surrogates and
// what is beyond U+10FFFF are none (RFC 3629).
inline std::size_t utf8_sequence(std::string_view text, std::size_t at) noexcept {
  const auto byte = [&](std::size_t offset) -> unsigned {
    return at + offset < text.size() ? static_cast<unsigned char>(text[at + offset]) : 0U;
  };
  const auto follows = [&](std::size_t offset, unsigned from, unsigned to) {
    return byte(offset) >= from && byte(offset) <= to;
  };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return follows(1, 0x80, 0xBF) ? 2 : 0;
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned from = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned to = first == 0xED ? 0x9F : 0xBF;
    return follows(1, from, to) && follows(2, 0x80, 0xBF) ? 3 : 0;
  }
  if (first < 0xF0 || first > 0xF4) return 0;
  const unsigned from = first == 0xF0 ? 0x90 : 0x80;
  const unsigned to = first == 0xF4 ? 0x8F : 0xBF;
  return follows(1, from, to) && follows(2, 0x80, 0xBF) && follows(3, 0x80, 0xBF) ? 4 : 0;
}

// The text with every byte that belongs to no sequence replaced by '?'.
inline std::string valid_utf8(std::string text) {
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_sequence(text, at);
    if (length == 0) text[at] = '?';
    at += length == 0 ? 1 : length;
  }
  return text;
}

}  // namespace recover::base
