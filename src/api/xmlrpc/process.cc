#include "api/xmlrpc/process.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdio>
#include <ctime>

#include "api/shapes.h"

namespace recover::api::xmlrpc {
namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::size_t kTroubleMax = 200;  // Bytes; a line of a terminal.

const core::ServiceHealth& health_of(const core::Engine& engine, core::ServiceIndex service) {
  return engine.state().services.at(service.value);
}

const core::InstanceHealth* instance_of(const core::Engine& engine, const Process& process) {
  const auto& instances = health_of(engine, process.service).instances;
  return process.instance < instances.size() ? &instances[process.instance] : nullptr;
}

const core::Incident* incident_of(const core::Engine& engine, core::ServiceIndex service) {
  const auto& incidents = engine.state().incidents;
  const auto found = incidents.find(health_of(engine, service).incident);
  return found == incidents.end() ? nullptr : &found->second;
}

// It has done its work: up, as recoverd sees it, without a process.
bool did_its_work(const core::Engine& engine, const Process& process) {
  const auto* run = std::get_if<core::RunSpec>(&engine.policy().service(process.service).spec);
  const core::InstanceHealth* instance = instance_of(engine, process);
  return run != nullptr && run->type == core::RunType::Oneshot && instance != nullptr &&
         instance->state == core::InstanceState::Up;
}

// How many processes the group has: those that should run, and those that still do.
std::size_t count_of(const core::Engine& engine, core::ServiceIndex service) {
  const core::ServiceHealth& health = health_of(engine, service);
  std::size_t count = std::max<std::size_t>(health.desired, 1);
  for (std::size_t i = count; i < health.instances.size(); ++i) {
    if (health.instances[i].state != core::InstanceState::Down) count = i + 1;
  }
  return count;
}

bool numbered(const core::Engine& engine, core::ServiceIndex service) {
  const auto* run = std::get_if<core::RunSpec>(&engine.policy().service(service).spec);
  const bool many = run != nullptr && (run->instances > 1 || run->scale_max > 1);
  return many || count_of(engine, service) > 1;
}

Process process_at(const core::Engine& engine, core::ServiceIndex service, std::size_t instance) {
  const std::string& group = engine.policy().service(service).name;
  return {.service = service,
          .instance = static_cast<std::uint32_t>(instance),
          .group = group,
          .name = numbered(engine, service) ? std::to_string(instance) : group};
}

// Of one that is down although it should run.
ProcessState down(const core::Engine& engine, core::ServiceIndex service) {
  const core::ServiceHealth& health = health_of(engine, service);
  if (health.quarantined) return ProcessState::Fatal;
  const core::Incident* incident = incident_of(engine, service);
  if (incident == nullptr) {
    const bool comes = health.start_pending || health.state == core::ServiceState::Starting;
    return comes ? ProcessState::Starting : ProcessState::Exited;
  }
  switch (incident->state) {
    case core::IncidentState::Escalated: return ProcessState::Fatal;
    case core::IncidentState::AwaitingApproval: return ProcessState::Exited;
    case core::IncidentState::Open:
    case core::IncidentState::Suppressed:
    case core::IncidentState::Recovering:
    case core::IncidentState::Resolved: break;
  }
  const auto& recoveries = engine.state().recoveries;
  const auto last = incident->recoveries.empty() ? recoveries.end()
                                                 : recoveries.find(incident->recoveries.back());
  const bool shadow = last != recoveries.end() && last->second.state == core::RecoveryState::Shadow;
  return shadow ? ProcessState::Exited : ProcessState::Backoff;
}

// Of a service without instances: somebody else's.
ProcessState seen(const core::Engine& engine, core::ServiceIndex service) {
  switch (health_of(engine, service).state) {
    case core::ServiceState::Unknown: return ProcessState::Unknown;
    case core::ServiceState::Starting: return ProcessState::Starting;
    case core::ServiceState::Healthy:
    case core::ServiceState::Degraded: return ProcessState::Running;
    case core::ServiceState::Failed:
    case core::ServiceState::Recovering:
    case core::ServiceState::Quarantined: return down(engine, service);
    case core::ServiceState::Stopped: return ProcessState::Stopped;
  }
  return ProcessState::Unknown;
}

std::int64_t seconds_of(const Backend& backend, Instant at) {
  const bool known = at != kNever && at != Instant::min() && at != Instant{};
  return known ? backend.wall_ns(at) / kSecond : 0;
}

std::string uptime(std::int64_t seconds) {
  constexpr std::int64_t kDay = 86'400;
  const std::int64_t days = seconds / kDay;
  const std::int64_t rest = seconds % kDay;
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%lld:%02lld:%02lld", static_cast<long long>(rest / 3600),
                static_cast<long long>(rest / 60 % 60), static_cast<long long>(rest % 60));
  if (days == 0) return text.data();
  return std::to_string(days) + (days == 1 ? " day, " : " days, ") + text.data();
}

