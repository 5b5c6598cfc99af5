// How a process of a `run:` service is executed, beyond its command: rights, limits, shares.
//
// Values only, like policy.h, and the closed sets of names the kernel gives numbers to: the
// configuration is checked against them, the edge that executes translates them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <recover/time.h>

namespace recover::core {

enum class RunType : std::uint8_t {
  Simple,   // Runs until it is stopped.
  Oneshot,  // Ends by itself; once it ended with 0 the service counts as up until it is stopped.
};

// Infinite: kUnlimited.
inline constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};
struct ResourceLimit {
  std::string name;  // "core", "nofile", … of resource_limit_names().
  std::uint64_t soft = 0;
  std::uint64_t hard = 0;
  friend bool operator==(const ResourceLimit&, const ResourceLimit&) = default;
};

enum class IoClass : std::uint8_t { Realtime, BestEffort, Idle };
struct IoPriority {
  IoClass io_class = IoClass::BestEffort;
  std::uint32_t priority = 4;  // 0 (first) to 7; not of Idle.
  friend bool operator==(const IoPriority&, const IoPriority&) = default;
};

enum class CpuScheduler : std::uint8_t { Other, Batch, Idle, Fifo, RoundRobin };
struct SchedulingPolicy {
  CpuScheduler policy = CpuScheduler::Other;
  std::uint32_t priority = 0;  // 1 to 99 of Fifo and RoundRobin.
  friend bool operator==(const SchedulingPolicy&, const SchedulingPolicy&) = default;
};

// Names and groups ("@mount"). With `allow` only those, without all; `deny` beats both.
struct SystemCallPolicy {
  std::vector<std::string> allow;
  std::vector<std::string> deny;
  bool kill = true;  // SIGSYS to the process; false: the call fails with EPERM.
  friend bool operator==(const SystemCallPolicy&, const SystemCallPolicy&) = default;
};

// A listening socket that recoverd opens, keeps over restarts and passes (LISTEN_FDS).
struct SocketPolicy {
  std::string listen;  // "127.0.0.1:80", "[::1]:80", "*:80", "/run/x.sock", "udp:127.0.0.1:53".
  std::string name;    // In LISTEN_FDNAMES; empty: "unknown", as systemd has it.
  std::uint32_t backlog = 4096;
  std::uint32_t mode = 0666;  // Of a unix socket's file.
  friend bool operator==(const SocketPolicy&, const SocketPolicy&) = default;
};

struct ExecutionPolicy {
  std::optional<std::vector<std::string>> supplementary_groups;  // None: the user's own.
  std::vector<ResourceLimit> rlimits;
  std::optional<int> nice;
  std::optional<IoPriority> ionice;
  std::optional<SchedulingPolicy> scheduling;
  std::vector<std::uint32_t> cpus;  // Empty: all.
  std::optional<int> oom_score_adj;
  std::optional<std::vector<std::string>> capabilities;  // The most it can get; none: as is.
  std::vector<std::string> ambient_capabilities;         // Had without being root.
  bool no_new_privileges = false;
  bool private_tmp = false;
  std::vector<std::string> read_only;  // Paths.
  std::optional<SystemCallPolicy> system_calls;
  friend bool operator==(const ExecutionPolicy&, const ExecutionPolicy&) = default;
};

// In the order of their numbers, from 0: "CAP_CHOWN" ….
std::span<const std::string_view> capability_names() noexcept;
// "core", "nofile", …: of setrlimit(2), in lower case without RLIMIT_; by number.
std::span<const std::string_view> resource_limit_names() noexcept;
// Sorted. Which of them this machine has, the edge knows.
std::span<const std::string_view> system_call_names() noexcept;
// "@mount", ….
std::vector<std::string_view> system_call_groups();
// The calls of a group or of one name; empty: neither.
std::vector<std::string_view> system_calls_of(std::string_view name);

}  // namespace recover::core
