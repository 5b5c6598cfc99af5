#include "adapters/process/adoption.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <string_view>
#include <system_error>
#include <unordered_set>
#include <utility>

#include "adapters/process/cgroup.h"
#include "adapters/process/keeper_link.h"
#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr const char* kFolderLabel = "process-table-folder";

std::string folder_path(const std::string& state_dir) {
  return state_dir + "/run";
}

std::vector<LeftRunning> look_up(std::vector<RuntimeRow> rows) {
  std::vector<std::string_view> leaves;
  leaves.reserve(rows.size());
  for (const RuntimeRow& row : rows) leaves.emplace_back(row.cgroup);
  const auto there = existing_leaves(leaves);
  std::vector<LeftRunning> left;
  left.reserve(rows.size());
  for (RuntimeRow& row : rows) {
    LeftRunning each{.row = std::move(row), .process = std::nullopt, .has_leaf = false};
    each.has_leaf = there.contains(each.row.cgroup);
    if (!each.row.completed) {
      if (auto process = Process::open(each.row.incarnation)) each.process = std::move(*process);
    }
    left.push_back(std::move(each));
  }
  return left;
}

}  // namespace

std::string table_path(const std::string& state_dir) {
  return folder_path(state_dir) + "/processes";
}

Adoption::Adoption(Descriptor folder, KeeperLink& keeper)
    : folder_(std::move(folder)),
      table_("/proc/self/fd/" + std::to_string(folder_.get()) + "/processes", boot_id()),
      memory_(keeper.take(kTableLabel)) {
  look();
}

Adoption::Adoption(const std::string& state_dir, KeeperLink& keeper, Adoption* before)
    : table_(table_path(state_dir), boot_id()) {
  if (before != nullptr) static_cast<void>(before->take());
  memory_ = before != nullptr ? std::move(before->memory_) : keeper.take(kTableLabel);
  look();
}

std::unique_ptr<Adoption> Adoption::begin(KeeperLink& keeper) {
  Descriptor folder = keeper.take(kFolderLabel);
  if (!folder) return nullptr;
  return std::unique_ptr<Adoption>(new Adoption(std::move(folder), keeper));
}

void Adoption::remember(const std::string& state_dir, KeeperLink& keeper) {
  const Descriptor folder(::open(folder_path(state_dir).c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (folder) keeper.store(kFolderLabel, folder.get());
}

bool Adoption::is_of(const std::string& state_dir) const {
  struct stat ours {};
  struct stat theirs {};
  return ::fstat(folder_.get(), &ours) == 0 &&
         ::stat(folder_path(state_dir).c_str(), &theirs) == 0 && ours.st_dev == theirs.st_dev &&
         ours.st_ino == theirs.st_ino;
}

void Adoption::look() {
  const auto all = [this] {
    left_ = look_up(memory_ ? table_.load_memory(memory_) : table_.load());
  };
  try {
    thread_ = std::thread(all);
  } catch (const std::system_error&) {
    all();  // No thread can be had.
  }
}

Adoption::~Adoption() {
  if (thread_.joinable()) thread_.join();
}

Adoption::Found Adoption::take() {
  if (thread_.joinable()) thread_.join();
  return {.left = std::exchange(left_, {}), .in_memory = static_cast<bool>(memory_)};
}

}  // namespace recover::adapters::process
