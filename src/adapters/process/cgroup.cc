#include "adapters/process/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <cmath>
#include <cstdint>
#include <memory>
#include <string>

#include "adapters/process/proc_file.h"

namespace recover::adapters::process {
namespace {

constexpr std::string_view kServices = "recoverd.services";
// Where the daemon itself moves in a cgroup delegated to it: controllers can be enabled only where
// no process is.
constexpr std::string_view kDaemon = "/recoverd.daemon";
constexpr std::uint64_t kCpuPeriodMicros = 100'000;

template <class F>
void each_line(std::string_view text, F&& visit) {
  while (!text.empty()) {
    const auto end = text.find('\n');
    visit(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text.remove_prefix(end + 1);
  }
}

std::string_view field(std::string_view line, int number) {
  for (; number > 0; --number) {
    const auto space = line.find(' ');
    if (space == std::string_view::npos) return {};
    line.remove_prefix(space + 1);
  }
  return line.substr(0, line.find(' '));
}

std::vector<pid_t> pids_in(const std::string& folder) {
  std::vector<pid_t> pids;
  const auto text = read_small_file(folder + "/cgroup.procs");
  each_line(text ? *text : std::string_view(), [&](std::string_view line) {
    pid_t pid = 0;
    if (std::from_chars(line.data(), line.data() + line.size(), pid).ec == std::errc()) {
      pids.push_back(pid);
    }
  });
  return pids;
}

struct CloseListing {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

bool make_folder(const std::string& path) noexcept {
  return ::mkdir(path.c_str(), 0755) == 0 || errno == EEXIST;
}

// systemd marks what it delegates (Delegate=yes).
bool delegated(const std::string& path) noexcept {
  std::array<char, 2> value{};
  return ::getxattr(path.c_str(), "trusted.delegate", value.data(), value.size()) == 1 ||
         ::getxattr(path.c_str(), "user.delegate", value.data(), value.size()) == 1;
}

bool names(std::string_view words, std::string_view wanted) {
  for (int number = 0;; ++number) {
    const std::string_view word = field(words, number);
    if (word.empty()) return false;
    if (word.substr(0, word.find('\n')) == wanted) return true;
  }
}

// Those that are there and not enabled yet: each write has every cgroup of the machine wait.
void enable_controllers(const std::string& path) {
  const auto there = read_small_file(path + "/cgroup.controllers");
  const auto enabled = read_small_file(path + "/cgroup.subtree_control");
  if (!there || !enabled) return;
  for (const std::string_view controller : {"memory", "cpu", "pids", "io"}) {
    if (!names(*there, controller) || names(*enabled, controller)) continue;
    write_control(path + "/cgroup.subtree_control", "+" + std::string(controller));
  }
}

void leave_for_daemon_leaf(const std::string& own) {
  const std::string daemon = own + std::string(kDaemon);
  if (!delegated(own) || !make_folder(daemon)) return;
  for (const pid_t pid : pids_in(own)) {
    write_control(daemon + "/cgroup.procs", std::to_string(pid));
  }
}

}  // namespace

std::unordered_set<std::string> existing_leaves(const std::vector<std::string_view>& paths) {
  std::unordered_set<std::string> found;
  std::unordered_set<std::string> listed;
  for (const std::string_view path : paths) {
    const std::string folder(path.substr(0, path.rfind('/') + 1));
    if (folder.empty() || !listed.insert(folder).second) continue;
    const std::unique_ptr<DIR, CloseListing> open(::opendir(folder.c_str()));
    // Of this thread alone.  NOLINTNEXTLINE(concurrency-mt-unsafe)
    while (const dirent* each = open ? ::readdir(open.get()) : nullptr) {
      if (each->d_type == DT_DIR) found.insert(folder + each->d_name);
    }
  }
  return found;
}

std::string unified_path(std::string_view proc_cgroup) {
  std::string path;
  each_line(proc_cgroup, [&](std::string_view line) {
    if (line.substr(0, 3) == "0::") path = line.substr(3);
  });
  return path;
}

std::string unified_mount(std::string_view mountinfo) {
  std::string mount;
  each_line(mountinfo, [&](std::string_view line) {
    if (line.find(" - cgroup2 ") != std::string_view::npos && mount.empty()) mount = field(line, 4);
  });
  return mount;
}

bool CgroupLeaf::exists() const noexcept {
  return !path_.empty() && ::access(path_.c_str(), F_OK) == 0;
}

std::vector<pid_t> CgroupLeaf::members() const {
  return pids_in(path_);
}

bool CgroupLeaf::populated() const {
  const auto events = read_small_file(path_ + "/cgroup.events");
  return events && events->find("populated 1") != std::string::npos;
}

bool CgroupLeaf::kill() const noexcept {
  return write_control(path_ + "/cgroup.kill", "1") == 0;
}

bool CgroupLeaf::freeze(bool still) const noexcept {
  return write_control(path_ + "/cgroup.freeze", still ? "1" : "0") == 0;
}

bool CgroupLeaf::add(pid_t pid) const noexcept {
  std::array<char, 16> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), pid).ptr;
  return write_control(path_ + "/cgroup.procs",
                       {text.data(), static_cast<std::size_t>(end - text.data())}) == 0;
}

std::vector<std::string> CgroupLeaf::limit(const core::LimitPolicy& limits) const {
  std::vector<std::string> missing;
  const auto set = [&](const char* file, const std::string& value, const char* name) {
    if (write_control(path_ + file, value) != 0) missing.emplace_back(name);
  };
  if (limits.memory) set("/memory.max", std::to_string(*limits.memory), "memory");
  if (limits.memory_high) set("/memory.high", std::to_string(*limits.memory_high), "memory_high");
  if (limits.io_weight) set("/io.weight", std::to_string(*limits.io_weight), "io_weight");
  if (limits.pids) set("/pids.max", std::to_string(*limits.pids), "pids");
  if (limits.cpu) {
    const auto quota = std::llround(*limits.cpu * static_cast<double>(kCpuPeriodMicros));
    set("/cpu.max", std::to_string(quota) + " " + std::to_string(kCpuPeriodMicros), "cpu");
  }
  return missing;
}

void CgroupLeaf::remove() const noexcept {
  if (!path_.empty()) ::rmdir(path_.c_str());
}

std::optional<CgroupFolder> CgroupFolder::open(std::string_view owner) {
  const auto mounts = read_small_file("/proc/self/mountinfo");
  const auto self = read_small_file("/proc/self/cgroup");
  if (!mounts || !self) return std::nullopt;
  const std::string mount = unified_mount(*mounts);
  std::string own = unified_path(*self);
  if (mount.empty() || own.empty() || own.substr(0, 3) == "/..") return std::nullopt;
  if (own.ends_with(kDaemon)) own.resize(own.size() - kDaemon.size());
  own = mount + (own == "/" ? "" : own);
  const std::string services = own + "/" + std::string(kServices);
  std::string folder = services + "/" + std::string(owner);
  if (!make_folder(services) || !make_folder(folder)) return std::nullopt;
  if (::access((folder + "/cgroup.kill").c_str(), W_OK) != 0) return std::nullopt;
  leave_for_daemon_leaf(own);
  for (const std::string& path : {own, services, folder}) enable_controllers(path);
  return CgroupFolder(std::move(folder));
}

void CgroupFolder::remove() const noexcept {
  std::array<char, PATH_MAX> path{};
  const auto end = path_.rfind('/');
  if (::rmdir(path_.c_str()) != 0 || end >= path.size()) return;
  path_.copy(path.data(), end);
  ::rmdir(path.data());
}

std::optional<CgroupLeaf> CgroupFolder::leaf(std::string_view name) const {
  std::string path = path_ + "/" + std::string(name);
  if (!make_folder(path)) return std::nullopt;
  return CgroupLeaf(std::move(path));
}

}  // namespace recover::adapters::process
