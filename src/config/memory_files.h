// Files that live in memory: for tests, the fuzzer and the simulator.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/files.h"

namespace recover::config {

using Texts = std::map<std::string, std::string>;

class MemoryFiles final : public Files {
 public:
  MemoryFiles() = default;
  explicit MemoryFiles(Texts files, Texts variables = {})
      : files_(std::move(files)), variables_(std::move(variables)) {}

  Result<std::string, std::string> read(const std::string& path) override {
    const auto found = files_.find(path);
    if (found == files_.end()) return Unexpected(std::string("No such file or directory"));
    return found->second;
  }
  // `*` is any text without `/`; "./" at the front is dropped.
  std::vector<std::string> glob(const std::string& pattern, const std::string& base_dir) override {
    std::string_view wanted = pattern;
    while (wanted.starts_with("./")) wanted.remove_prefix(2);
    const std::string full =
        wanted.starts_with('/') ? std::string(wanted) : base_dir + "/" + std::string(wanted);
    std::vector<std::string> paths;
    for (const auto& [path, text] : files_) {
      if (matches(full, path)) paths.push_back(path);
    }
    return paths;
  }
  std::optional<std::string> environment(const std::string& name) override {
    const auto found = variables_.find(name);
    return found == variables_.end() ? std::nullopt : std::optional(found->second);
  }
  TreeMemory* trees() override { return trees_; }
  // Outlives this.
  void remember_in(TreeMemory& trees) { trees_ = &trees; }

 private:
  // Goes back to the last star at most once a character.
  static bool matches(std::string_view pattern, std::string_view path) {
    std::size_t at = 0;
    std::size_t star = std::string_view::npos;
    std::size_t taken = 0;
    std::size_t i = 0;
    while (i < path.size()) {
      if (at < pattern.size() && pattern[at] == '*') {
        star = at++;
        taken = i;
      } else if (at < pattern.size() && pattern[at] == path[i]) {
        ++at;
        ++i;
      } else if (star != std::string_view::npos && path[taken] != '/') {
        at = star + 1;
        i = ++taken;
      } else {
        return false;
      }
    }
    while (at < pattern.size() && pattern[at] == '*') ++at;
    return at == pattern.size();
  }

  Texts files_;
  Texts variables_;
  TreeMemory* trees_ = nullptr;
};

}  // namespace recover::config
