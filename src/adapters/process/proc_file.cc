#include "adapters/process/proc_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "adapters/process/descriptor.h"

namespace recover::adapters::process {
namespace {

// The numeric fields after the state: field 4 is the parent, 22 the start time.
constexpr int kParentField = 4;
constexpr int kGroupField = 5;
constexpr int kSessionField = 6;
constexpr int kStartTimeField = 22;

std::optional<std::uint64_t> next_number(std::string_view& rest) noexcept {
  while (!rest.empty() && rest.front() == ' ') rest.remove_prefix(1);
  const bool negative = !rest.empty() && rest.front() == '-';
  if (negative) rest.remove_prefix(1);
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(rest.data(), rest.data() + rest.size(), value);
  if (error != std::errc()) return std::nullopt;
  rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
  return negative ? 0 : value;
}

}  // namespace

std::optional<ProcStat> parse_stat(std::string_view line) noexcept {
  const auto name_end = line.rfind(')');
  if (name_end == std::string_view::npos || name_end + 2 >= line.size()) return std::nullopt;
  ProcStat stat;
  stat.state = line[name_end + 2];
  std::string_view rest = line.substr(name_end + 3);
  for (int field = kParentField; field <= kStartTimeField; ++field) {
    const auto value = next_number(rest);
    if (!value) return std::nullopt;
    if (field == kParentField) stat.parent = static_cast<pid_t>(*value);
    if (field == kGroupField) stat.group = static_cast<pid_t>(*value);
    if (field == kSessionField) stat.session = static_cast<pid_t>(*value);
    if (field == kStartTimeField) stat.start_time = *value;
  }
  return stat;
}

std::optional<ProcStat> read_stat(pid_t pid) noexcept {
  std::array<char, 64> path{};
  std::snprintf(path.data(), path.size(), "/proc/%d/stat", pid);
  const Descriptor file(::open(path.data(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::array<char, 1024> text{};
  const ssize_t size = ::read(file.get(), text.data(), text.size());
  if (size <= 0) return std::nullopt;
  return parse_stat({text.data(), static_cast<std::size_t>(size)});
}

std::uint64_t start_time_now() noexcept {
  static const long kTicks = ::sysconf(_SC_CLK_TCK);
  constexpr std::int64_t kSecond = 1'000'000'000;
  timespec time{};
  if (kTicks <= 0 || kSecond % kTicks != 0 || ::clock_gettime(CLOCK_BOOTTIME, &time) != 0) return 0;
  return static_cast<std::uint64_t>((std::int64_t{time.tv_sec} * kSecond + time.tv_nsec) /
                                    (kSecond / kTicks));
}

std::string boot_id() {
  std::string id = read_small_file("/proc/sys/kernel/random/boot_id").value_or("");
  while (!id.empty() && id.back() == '\n') id.pop_back();
  return id;
}

std::optional<std::string> read_small_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file) return std::nullopt;
  std::string text;
  std::array<char, 4096> block{};
  while (text.size() < kSmallFileMax) {
    const ssize_t size = ::read(file.get(), block.data(), block.size());
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return std::nullopt;
    if (size == 0) break;
    text.append(block.data(), static_cast<std::size_t>(size));
  }
  return text;
}

int write_control(const std::string& path, std::string_view text) noexcept {
  const Descriptor file(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!file) return errno;
  return ::write(file.get(), text.data(), text.size()) < 0 ? errno : 0;
}

}  // namespace recover::adapters::process
