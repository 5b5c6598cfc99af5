#include "adapters/resource/gauges.h"

#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <optional>
#include <sstream>
#include <system_error>

namespace recover::adapters::resource {
namespace {

using Ratio = Result<double, std::string>;

Ratio unreadable(const std::string& path) {
  return Unexpected(path + ": " + std::generic_category().message(errno));
}

double ratio(double part, double whole) {
  return whole > 0 ? std::clamp(part / whole, 0.0, 1.0) : 0.0;
}

Ratio memory() {
  std::ifstream file("/proc/meminfo");
  std::string key;
  std::string unit;
  double value = 0;
  double total = 0;
  std::optional<double> available;
  while (file >> key >> value && std::getline(file, unit)) {
    if (key == "MemTotal:") total = value;
    if (key == "MemAvailable:") available = value;
  }
  if (total <= 0 || !available) return unreadable("/proc/meminfo");
  return ratio(total - *available, total);
}

Ratio of_file_system(const std::string& path, bool inodes) {
  struct statvfs system {};
  if (::statvfs(path.c_str(), &system) != 0) return unreadable(path);
  if (inodes) {
    return ratio(static_cast<double>(system.f_files - system.f_ffree),
                 static_cast<double>(system.f_files));
  }
  // As df does: of what others than root may use.
  const auto used = static_cast<double>(system.f_blocks - system.f_bfree);
  return ratio(used, used + static_cast<double>(system.f_bavail));
}

Ratio pressure_of(const std::string& what) {
  const std::string path = "/proc/pressure/" + what;
  std::ifstream file(path);
  std::string word;
  constexpr std::string_view kField = "avg10=";
  while (file >> word) {
    if (!word.starts_with(kField)) continue;
    double percent = 0;
    std::istringstream(word.substr(kField.size())) >> percent;
    return ratio(percent, 100);
  }
  return unreadable(path);
}

Ratio pressure(const std::string& what) {
  if (what == "cpu" || what == "memory" || what == "io") return pressure_of(what);
  const Ratio processor = pressure_of("cpu");
  const Ratio main = pressure_of("memory");
  if (!processor) return processor;
  if (!main) return main;
  return std::max(*processor, *main);
}

Ratio files() {
  std::ifstream file("/proc/sys/fs/file-nr");
  double open = 0;
  double unused = 0;
  double max = 0;
  if (!(file >> open >> unused >> max)) return unreadable("/proc/sys/fs/file-nr");
  return ratio(open - unused, max);
}

}  // namespace

Ratio Gauges::cpu() {
  std::ifstream file("/proc/stat");
  std::string name;
  std::array<std::uint64_t, 8> ticks{};  // user nice system idle iowait irq softirq steal
  file >> name;
  for (std::uint64_t& value : ticks) file >> value;
  if (!file) return unreadable("/proc/stat");
  CpuTime now;
  for (const std::uint64_t value : ticks) now.all += value;
  now.busy = now.all - ticks[3] - ticks[4];
  const std::lock_guard lock(mutex_);
  // Readings closer together than a tenth of a second on one processor tell nothing.
  const auto window = static_cast<std::uint64_t>(std::max(::sysconf(_SC_CLK_TCK) / 10, 1L));
  if (now.all - cpu_before_.all < window) return cpu_ratio_;
  cpu_ratio_ = ratio(static_cast<double>(now.busy - std::min(cpu_before_.busy, now.busy)),
                     static_cast<double>(now.all - cpu_before_.all));
  cpu_before_ = now;
  return cpu_ratio_;
}

Ratio Gauges::used(const core::ResourceProbe& what) {
  switch (what.resource) {
    case core::Resource::Cpu: return cpu();
    case core::Resource::Memory: return memory();
    case core::Resource::Disk: return of_file_system(what.path, false);
    case core::Resource::Inodes: return of_file_system(what.path, true);
    case core::Resource::Pressure: return pressure(what.path);
    case core::Resource::Files: return files();
  }
  return Unexpected(std::string("no such resource"));
}

}  // namespace recover::adapters::resource
