#include "api/pattern_text.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <vector>

namespace recover::api {

namespace {

using Lines = std::vector<std::string>;

constexpr std::string_view kKey = "patterns:";

Lines lines_of(const std::string& text) {
  Lines lines;
  std::size_t at = 0;
  while (at < text.size()) {
    const auto end = text.find('\n', at);
    const std::size_t next = end == std::string::npos ? text.size() : end + 1;
    lines.push_back(text.substr(at, next - at));
    at = next;
  }
  return lines;
}

std::string joined(const Lines& lines) {
  std::string text;
  for (const std::string& line : lines) text += line;
  return text;
}

std::size_t indent_of(std::string_view line) {
  const auto first = line.find_first_not_of(' ');
  return first == std::string_view::npos ? line.size() : first;
}

// Neither blank nor only a comment.
bool says_something(std::string_view line) {
  const auto first = line.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && line[first] != '#';
}

bool is_item(std::string_view line) {
  const std::string_view rest = line.substr(indent_of(line));
  return rest.starts_with("- ") || rest == "-\n" || rest == "-";
}

// The line of the key `patterns:`; none: there is none at the top level.
std::optional<std::size_t> key_line(const Lines& lines) {
  const auto found = std::find_if(lines.begin(), lines.end(),
                                  [](const std::string& line) { return line.starts_with(kKey); });
  if (found == lines.end()) return std::nullopt;
  return static_cast<std::size_t>(found - lines.begin());
}

// The first line after `from` that says something; lines.size(): there is none.
std::size_t next_saying(const Lines& lines, std::size_t from) {
  std::size_t at = from;
  while (at < lines.size() && !says_something(lines[at])) ++at;
  return at;
}

// What follows the key on its line, without a comment.
std::string_view value_of(std::string_view line) {
  line.remove_prefix(kKey.size());
  const auto comment = line.find(" #");
  if (comment != std::string_view::npos) line = line.substr(0, comment);
  const auto first = line.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos) return {};
  return line.substr(first, line.find_last_not_of(" \t\r\n") - first + 1);
}

Result<std::string, std::string> into_flow(Lines lines, std::size_t key, std::string_view item) {
  const auto open = lines[key].find('[');
  const auto after = lines[key].find_first_not_of(" \t\r\n", open + 1);
  const bool empty = after != std::string::npos && lines[key][after] == ']';
  lines[key].insert(open + 1, std::string(item) + (empty ? "" : ", "));
  return joined(lines);
}

// Whether the line holds `id: NAME`, however it is quoted.
bool names(std::string_view text, std::string_view id) {
  for (auto at = text.find("id"); at != std::string_view::npos; at = text.find("id", at + 1)) {
    const char before = at == 0 ? ' ' : text[at - 1];
    if (std::isalnum(static_cast<unsigned char>(before)) != 0 || before == '_') continue;
    std::size_t rest = at + 2;
    if (rest < text.size() && text[rest] == '"') ++rest;
    rest = std::min(text.find_first_not_of(' ', rest), text.size());
    if (rest >= text.size() || text[rest] != ':') continue;
    rest = text.find_first_not_of(" \"'", rest + 1);
    if (rest == std::string_view::npos || !text.substr(rest).starts_with(id)) continue;
    const char end = rest + id.size() < text.size() ? text[rest + id.size()] : ' ';
    if (std::string_view(" \"',}\r\n").find(end) != std::string_view::npos) return true;
  }
  return false;
}

struct Span {
  std::size_t begin = 0;
  std::size_t end = 0;
};

// The lines of each item of the block list below the key.
std::vector<Span> items_of(const Lines& lines, std::size_t key) {
  std::vector<Span> items;
  const std::size_t first = next_saying(lines, key + 1);
  if (first == lines.size() || !is_item(lines[first])) return items;
  const std::size_t indent = indent_of(lines[first]);
  std::size_t at = first;
  for (; at < lines.size(); ++at) {
    if (!says_something(lines[at])) continue;
    const bool item = is_item(lines[at]) && indent_of(lines[at]) == indent;
    if (!item && indent_of(lines[at]) <= indent) break;
    if (item) items.push_back({at, at + 1});
    items.back().end = at + 1;  // Comments between items stay.
  }
  return items;
}

}  // namespace

Result<std::string, std::string> with_pattern(const std::string& yaml, std::string_view item) {
  Lines lines = lines_of(yaml);
  if (!lines.empty() && lines.back().back() != '\n') lines.back() += '\n';
  const auto key = key_line(lines);
  if (!key) return joined(lines) + "patterns:\n  - " + std::string(item) + "\n";
  const std::string_view value = value_of(lines[*key]);
  if (value.starts_with('[')) return into_flow(std::move(lines), *key, item);
  if (!value.empty()) {
    return Unexpected<std::string>("`patterns:` holds something that is no list");
  }
  const std::size_t first = next_saying(lines, *key + 1);
  const bool list = first < lines.size() && is_item(lines[first]);
  const std::size_t indent = list ? indent_of(lines[first]) : 2;
  const auto place = static_cast<Lines::difference_type>(list ? first : *key + 1);
  lines.insert(lines.begin() + place, std::string(indent, ' ') + "- " + std::string(item) + "\n");
  return joined(lines);
}

Result<std::string, std::string> without_pattern(const std::string& yaml, std::string_view id) {
  Lines lines = lines_of(yaml);
  const auto key = key_line(lines);
  if (!key) return Unexpected<std::string>("it stands in another file");
  const std::vector<Span> items = items_of(lines, *key);
  for (const Span& item : items) {
    std::string text;
    for (std::size_t i = item.begin; i < item.end; ++i) text += lines[i];
    if (!names(text, id)) continue;
    const auto begin = lines.begin() + static_cast<Lines::difference_type>(item.begin);
    lines.erase(begin, lines.begin() + static_cast<Lines::difference_type>(item.end));
    if (items.size() == 1) lines[*key] = "patterns: []\n";
    return joined(lines);
  }
  return Unexpected<std::string>("it stands in another file, or in a list in brackets");
}

}  // namespace recover::api
