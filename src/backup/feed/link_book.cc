#include "backup/feed/link_book.h"

#include <algorithm>

namespace recover::backup {

void LinkBook::begin(const ChangeSet& changes) {
  const std::lock_guard lock(mutex_);
  ++run_;
  full_walk_ = changes.is_everything();
  if (full_walk_) {
    names_.clear();
    files_.clear();
    touched_.clear();
    too_many_ = false;
    return;
  }
  changes.for_each([this](const std::string& path, bool deep) { forget(path, deep); });
}

void LinkBook::forget(const std::string& path, bool deep) {
  if (const auto name = names_.find(path); name != names_.end()) erase(name);
  if (!deep) return;
  const std::string below = path == "/" ? path : path + "/";
  for (auto name = names_.lower_bound(below);
       name != names_.end() && name->first.starts_with(below);) {
    erase(name++);
  }
}

// Whoever shares the file with it has to be looked at.
void LinkBook::erase(std::map<std::string, Name>::iterator name) {
  touched_.insert(name->second.file);
  files_[name->second.file].paths.erase(name->first);
  names_.erase(name);
}

void LinkBook::saw(const std::string& path, const Node& node) {
  const std::lock_guard lock(mutex_);
  const File file{node.device_id, node.inode};
  touched_.insert(file);
  if (too_many_) return;
  if (names_.size() >= kNamesMax && !names_.contains(path)) {
    too_many_ = true;
    names_.clear();
    files_.clear();
    return;
  }
  if (const auto old = names_.find(path); old != names_.end() && old->second.file != file) {
    erase(old);
  }
  names_[path] = {.file = file, .links = node.links, .run = run_};
  files_[file].paths.insert(path);
}

ChangeSet LinkBook::finish() {
  const std::lock_guard lock(mutex_);
  ChangeSet rest;
  for (const File& file : touched_) {
    if (too_many_) {
      if (!full_walk_) rest.add_everything("a file changed that has several names");
      break;
    }
    const auto found = files_.find(file);
    if (found == files_.end()) continue;
    Names& known = found->second;
    const auto was_seen = [&](const std::string& path) { return names_.at(path).run == run_; };
    const bool all_seen = std::all_of(known.paths.begin(), known.paths.end(), was_seen);
    if (!all_seen) {
      // All of them in one run, or two would go on telling of each other.
      for (const std::string& path : known.paths) rest.add(path, false);
    }
    const std::uint64_t links = known.paths.empty() ? 0 : names_.at(*known.paths.begin()).links;
    const std::uint64_t outside = links > known.paths.size() ? links - known.paths.size() : 0;
    if (full_walk_) known.outside = outside;
    if (all_seen && outside > known.outside) {
      rest.add_everything("a file has a further name that is not known");
    }
    if (known.paths.empty()) files_.erase(found);
  }
  touched_.clear();
  return rest;
}

}  // namespace recover::backup
