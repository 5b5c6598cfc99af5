#include "backup/format/go_text.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <iterator>

#include "backup/format/printable_table.h"

namespace recover::backup {
namespace {

constexpr std::uint32_t kInvalid = 0xfffd;

struct Rune {
  std::uint32_t value = kInvalid;
  std::size_t length = 1;  // In bytes; of an invalid sequence always 1.
  bool valid = false;
};

std::uint8_t byte_at(std::string_view text, std::size_t at) {
  return static_cast<std::uint8_t>(text[at]);
}

// The first rune, by the table of well-formed sequences (Unicode 15, table 3-7).
Rune decode(std::string_view text) {
  const std::uint8_t lead = byte_at(text, 0);
  if (lead < 0x80) return {.value = lead, .length = 1, .valid = true};
  const std::size_t length = lead < 0xc2   ? 0
                             : lead < 0xe0 ? 2
                             : lead < 0xf0 ? 3
                             : lead < 0xf5 ? 4
                                           : 0;
  if (length == 0 || text.size() < length) return {};
  std::uint32_t value = lead & (0x7fU >> length);
  for (std::size_t i = 1; i < length; ++i) {
    const std::uint8_t next = byte_at(text, i);
    if ((next & 0xc0U) != 0x80) return {};
    value = (value << 6U) | (next & 0x3fU);
  }
  const bool overlong = (length == 3 && value < 0x800) || (length == 4 && value < 0x10000);
  if (overlong || (value >= 0xd800 && value < 0xe000) || value > 0x10ffff) return {};
  return {.value = value, .length = length, .valid = true};
}

void append_rune(std::string& out, std::uint32_t rune) {
  const auto tail = [&](unsigned shift) {
    out += static_cast<char>(0x80U | ((rune >> shift) & 0x3fU));
  };
  if (rune < 0x80) {
    out += static_cast<char>(rune);
  } else if (rune < 0x800) {
    out += static_cast<char>(0xc0U | (rune >> 6U));
    tail(0);
  } else if (rune < 0x10000) {
    out += static_cast<char>(0xe0U | (rune >> 12U));
    tail(6), tail(0);
  } else {
    out += static_cast<char>(0xf0U | (rune >> 18U));
    tail(12), tail(6), tail(0);
  }
}

bool is_printable(std::uint32_t rune) {
  const auto* const range =
      std::upper_bound(std::begin(kPrintable), std::end(kPrintable), rune,
                       [](std::uint32_t value, const RuneRange& r) { return value < r.first; });
  return range != std::begin(kPrintable) && rune <= std::prev(range)->last;
}

void append_hex(std::string& out, std::uint32_t value, int digits) {
  for (int shift = 4 * (digits - 1); shift >= 0; shift -= 4) {
    out += "0123456789abcdef"[(value >> static_cast<unsigned>(shift)) & 15U];
  }
}

// strconv.Quote's short escapes, as pairs of letter and byte.
constexpr std::string_view kShortEscapes = "a\ab\bf\fn\nr\rt\tv\v";

char short_escape(std::uint32_t rune) {
  for (std::size_t i = 0; i < kShortEscapes.size(); i += 2) {
    if (byte_at(kShortEscapes, i + 1) == rune) return kShortEscapes[i];
  }
  return '\0';
}

void append_quoted_rune(std::string& out, std::uint32_t rune) {
  if (rune == '"' || rune == '\\') {
    out += '\\';
    out += static_cast<char>(rune);
  } else if (is_printable(rune)) {
    append_rune(out, rune);
  } else if (const char letter = short_escape(rune)) {
    out += '\\';
    out += letter;
  } else if (rune < 0x20 || rune == 0x7f) {
    out += "\\x";
    append_hex(out, rune, 2);
  } else {
    out += rune < 0x10000 ? "\\u" : "\\U";
    append_hex(out, rune, rune < 0x10000 ? 4 : 8);
  }
}

std::optional<std::uint32_t> number_of(std::string_view digits, std::size_t count, int base) {
  if (digits.size() < count) return std::nullopt;
  std::uint32_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + count, value, base);
  if (error != std::errc() || end != digits.data() + count) return std::nullopt;
  return value;
}

// Reads one escape after its backslash; appends what it stands for; 0: it is none.
std::size_t unescape(std::string_view text, std::string& out) {
  if (text.empty()) return 0;
  const char kind = text.front();
  if (kind == '"' || kind == '\\') {
    out += kind;
    return 1;
  }
  for (std::size_t i = 0; i < kShortEscapes.size(); i += 2) {
    if (kShortEscapes[i] == kind) {
      out += kShortEscapes[i + 1];
      return 1;
    }
  }
  if (kind >= '0' && kind <= '7') {
    const auto byte = number_of(text, 3, 8);
    if (!byte || *byte > 0xff) return 0;
    out += static_cast<char>(*byte);
    return 3;
  }
  const std::size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
  const auto value = digits == 0 ? std::nullopt : number_of(text.substr(1), digits, 16);
  if (!value || *value > 0x10ffff || (digits > 2 && *value >= 0xd800 && *value < 0xe000)) return 0;
  if (digits == 2) {
    out += static_cast<char>(*value);
  } else {
    append_rune(out, *value);
  }
  return 1 + digits;
}

// What encoding/json does not write as it is.
void append_json_escape(std::string& out, std::uint32_t rune) {
  switch (rune) {
    case '"': out += "\\\""; return;
    case '\\': out += "\\\\"; return;
    case '\n': out += "\\n"; return;
    case '\r': out += "\\r"; return;
    case '\t': out += "\\t"; return;
    default: out += "\\u"; append_hex(out, rune, 4);
  }
}

bool is_plain_json(std::uint8_t byte) {
  return byte >= 0x20 && byte < 0x80 && byte != '"' && byte != '\\' && byte != '<' && byte != '>' &&
         byte != '&';
}

void append_padded(std::string& out, std::int64_t number, std::size_t width) {
  const std::string digits = std::to_string(number);
  if (digits.size() < width) out.append(width - digits.size(), '0');
  out += digits;
}

constexpr std::int64_t kFirstSecond = -62167219200;  // 0000-01-01T00:00:00Z
constexpr std::int64_t kLastSecond = 253402300799;   // 9999-12-31T23:59:59Z

}  // namespace

