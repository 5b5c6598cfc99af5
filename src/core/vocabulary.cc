#include "core/vocabulary.h"

#include <array>
#include <span>

namespace recover::core {
namespace {

using Names = std::span<const std::string_view>;

template <class Enum>
Names names_of();

// One line a set: the names in the order of the enumerators.
#define RECOVER_NAMES(Enum, ...)                                                   \
  template <>                                                                      \
  Names names_of<Enum>() {                                                         \
    static constexpr auto kNames = std::to_array<std::string_view>({__VA_ARGS__}); \
    return kNames;                                                                 \
  }

RECOVER_NAMES(FailureClass, "connection", "timeout", "authentication", "permission",
              "resource_exhaustion", "data_integrity", "service_failure", "system_unavailable",
              "data_inconsistency", "build_failure", "dependency_failure")
RECOVER_NAMES(Symptom, "process_crash", "crash_loop", "start_failed", "service_unresponsive",
              "connection_refused", "probe_failed", "authentication_failed", "permission_denied",
              "slow_response", "high_error_rate", "disk_full", "memory_pressure", "cpu_pressure",
              "files_exhausted", "queue_backlog", "lock_contention", "replication_lag",
              "watchdog_timeout", "data_corruption", "pattern_matched", "flapping",
              "recovery_requested")
RECOVER_NAMES(Severity, "low", "medium", "high", "critical")
RECOVER_NAMES(Priority, "critical", "high", "medium", "low")
RECOVER_NAMES(Risk, "low", "medium", "high")
RECOVER_NAMES(Mode, "shadow", "semi-automatic", "automatic-limited", "automatic")
RECOVER_NAMES(Sensitivity, "low", "medium", "high")
RECOVER_NAMES(ServiceKind, "run", "systemd", "container", "observe", "backup")
RECOVER_NAMES(BackupStage, "started", "succeeded", "retried", "failed", "interrupted", "skipped")
RECOVER_NAMES(ServiceState, "unknown", "starting", "healthy", "degraded", "failed", "recovering",
              "quarantined", "stopped")
RECOVER_NAMES(ProbeState, "unknown", "passing", "failing")
RECOVER_NAMES(BreakerState, "closed", "open", "half-open")
RECOVER_NAMES(IncidentState, "open", "suppressed", "recovering", "awaiting_approval", "resolved",
              "escalated")
RECOVER_NAMES(RecoveryState, "planned", "shadow", "awaiting_approval", "checkpointing", "running",
              "validating", "succeeded", "rolling_back", "rolled_back", "failed", "escalated",
              "rejected")
RECOVER_NAMES(StepState, "pending", "running", "done", "failed", "timed_out", "unknown", "skipped")
RECOVER_NAMES(ProbeKind, "http", "tcp", "exec", "process", "file", "postgres", "redis", "mysql",
              "dns", "tls_expiry", "heartbeat", "resource", "log", "backup")
RECOVER_NAMES(ActionKind, "start", "stop", "restart", "reload", "signal", "exec", "http", "sql",
              "kill_long_queries", "redis", "clean_files", "rotate_logs", "free_resources",
              "adjust_limits", "scale", "failover", "isolate", "quarantine", "checkpoint",
              "restore_checkpoint", "restore_backup", "git_restore", "sync", "wait", "approve",
              "notify", "freeze", "thaw")
#undef RECOVER_NAMES

static_assert(kSymptomCount == static_cast<std::size_t>(Symptom::RecoveryRequested) + 1);
static_assert(kFailureClassCount == static_cast<std::size_t>(FailureClass::DependencyFailure) + 1);
static_assert(kRecoveryStateCount == static_cast<std::size_t>(RecoveryState::Rejected) + 1);

}  // namespace

template <class Enum>
std::optional<Enum> parse(std::string_view name) noexcept {
  const Names names = names_of<Enum>();
  for (std::size_t index = 0; index < names.size(); ++index) {
    if (names[index] == name) return static_cast<Enum>(index);
  }
  return std::nullopt;
}

template <class Enum>
std::size_t count_of() noexcept {
  return names_of<Enum>().size();
}

#define RECOVER_SET(Enum)                                              \
  std::string_view to_string(Enum value) noexcept {                    \
    return names_of<Enum>()[static_cast<std::size_t>(value)];          \
  }                                                                    \
  template std::optional<Enum> parse<Enum>(std::string_view) noexcept; \
  template std::size_t count_of<Enum>() noexcept;

RECOVER_SET(FailureClass)
RECOVER_SET(Symptom)
RECOVER_SET(Severity)
RECOVER_SET(Priority)
RECOVER_SET(Risk)
RECOVER_SET(Mode)
RECOVER_SET(Sensitivity)
RECOVER_SET(ServiceKind)
RECOVER_SET(BackupStage)
RECOVER_SET(ServiceState)
RECOVER_SET(ProbeState)
RECOVER_SET(BreakerState)
RECOVER_SET(IncidentState)
RECOVER_SET(RecoveryState)
RECOVER_SET(StepState)
RECOVER_SET(ProbeKind)
RECOVER_SET(ActionKind)
#undef RECOVER_SET

}  // namespace recover::core
