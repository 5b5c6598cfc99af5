#include "adapters/backup/reports.h"

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <vector>

#include "adapters/backup/whole_file.h"

namespace recover::adapters::backup {

Result<void, std::string> Reports::write(std::uint64_t run, std::string_view body) const {
  auto written = write_whole(path_of(run), body);
  forget_old();
  return written;
}

std::optional<std::string> Reports::read(std::uint64_t run) const {
  return read_whole(path_of(run));
}

// Padded: their order is that of their names.
std::string Reports::path_of(std::uint64_t run) const {
  std::array<char, 40> name{};
  std::snprintf(name.data(), name.size(), "/run-%010" PRIu64 ".json", run);
  return folder_ + name.data();
}

void Reports::forget_old() const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    std::string name = at->path().filename();
    if (name.starts_with("run-") && name.ends_with(".json")) names.push_back(std::move(name));
  }
  if (names.size() <= kReportsMax) return;
  std::ranges::sort(names);
  for (std::size_t i = 0; i < names.size() - kReportsMax; ++i) {
    std::filesystem::remove(folder_ + "/" + names[i], error);
  }
}

}  // namespace recover::adapters::backup