void append_number(std::string& out, std::uint64_t number) {
  std::array<char, 20> digits{};
  out.append(digits.data(),
             std::to_chars(digits.data(), digits.data() + digits.size(), number).ptr);
}

void append_json_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const auto* const odd = std::find_if_not(text.begin(), text.end(), [](char c) {
      return is_plain_json(static_cast<std::uint8_t>(c));
    });
    out.append(text.begin(), odd);
    text.remove_prefix(static_cast<std::size_t>(odd - text.begin()));
    if (text.empty()) break;
    const Rune rune = decode(text);
    if (rune.valid && rune.value >= 0x7f && rune.value != 0x2028 && rune.value != 0x2029) {
      out.append(text.substr(0, rune.length));
    } else {
      append_json_escape(out, rune.value);
    }
    text.remove_prefix(rune.length);
  }
  out += '"';
}

std::string quote_name(std::string_view raw) {
  std::string out;
  out.reserve(raw.size());
  while (!raw.empty()) {
    const Rune rune = decode(raw);
    if (rune.valid) {
      append_quoted_rune(out, rune.value);
    } else {
      out += "\\x";
      append_hex(out, byte_at(raw, 0), 2);
    }
    raw.remove_prefix(rune.length);
  }
  return out;
}

std::optional<std::string> unquote_name(std::string_view quoted) {
  std::string out;
  out.reserve(quoted.size());
  while (!quoted.empty()) {
    const char first = quoted.front();
    if (first == '"' || first == '\n') return std::nullopt;
    quoted.remove_prefix(1);
    if (first != '\\') {
      out += first;
      continue;
    }
    const std::size_t length = unescape(quoted, out);
    if (length == 0) return std::nullopt;
    quoted.remove_prefix(length);
  }
  return out;
}

void append_json_time(std::string& out, const Timestamp& time) {
  using std::chrono::days;
  using std::chrono::seconds;
  const std::int64_t total = std::clamp(time.seconds, kFirstSecond, kLastSecond);
  const std::chrono::sys_seconds instant{seconds(total)};
  const auto day = std::chrono::floor<days>(instant);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss clock(instant - day);
  out += '"';
  append_padded(out, static_cast<int>(date.year()), 4);
  out += '-';
  append_padded(out, static_cast<unsigned>(date.month()), 2);
  out += '-';
  append_padded(out, static_cast<unsigned>(date.day()), 2);
  out += 'T';
  append_padded(out, clock.hours().count(), 2);
  out += ':';
  append_padded(out, clock.minutes().count(), 2);
  out += ':';
  append_padded(out, clock.seconds().count(), 2);
  if (time.nanoseconds != 0) {
    out += '.';
    append_padded(out, time.nanoseconds, 9);
    while (out.back() == '0') out.pop_back();
  }
  out += "Z\"";
}

}  // namespace recover::backup
