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

namespace {

constexpr std::string_view kRun = "run-";
constexpr std::string_view kDrill = "drill-";

}  // namespace

Result<void, std::string> Reports::write(std::uint64_t run, std::string_view body,
                                         bool is_drill) const {
  auto written = write_whole(path_of(is_drill ? kDrill : kRun, run), body);
  forget_old(kRun, kReportsMax);
  forget_old(kDrill, kDrillsMax);
  return written;
}

std::optional<std::string> Reports::read(std::uint64_t run) const {
  auto body = read_whole(path_of(kRun, run));
  return body ? body : read_whole(path_of(kDrill, run));
}

std::vector<std::string> Reports::drills(std::size_t most) const {
  std::vector<std::string> names = names_of(kDrill);
  std::ranges::reverse(names);
  if (names.size() > most) names.resize(most);
  std::vector<std::string> bodies;
  for (const std::string& name : names) {
    if (auto body = read_whole(folder_ + "/" + name)) bodies.push_back(std::move(*body));
  }
  return bodies;
}

// Padded: their order is that of their names.
std::string Reports::path_of(std::string_view kind, std::uint64_t run) const {
  std::array<char, 32> number{};
  std::snprintf(number.data(), number.size(), "%010" PRIu64 ".json", run);
  return folder_ + "/" + std::string(kind) + number.data();
}

std::vector<std::string> Reports::names_of(std::string_view kind) const {
  std::vector<std::string> names;
  std::error_code error;
  for (std::filesystem::directory_iterator at(folder_, error), end; !error && at != end;
       at.increment(error)) {
    std::string name = at->path().filename();
    if (name.starts_with(kind) && name.ends_with(".json")) names.push_back(std::move(name));
  }
  std::ranges::sort(names);
  return names;
}

void Reports::forget_old(std::string_view kind, std::size_t kept) const {
  const std::vector<std::string> names = names_of(kind);
  if (names.size() <= kept) return;
  std::error_code ignored;
  for (std::size_t i = 0; i < names.size() - kept; ++i) {
    std::filesystem::remove(folder_ + "/" + names[i], ignored);
  }
}

}  // namespace recover::adapters::backup
