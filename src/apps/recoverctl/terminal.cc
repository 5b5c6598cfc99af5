#include "apps/recoverctl/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdlib>

namespace recover::apps {

namespace {

constexpr std::size_t kWidthMin = 40;

std::string_view variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string_view() : std::string_view(value);
}

std::size_t width_of_stdout(bool tty) {
  const std::string_view columns = variable("COLUMNS");
  std::size_t width = 0;
  std::from_chars(columns.data(), columns.data() + columns.size(), width);
  if (width != 0) return std::max(width, kWidthMin);
  winsize size{};
  if (tty && ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col != 0) {
    return std::max<std::size_t>(size.ws_col, kWidthMin);
  }
  return Terminal::kUnlimited;
}

// One character of UTF-8; of a broken sequence each byte is one.
struct Character {
  std::size_t bytes = 1;
  std::size_t columns = 1;
  bool printable = true;
};
constexpr Character kBroken{.bytes = 1, .columns = 1, .printable = false};

struct Codes {
  std::uint32_t first = 0;
  std::uint32_t last = 0;
};
// East Asian wide blocks and emoji, coarsely: a table off by one is better than none.
constexpr std::array<Codes, 7> kWide = {{{0x1100U, 0x115FU},
                                         {0x2E80U, 0xA4CFU},
                                         {0xAC00U, 0xD7A3U},
                                         {0xF900U, 0xFAFFU},
                                         {0xFE30U, 0xFE6FU},
                                         {0xFF00U, 0xFF60U},
                                         {0x1F300U, 0x1FAFFU}}};

std::size_t columns_of_code(std::uint32_t code) {
  const auto holds = [code](const Codes& codes) {
    return code >= codes.first && code <= codes.last;
  };
  // Combining, joiners and what chooses between two looks of a character.
  if (holds({0x0300U, 0x036FU}) || holds({0x200BU, 0x200DU}) || holds({0xFE00U, 0xFE0FU})) return 0;
  return std::any_of(kWide.begin(), kWide.end(), holds) ? 2 : 1;
}

Character character_at(std::string_view text, std::size_t at) {
  const auto lead = static_cast<unsigned char>(text[at]);
  std::size_t bytes = 1;
  std::uint32_t code = lead;
  if (lead >= 0xF0U) {
    bytes = 4;
    code = lead & 0x07U;
  } else if (lead >= 0xE0U) {
    bytes = 3;
    code = lead & 0x0FU;
  } else if (lead >= 0xC0U) {
    bytes = 2;
    code = lead & 0x1FU;
  }
  if ((lead >= 0x80U && bytes == 1) || at + bytes > text.size()) return kBroken;
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto byte = static_cast<unsigned char>(text[at + i]);
    if ((byte & 0xC0U) != 0x80U) return kBroken;
    code = code << 6U | (byte & 0x3FU);
  }
  const bool control = code < 0x20U || (code >= 0x7FU && code < 0xA0U);
  return {bytes, columns_of_code(code), !control};
}

template <std::size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

std::string_view code_of(Tone tone) {
  switch (tone) {
    case Tone::Plain: return "";
    case Tone::Good: return "\x1b[32m";
    case Tone::Busy: return "\x1b[33m";
    case Tone::Bad: return "\x1b[31m";
    case Tone::Dim: return "\x1b[2m";
    case Tone::Strong: return "\x1b[1m";
  }
  return "";
}

}  // namespace

Terminal Terminal::of_stdout(bool no_colour) {
  Terminal terminal;
  terminal.tty = ::isatty(STDOUT_FILENO) == 1;
  terminal.width = width_of_stdout(terminal.tty);
  terminal.colour =
      terminal.tty && !no_colour && variable("NO_COLOR").empty() && variable("TERM") != "dumb";
  return terminal;
}

Tone tone_of(std::string_view state) {
  static constexpr std::array<std::string_view, 11> kGood{
      "healthy", "passing", "closed", "resolved", "succeeded", "done",
      "pass",    "met",     "up",     "normal",   "yes"};
  static constexpr std::array<std::string_view, 17> kBusy{
      "starting",   "recovering", "degraded",      "half-open",         "open",         "running",
      "validating", "planned",    "checkpointing", "awaiting_approval", "rolling_back", "wait",
      "warning",    "medium",     "suppressed",    "rolled_back",       "stopping"};
  static constexpr std::array<std::string_view, 12> kBad{
      "failed",   "failing",   "quarantined", "escalated", "rejected", "refuse",
      "critical", "emergency", "unhealthy",   "timed_out", "high",     "missed"};
  if (one_of(state, kGood)) return Tone::Good;
  if (one_of(state, kBusy)) return Tone::Busy;
  if (one_of(state, kBad)) return Tone::Bad;
  return Tone::Plain;
}

std::string painted(const Terminal& terminal, Tone tone, std::string_view text) {
  if (!terminal.colour || tone == Tone::Plain) return std::string(text);
  return std::string(code_of(tone)).append(text).append("\x1b[0m");
}

std::size_t columns_of(std::string_view text) {
  std::size_t columns = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    columns += character.columns;
    at += character.bytes;
  }
  return columns;
}

std::string cut(std::string_view text, std::size_t columns) {
  if (columns_of(text) <= columns) return std::string(text);
  std::size_t used = 0;
  std::size_t at = 0;
  while (at < text.size()) {
    const Character character = character_at(text, at);
    if (used + character.columns + 1 > columns) break;
    used += character.columns;
    at += character.bytes;
  }
  return std::string(text.substr(0, at)) + (columns == 0 ? "" : "…");
}

std::string printable(std::string_view text) {
  std::string clean;
  clean.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const Character character = character_at(text, at);
    if (text[at] == '\t' || text[at] == '\n') {
      clean += ' ';
    } else if (!character.printable) {
      clean += '?';
    } else {
      clean += text.substr(at, character.bytes);
    }
    at += character.bytes;
  }
  return clean;
}

std::string wrapped(std::string_view text, std::size_t columns, std::size_t indent) {
  const std::size_t room = columns > indent + 20 ? columns - indent : 20;
  std::string lines;
  std::string line;
  while (!text.empty()) {
    const auto space = text.find(' ');
    const std::string_view word = text.substr(0, space);
    if (!line.empty() && columns_of(line) + 1 + columns_of(word) > room) {
      lines += line + "\n" + std::string(indent, ' ');
      line.clear();
    }
    if (!line.empty()) line += ' ';
    line += word;
    if (space == std::string_view::npos) break;
    text.remove_prefix(space + 1);
  }
  return lines + line;
}

}  // namespace recover::apps
