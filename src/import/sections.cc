#include "import/sections.h"

#include <algorithm>
#include <ranges>

#include "import/words.h"

namespace recover::import {
namespace {

bool is_comment(std::string_view line) {
  return line.starts_with(';') || line.starts_with('#');
}

// Cuts " ; comment" off.
std::string_view without_comment(std::string_view line) {
  for (std::size_t at = 1; at < line.size(); ++at) {
    const bool mark = line[at] == ';' || line[at] == '#';
    if (mark && (line[at - 1] == ' ' || line[at - 1] == '\t')) return line.substr(0, at);
  }
  return line;
}

bool is_indented(std::string_view line) {
  return line.starts_with(' ') || line.starts_with('\t');
}

}  // namespace

const Setting* Section::find(std::string_view key) const {
  const auto found = std::find_if(settings.rbegin(), settings.rend(),
                                  [key](const Setting& each) { return each.key == key; });
  return found == settings.rend() ? nullptr : &*found;
}

std::vector<Section> read_sections(std::string_view text, Dialect dialect) {
  std::vector<Section> sections;
  std::size_t number = 0;
  bool goes_on = false;
  for (const std::string_view raw : lines_of(text)) {
    ++number;
    std::string_view line = trimmed(raw);
    if (line.empty() || is_comment(line)) {
      if (dialect == Dialect::Supervisor || line.empty()) goes_on = false;
      continue;
    }
    if (dialect == Dialect::Supervisor) {
      line = trimmed(without_comment(line));
      goes_on = is_indented(raw) && !sections.empty() && !sections.back().settings.empty();
    }
    const bool more = dialect == Dialect::Unit && line.ends_with('\\');
    if (more) line.remove_suffix(1);
    if (goes_on && !sections.empty() && !sections.back().settings.empty()) {
      sections.back().settings.back().value += " " + std::string(trimmed(line));
    } else if (line.starts_with('[') && line.ends_with(']')) {
      sections.push_back({std::string(line.substr(1, line.size() - 2)), number, {}});
    } else if (!sections.empty()) {
      const std::size_t equals = line.find_first_of(dialect == Dialect::Supervisor ? "=:" : "=");
      const std::string_view key = trimmed(line.substr(0, equals));
      const std::string_view value =
          equals == std::string_view::npos ? std::string_view() : trimmed(line.substr(equals + 1));
      sections.back().settings.push_back(
          {dialect == Dialect::Supervisor ? lower(key) : std::string(key), std::string(value),
           number});
    }
    goes_on = more;
  }
  return sections;
}

}  // namespace recover::import
