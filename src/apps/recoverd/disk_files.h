// The configuration's files and environment, from the real system.
#pragma once

#include "config/files.h"

namespace recover::apps {

class DiskFiles final : public config::Files {
 public:
  // `trees` outlives this; null: every file is parsed.
  explicit DiskFiles(config::TreeMemory* trees = nullptr) noexcept : trees_(trees) {}

  Result<std::string, std::string> read(const std::string& path) override;
  std::vector<std::string> glob(const std::string& pattern, const std::string& base_dir) override;
  std::optional<std::string> environment(const std::string& name) override;
  config::TreeMemory* trees() override { return trees_; }

 private:
  config::TreeMemory* trees_;
};

// The same environment, but files as they were: the text a journal remembers. Secrets' files
// (`${file:}`) are read from the disk, since no journal holds them.
class RememberedFiles final : public config::Files {
 public:
  explicit RememberedFiles(std::vector<std::pair<std::string, std::string>> sources);

  Result<std::string, std::string> read(const std::string& path) override;
  std::vector<std::string> glob(const std::string& pattern, const std::string& base_dir) override;
  std::optional<std::string> environment(const std::string& name) override;

 private:
  std::vector<std::pair<std::string, std::string>> sources_;
  DiskFiles disk_;
};

}  // namespace recover::apps
