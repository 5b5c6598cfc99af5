// What became of each run, as a JSON file in a folder; the newest kReportsMax are kept.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include <recover/result.h>

namespace recover::adapters::backup {

class Reports {
 public:
  static constexpr std::size_t kReportsMax = 200;

  // `folder` exists.
  explicit Reports(std::string folder) : folder_(std::move(folder)) {}

  // In place of what an earlier attempt of the run left. Error: why not.
  Result<void, std::string> write(std::uint64_t run, std::string_view body) const;
  std::optional<std::string> read(std::uint64_t run) const;

 private:
  std::string path_of(std::uint64_t run) const;
  void forget_old() const;

  std::string folder_;
};

}  // namespace recover::adapters::backup
