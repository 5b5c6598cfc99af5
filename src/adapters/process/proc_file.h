// What /proc says about a process, and the few small files this room reads.
//
// Allocation-free where the keeper needs it. Nothing here trusts a pid to stay what it was.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace recover::adapters::process {

// Of /proc/<pid>/stat (proc(5)).
struct ProcStat {
  char state = '?';  // 'Z': ended, not collected yet.
  pid_t parent = 0;
  pid_t group = 0;
  pid_t session = 0;
  std::uint64_t start_time = 0;  // Clock ticks since boot (field 22).
};

// None: no such process. Does not allocate.
std::optional<ProcStat> read_stat(pid_t pid) noexcept;
// Now, in the unit and on the clock of a start time: what is made between two equal ones has that.
// 0: unknown. Async-signal-safe.
std::uint64_t start_time_now() noexcept;
// The fields of one line of /proc/<pid>/stat; the command's name may hold anything, even ')'.
std::optional<ProcStat> parse_stat(std::string_view line) noexcept;

// Changes with every boot; empty when it cannot be read.
std::string boot_id();

// The whole file, at most kSmallFileMax bytes of it; none when it cannot be read.
inline constexpr std::size_t kSmallFileMax = 4U << 20U;
std::optional<std::string> read_small_file(const std::string& path);

// One write(2) to a file that exists (cgroup control files). 0, or errno.
int write_control(const std::string& path, std::string_view text) noexcept;

}  // namespace recover::adapters::process
