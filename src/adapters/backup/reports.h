// What became of each run, as a JSON file in a folder. The newest kReportsMax are kept, and apart
// from them the newest kDrillsMax of drills: proof that is asked for after years.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/result.h>

namespace recover::adapters::backup {

class Reports {
 public:
  static constexpr std::size_t kReportsMax = 200;
  static constexpr std::size_t kDrillsMax = 1000;

  // `folder` exists.
  explicit Reports(std::string folder) : folder_(std::move(folder)) {}

  // In place of what an earlier attempt of the run left. Error: why not.
  Result<void, std::string> write(std::uint64_t run, std::string_view body,
                                  bool is_drill = false) const;
  std::optional<std::string> read(std::uint64_t run) const;
  // Those of drills, newest first, at most so many.
  std::vector<std::string> drills(std::size_t most) const;

 private:
  std::string path_of(std::string_view kind, std::uint64_t run) const;
  // Oldest first.
  std::vector<std::string> names_of(std::string_view kind) const;
  void forget_old(std::string_view kind, std::size_t kept) const;

  std::string folder_;
};

}  // namespace recover::adapters::backup