std::string date(std::int64_t at) {
  const std::time_t time = at;
  std::tm parts{};
  ::localtime_r(&time, &parts);
  std::array<char, 40> text{};
  std::strftime(text.data(), text.size(), "%b %d %I:%M %p", &parts);
  return text.data();
}

struct Times {
  std::int64_t start = 0;  // Seconds since 1970; 0: it never ran.
  std::int64_t stop = 0;
  std::int64_t now = 0;
  std::int64_t pid = 0;  // 0: none runs.
};

Times times_of(const Backend& backend, const Process& process) {
  Times times;
  times.now = backend.wall_ns(backend.now()) / kSecond;
  const core::InstanceHealth* instance = instance_of(backend.engine(), process);
  if (instance == nullptr) return times;
  const bool runs =
      instance->state != core::InstanceState::Down && !did_its_work(backend.engine(), process);
  if (runs) times.pid = instance->incarnation.pid;
  // Only the last change is remembered: of one that ended, its end.
  if (runs || instance->incarnation.pid != 0) times.start = seconds_of(backend, instance->since);
  if (!runs) times.stop = times.start;
  return times;
}

std::string description(ProcessState state, const Times& times, const std::string& trouble,
                        const std::string& name) {
  switch (state) {
    case ProcessState::Running:
      return "pid " + std::to_string(times.pid) + ", uptime " +
             uptime(std::max<std::int64_t>(times.now - times.start, 0));
    case ProcessState::Fatal:
    case ProcessState::Backoff:
      return trouble.empty() ? "unknown error (try \"tail " + name + "\")" : trouble;
    case ProcessState::Stopped:
    case ProcessState::Exited:
      if (!trouble.empty()) return trouble;
      return times.stop == 0 ? "Not started" : date(times.stop);
    case ProcessState::Starting:
    case ProcessState::Stopping:
    case ProcessState::Unknown: return trouble;
  }
  return {};
}

std::string log_path(const core::Engine& engine, const Process& process) {
  const auto* run = std::get_if<core::RunSpec>(&engine.policy().service(process.service).spec);
  if (run == nullptr) return {};
  return run->output.path;
}

std::string error_log_path(const core::Engine& engine, const Process& process) {
  const auto* run = std::get_if<core::RunSpec>(&engine.policy().service(process.service).spec);
  return run == nullptr ? std::string() : run->output.errors.value_or("");
}

std::string joined(const core::Arguments& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + word;
  return text;
}

}  // namespace

std::string_view to_string(ProcessState state) noexcept {
  switch (state) {
    case ProcessState::Stopped: return "STOPPED";
    case ProcessState::Starting: return "STARTING";
    case ProcessState::Running: return "RUNNING";
    case ProcessState::Backoff: return "BACKOFF";
    case ProcessState::Stopping: return "STOPPING";
    case ProcessState::Exited: return "EXITED";
    case ProcessState::Fatal: return "FATAL";
    case ProcessState::Unknown: return "UNKNOWN";
  }
  return "UNKNOWN";
}

bool is_running(ProcessState state) noexcept {
  return state == ProcessState::Running || state == ProcessState::Starting ||
         state == ProcessState::Backoff;
}

std::vector<Process> processes_of(const core::Engine& engine, core::ServiceIndex service) {
  std::vector<Process> processes;
  const std::size_t count = count_of(engine, service);
  for (std::size_t i = 0; i < count; ++i) processes.push_back(process_at(engine, service, i));
  return processes;
}

std::vector<Process> all_processes(const core::Engine& engine) {
  std::vector<Process> processes;
  for (std::uint32_t i = 0; i < engine.policy().services.size(); ++i) {
    const auto own = processes_of(engine, core::ServiceIndex{i});
    processes.insert(processes.end(), own.begin(), own.end());
  }
  std::ranges::stable_sort(processes, {}, &Process::group);
  return processes;
}

std::optional<Named> find_process(const core::Engine& engine, std::string_view name) {
  const auto colon = name.find(':');
  const std::string_view group = name.substr(0, colon);
  const auto service = engine.policy().find_service(group);
  if (!service) return std::nullopt;
  const std::string_view process = colon == std::string_view::npos ? group : name.substr(colon + 1);
  if (process.empty() || process == "*") return Named{*service, std::nullopt};
  for (const Process& each : processes_of(engine, *service)) {
    if (each.name == process) return Named{*service, each};
  }
  // supervisord has no such process either, but whoever says `web` means all of it.
  if (colon == std::string_view::npos) return Named{*service, std::nullopt};
  return std::nullopt;
}

