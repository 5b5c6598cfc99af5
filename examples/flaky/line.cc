#include "line.h"

#include <utility>

namespace flaky {
namespace {

// Of ECMA-48 (SGR); the sixteen colours that follow the user's own theme.
std::string_view sgr_of(Style style) {
  switch (style) {
    case Style::Plain: return "";
    case Style::Dim: return "\x1b[2m";
    case Style::Bold: return "\x1b[1m";
    case Style::Green: return "\x1b[32m";
    case Style::Yellow: return "\x1b[33m";
    case Style::Red: return "\x1b[31m";
    case Style::Blue: return "\x1b[34m";
    case Style::Magenta: return "\x1b[35m";
    case Style::Cyan: return "\x1b[36m";
  }
  return "";
}

bool begins_character(char byte) {
  return (static_cast<unsigned char>(byte) & 0xc0U) != 0x80U;
}

}  // namespace

Line& Line::put(std::string_view text, Style style) {
  std::size_t end = 0;
  for (; end < text.size(); ++end) {
    if (!begins_character(text[end])) continue;
    if (used_ == width_) break;
    ++used_;
  }
  const std::string_view sgr = colour_ ? sgr_of(style) : "";
  text_ += sgr;
  text_ += text.substr(0, end);
  if (!sgr.empty()) text_ += "\x1b[0m";
  return *this;
}

Line& Line::to(std::size_t column) {
  if (used_ < column) put(std::string(column - used_, ' '));
  return *this;
}

}  // namespace flaky
