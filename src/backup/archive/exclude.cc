#include "backup/archive/exclude.h"

#include <fnmatch.h>

#include <span>

namespace recover::backup {
namespace {

std::vector<std::string> parts_of(std::string_view path) {
  std::vector<std::string> parts;
  while (!path.empty()) {
    const std::size_t slash = path.find('/');
    const std::string_view part = path.substr(0, slash);
    if (!part.empty()) parts.emplace_back(part);
    if (slash == std::string_view::npos) break;
    path.remove_prefix(slash + 1);
  }
  return parts;
}

// Whether the pattern fits the beginning of the path.
bool fits(std::span<const std::string> pattern, std::span<const std::string> path) {
  if (pattern.empty()) return true;
  if (pattern.front() == "**") {
    for (std::size_t skip = 0; skip <= path.size(); ++skip) {
      if (fits(pattern.subspan(1), path.subspan(skip))) return true;
    }
    return false;
  }
  if (path.empty() || ::fnmatch(pattern.front().c_str(), path.front().c_str(), 0) != 0)
    return false;
  return fits(pattern.subspan(1), path.subspan(1));
}

}  // namespace

ExcludeList::ExcludeList(const std::vector<std::string>& patterns) {
  for (std::string_view text : patterns) {
    Pattern pattern;
    pattern.takes_back = text.starts_with('!');
    if (pattern.takes_back) text.remove_prefix(1);
    pattern.from_root = text.starts_with('/');
    pattern.parts = parts_of(text);
    if (!pattern.parts.empty()) patterns_.push_back(std::move(pattern));
  }
}

bool ExcludeList::matches(std::string_view path) const {
  if (patterns_.empty()) return false;
  const std::vector<std::string> parts = parts_of(path);
  bool excluded = false;
  for (const Pattern& pattern : patterns_) {
    if (pattern.takes_back != excluded) continue;
    const std::size_t starts = pattern.from_root ? 1 : parts.size();
    for (std::size_t from = 0; from < starts; ++from) {
      if (!fits(pattern.parts, std::span(parts).subspan(from))) continue;
      excluded = !pattern.takes_back;
      break;
    }
  }
  return excluded;
}

}  // namespace recover::backup
