#include "backup/archive/change_set.h"

#include <utility>

namespace recover::backup {
namespace {

// The first part of a path, which goes on behind it.
std::string_view take_part(std::string_view& path) {
  while (path.starts_with('/')) path.remove_prefix(1);
  const std::string_view part = path.substr(0, path.find('/'));
  path.remove_prefix(part.size());
  return part;
}

void tell(const ChangeSet::Entry& entry, std::string& path,
          const std::function<void(const std::string&, bool)>& use) {
  if (entry.is_deep || entry.below.empty()) return use(path.empty() ? "/" : path, entry.is_deep);
  const std::size_t length = path.size();
  for (const auto& [name, below] : entry.below) {
    path += '/';
    path += name;
    tell(below, path, use);
    path.resize(length);
  }
}

}  // namespace

void ChangeSet::add(std::string_view path, bool deep) {
  if (everything_) return;
  if (size_ >= kPathsMax) return add_everything("too many changes to remember each");
  Entry* at = &root_;
  for (std::string_view part = take_part(path); !part.empty(); part = take_part(path)) {
    if (at->is_deep) return;
    auto next = at->below.find(part);
    if (next == at->below.end()) {
      next = at->below.emplace(part, Entry{}).first;
      if (path.empty()) ++size_;
    }
    at = &next->second;
  }
  if (!deep || at->is_deep) return;
  at->is_deep = true;
  at->below.clear();
}

void ChangeSet::add_everything(std::string why) {
  if (everything_) return;
  everything_ = true;
  why_ = std::move(why);
  root_ = Entry{};
}

void ChangeSet::add(const ChangeSet& other) {
  if (other.everything_) return add_everything(other.why_);
  if (other.empty()) return;
  other.for_each([this](const std::string& path, bool deep) { add(path, deep); });
}

const ChangeSet::Entry* ChangeSet::find(std::string_view path) const {
  const Entry* at = &root_;
  for (std::string_view part = take_part(path); !part.empty(); part = take_part(path)) {
    if (at->is_deep) return at;
    const auto next = at->below.find(part);
    if (next == at->below.end()) return nullptr;
    at = &next->second;
  }
  return empty() ? nullptr : at;
}

void ChangeSet::for_each(const std::function<void(const std::string& path, bool deep)>& use) const {
  std::string path;
  if (!empty() && !everything_) tell(root_, path, use);
}

}  // namespace recover::backup
