// What changed in file trees since their last snapshot: paths, as a tree of names.
//
// It may name too much, never too little: what is named is looked at again. Bounded: with more than
// kPathsMax paths, or when whoever collects them lost count, it says that everything may have
// changed.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace recover::backup {

class ChangeSet {
 public:
  static constexpr std::size_t kPathsMax = 100'000;

  struct Entry {
    // All below it is looked at: a folder that was made, moved or removed.
    bool is_deep = false;
    // In the order of trees. Empty: the entry itself is looked at, and nothing below it.
    std::map<std::string, Entry, std::less<>> below;
  };

  // `path` is absolute and normal: no "//", "." or "..".
  void add(std::string_view path, bool deep);
  // The first reason is kept.
  void add_everything(std::string why);
  void add(const ChangeSet& other);

  bool empty() const noexcept { return !everything_ && root_.below.empty() && !root_.is_deep; }
  bool is_everything() const noexcept { return everything_; }
  const std::string& why() const noexcept { return why_; }
  // Paths added; never less than there are.
  std::size_t size() const noexcept { return size_; }

  // What is known of a path: none when nothing at or below it changed.
  // REQUIRES: not is_everything().
  const Entry* find(std::string_view path) const;
  // Each path that was added, and whether it is deep.
  void for_each(const std::function<void(const std::string& path, bool deep)>& use) const;

 private:
  Entry root_;
  std::size_t size_ = 0;
  bool everything_ = false;
  std::string why_;
};

}  // namespace recover::backup
