// Services and their instances as supervisord's groups and processes.
//
// A service is a group. With one instance its process is called like it, so people say `web`; the
// instances of others are `web:0`, `web:1`, …. Reads the engine's state; changes nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/backend.h"
#include "api/xmlrpc/value.h"

namespace recover::api::xmlrpc {

enum class ProcessState : std::int16_t {
  Stopped = 0,
  Starting = 10,
  Running = 20,
  Backoff = 30,  // It failed, and recoverd goes on trying.
  Stopping = 40,
  Exited = 100,  // It ended, and nothing is tried: done, shadow mode, or waiting for approval.
  Fatal = 200,   // Given up: only a person helps.
  Unknown = 1000,
};
std::string_view to_string(ProcessState state) noexcept;  // "RUNNING"
// STARTING, RUNNING and BACKOFF: what `stop` may be said to, and `start` may not.
bool is_running(ProcessState state) noexcept;

struct Process {
  core::ServiceIndex service;
  std::uint32_t instance = 0;
  std::string group;
  std::string name;
};

// In the order of their names, instances by number.
std::vector<Process> all_processes(const core::Engine& engine);
std::vector<Process> processes_of(const core::Engine& engine, core::ServiceIndex service);

// What "web", "web:0", "web:*" or "web:" stands for.
struct Named {
  core::ServiceIndex service;
  std::optional<Process> process;  // None: the group.
};
std::optional<Named> find_process(const core::Engine& engine, std::string_view name);

ProcessState state_of(const core::Engine& engine, const Process& process);
// Why it is down; empty: it is not, or nobody knows.
std::string trouble_of(const core::Engine& engine, core::ServiceIndex service);

Value info_of(const Backend& backend, const Process& process);    // getProcessInfo
Value config_of(const Backend& backend, const Process& process);  // Of getAllConfigInfo.

}  // namespace recover::api::xmlrpc