ProcessState state_of(const core::Engine& engine, const Process& process) {
  const core::ServiceHealth& health = health_of(engine, process.service);
  const core::InstanceHealth* instance = instance_of(engine, process);
  if (health.instances.empty()) return seen(engine, process.service);
  if (did_its_work(engine, process)) return ProcessState::Exited;
  if (instance != nullptr) {
    switch (instance->state) {
      case core::InstanceState::Starting: return ProcessState::Starting;
      case core::InstanceState::Up: return ProcessState::Running;
      case core::InstanceState::Stopping: return ProcessState::Stopping;
      case core::InstanceState::Down: break;
    }
  }
  if (!health.wanted || (instance != nullptr && instance->held)) return ProcessState::Stopped;
  if (kind_of(engine.policy().service(process.service).spec) != core::ServiceKind::Run) {
    return seen(engine, process.service);
  }
  return down(engine, process.service);
}

std::string trouble_of(const core::Engine& engine, core::ServiceIndex service) {
  const core::ServiceHealth& health = health_of(engine, service);
  if (health.quarantined) return "quarantined";
  std::string text;
  if (const core::Incident* incident = incident_of(engine, service)) {
    text = incident->cause.empty() ? incident->detail : incident->cause;
  } else if (health.start_pending) {
    text = "waits for what it depends on";
  }
  std::ranges::replace(text, '\n', ' ');
  if (text.size() > kTroubleMax) text.resize(kTroubleMax);
  return text;
}

Value info_of(const Backend& backend, const Process& process) {
  const core::Engine& engine = backend.engine();
  const ProcessState state = state_of(engine, process);
  const Times times = times_of(backend, process);
  const core::InstanceHealth* instance = instance_of(engine, process);
  const bool down = times.pid == 0 && state != ProcessState::Running;
  const std::string trouble = down ? trouble_of(engine, process.service) : std::string();
  const bool failing = state == ProcessState::Fatal || state == ProcessState::Backoff;
  const std::string log = log_path(engine, process);
  return Struct{
      {"name", process.name},
      {"group", process.group},
      {"start", times.start},
      {"stop", times.stop},
      {"now", times.now},
      {"state", static_cast<int>(state)},
      {"statename", to_string(state)},
      {"spawnerr", failing ? trouble : std::string()},
      {"exitstatus", instance != nullptr ? instance->exit_code : 0},
      {"logfile", log},
      {"stdout_logfile", log},
      {"stderr_logfile", error_log_path(engine, process)},
      {"pid", times.pid},
      {"description", description(state, times, trouble, process.name)},
  };
}

Value config_of(const Backend& backend, const Process& process) {
  const core::Engine& engine = backend.engine();
  const core::ServicePolicy& policy = engine.policy().service(process.service);
  static const core::RunSpec kNone;
  const auto* found = std::get_if<core::RunSpec>(&policy.spec);
  const core::RunSpec& run = found != nullptr ? *found : kNone;
  const auto whole = [](Duration duration) {
    return std::chrono::duration_cast<std::chrono::seconds>(duration).count();
  };
  const std::string log = run.output.path.empty() ? "none" : run.output.path;
  const std::string errors = run.output.errors.value_or("");
  const bool apart = run.output.errors.has_value();
  const int priority = static_cast<int>(policy.priority);
  return Struct{
      {"autostart", policy.autostart},
      {"directory", run.working_directory},
      {"uid", run.user.empty() ? "none" : run.user},
      {"command",
       found != nullptr ? joined(run.command) : std::string(to_string(kind_of(policy.spec)))},
      {"exitcodes", Array{Value(0)}},
      {"group", process.group},
      {"group_prio", priority},
      {"inuse", true},
      {"killasgroup", true},
      {"name", process.name},
      {"process_prio", priority},
      {"redirect_stderr", !apart},
      {"startretries", static_cast<std::int64_t>(engine.policy().recovery.max_attempts)},
      {"startsecs", whole(run.ready.after.value_or(Duration::zero()))},
      {"stdout_capture_maxbytes", 0},
      {"stdout_events_enabled", false},
      {"stdout_logfile", log},
      {"stdout_logfile_backups", static_cast<std::int64_t>(run.output.keep)},
      {"stdout_logfile_maxbytes", static_cast<std::int64_t>(run.output.rotate)},
      {"stdout_syslog", false},
      {"stopsignal", run.stop.signal},
      {"stopwaitsecs", whole(run.stop.timeout)},
      {"stderr_capture_maxbytes", 0},
      {"stderr_events_enabled", false},
      {"stderr_logfile", errors.empty() ? "none" : errors},
      {"stderr_logfile_backups", apart ? static_cast<std::int64_t>(run.output.keep) : 0},
      {"stderr_logfile_maxbytes", apart ? static_cast<std::int64_t>(run.output.rotate) : 0},
      {"stderr_syslog", false},
      {"serverurl", "none"},
  };
}

}  // namespace recover::api::xmlrpc
