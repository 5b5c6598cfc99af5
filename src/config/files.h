// The outside world as the configuration needs it; the composition root implements it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include <recover/result.h>

namespace recover::config {

class TreeMemory;

class Files {
 public:
  Files() = default;
  Files(const Files&) = delete;
  Files& operator=(const Files&) = delete;
  virtual ~Files() = default;

  // The whole file, or why not ("No such file or directory"); the reason is shown to the user.
  virtual Result<std::string, std::string> read(const std::string& path) = 0;
  // Paths that match, in any order; relative patterns start at `base_dir`. A pattern without
  // wildcards gives the path when there is such a file.
  virtual std::vector<std::string> glob(const std::string& pattern,
                                        const std::string& base_dir) = 0;
  virtual std::optional<std::string> environment(const std::string& name) = 0;
  // Trees of texts that were read before; null: none are remembered.
  virtual TreeMemory* trees() { return nullptr; }
};

}  // namespace recover::config
