#include "adapters/probe/tree_memory.h"

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>

namespace recover::adapters::probe {
namespace {

std::uint64_t resident(std::int64_t pid) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/statm");
  std::uint64_t size = 0;
  std::uint64_t pages = 0;
  if (!(file >> size >> pages)) return 0;
  static const auto kPage = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  return pages * kPage;
}

std::vector<std::int64_t> numbers_in(const std::string& path) {
  std::ifstream file(path);
  std::vector<std::int64_t> numbers;
  for (std::int64_t number = 0; file >> number;) numbers.push_back(number);
  return numbers;
}

// A child belongs to the thread that made it.
std::vector<std::int64_t> children_of(std::int64_t pid) {
  std::vector<std::int64_t> children;
  std::error_code error;
  const std::filesystem::directory_iterator tasks("/proc/" + std::to_string(pid) + "/task", error);
  if (error) return children;
  for (auto task = begin(tasks); task != end(tasks); task.increment(error)) {
    const auto own = numbers_in(task->path().string() + "/children");
    children.insert(children.end(), own.begin(), own.end());
    if (error) break;
  }
  return children;
}

}  // namespace

std::uint64_t resident_bytes(const std::vector<Tree>& trees) {
  std::set<std::int64_t> seen;
  std::vector<std::int64_t> open;
  for (const Tree& tree : trees) {
    if (!tree.cgroup.empty()) open = numbers_in(tree.cgroup + "/cgroup.procs");
    open.push_back(tree.pid);
    while (!open.empty() && seen.size() < kTreeProcessesMax) {
      const std::int64_t pid = open.back();
      open.pop_back();
      if (!seen.insert(pid).second || !tree.cgroup.empty()) continue;
      const auto children = children_of(pid);
      open.insert(open.end(), children.begin(), children.end());
    }
  }
  std::uint64_t bytes = 0;
  for (const std::int64_t pid : seen) bytes += resident(pid);
  return bytes;
}

}  // namespace recover::adapters::probe
