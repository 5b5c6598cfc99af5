// The closed sets the whole program speaks in, with their published names (docs/GLOSSARY.md).
//
// A set that grows grows here and in vocabulary.cc; every switch over it then fails to build.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

#include "base/id.h"

namespace recover::core {

// Positions in the policy.
using ServiceIndex = base::Index<struct ServiceTag>;
using PlaybookIndex = base::Index<struct PlaybookTag>;
using PatternIndex = base::Index<struct PatternTag>;
// Numbered by the engine, from 1, for the life of the state directory.
using IncidentId = base::Id<struct IncidentTag>;
using RecoveryId = base::Id<struct RecoveryTag>;
using CommandId = base::Id<struct CommandTag>;

// Why a service failed; each has a default strategy (core/classify.h).
enum class FailureClass : std::uint8_t {
  Connection,
  Timeout,
  Authentication,
  Permission,
  ResourceExhaustion,
  DataIntegrity,
  ServiceFailure,
  SystemUnavailable,
  DataInconsistency,
  BuildFailure,
  DependencyFailure,
};
inline constexpr std::size_t kFailureClassCount = 11;

// What was seen, before anybody concluded anything.
enum class Symptom : std::uint8_t {
  ProcessCrash,         // An instance ended although it should run.
  CrashLoop,            // It did so again and again.
  StartFailed,          // It did not become ready in time, or could not be started.
  ServiceUnresponsive,  // A probe got no answer in time.
  ConnectionRefused,    // A probe found nobody listening.
  ProbeFailed,          // A probe got the wrong answer.
  AuthenticationFailed,
  PermissionDenied,
  SlowResponse,       // Above max_latency or thresholds.response_time.
  HighErrorRate,      // Above thresholds.error_rate.
  DiskFull,           // Space or inodes beyond a level.
  MemoryPressure,     // Memory beyond a level.
  CpuPressure,        // Processor time beyond a level.
  FilesExhausted,     // File descriptors beyond a level.
  QueueBacklog,       // Above thresholds.queue_depth.
  LockContention,     // A database session blocks others.
  ReplicationLag,     // Above max_replication_lag.
  WatchdogTimeout,    // No WATCHDOG=1 in time.
  DataCorruption,     // A check found damaged data.
  PatternMatched,     // A failure pattern matched a log line or an error text.
  Flapping,           // Changed between healthy and failed too often.
  RecoveryRequested,  // Nothing was: a person asked for a recovery.
};
inline constexpr std::size_t kSymptomCount = 22;

enum class Severity : std::uint8_t { Low, Medium, High, Critical };  // Of incidents and patterns.
enum class Priority : std::uint8_t { Critical, High, Medium, Low };  // Of services.
enum class Risk : std::uint8_t { Low, Medium, High };                // Of playbooks and steps.
enum class Mode : std::uint8_t { Shadow, SemiAutomatic, AutomaticLimited, Automatic };
enum class Sensitivity : std::uint8_t { Low, Medium, High };

enum class ServiceKind : std::uint8_t { Run, Systemd, Container, Observe, Backup };
// What of a run of a backup is told.
enum class BackupStage : std::uint8_t { Started, Succeeded, Retried, Failed, Interrupted, Skipped };
enum class ServiceState : std::uint8_t {
  Unknown,  // Not seen yet, or its observers are lost: not the same as failed.
  Starting,
  Healthy,
  Degraded,
  Failed,
  Recovering,
  Quarantined,
  Stopped,
};
enum class ProbeState : std::uint8_t { Unknown, Passing, Failing };
enum class BreakerState : std::uint8_t { Closed, Open, HalfOpen };

enum class IncidentState : std::uint8_t {
  Open,
  Suppressed,
  Recovering,
  AwaitingApproval,
  Resolved,
  Escalated,
};
enum class RecoveryState : std::uint8_t {
  Planned,
  Shadow,
  AwaitingApproval,
  Checkpointing,
  Running,
  Validating,
  Succeeded,
  RollingBack,
  RolledBack,
  Failed,
  Escalated,
  Rejected,
};
inline constexpr std::size_t kRecoveryStateCount = 12;
enum class StepState : std::uint8_t {
  Pending,
  Running,
  Done,
  Failed,
  TimedOut,
  Unknown,  // May or may not have happened: possibly done.
  Skipped,
};

enum class ProbeKind : std::uint8_t {
  Http,
  Tcp,
  Exec,
  Process,
  File,
  Postgres,
  Redis,
  Mysql,
  Dns,
  TlsExpiry,
  Heartbeat,
  Resource,
  Log,
  Backup,
};

enum class ActionKind : std::uint8_t {
  Start,
  Stop,
  Restart,
  Reload,
  Signal,
  Exec,
  Http,
  Sql,
  KillLongQueries,
  Redis,
  CleanFiles,
  RotateLogs,
  FreeResources,
  AdjustLimits,
  Scale,
  Failover,
  Isolate,
  Quarantine,
  Checkpoint,
  RestoreCheckpoint,
  RestoreBackup,
  GitRestore,
  Sync,
  Wait,
  Approve,
  Notify,
  Freeze,  // All of its processes stand still; nothing of them is lost.
  Thaw,
};

// Published names: lower-case snake_case, but "semi-automatic", "automatic-limited", "half-open".
std::string_view to_string(FailureClass value) noexcept;
std::string_view to_string(Symptom value) noexcept;
std::string_view to_string(Severity value) noexcept;
std::string_view to_string(Priority value) noexcept;
std::string_view to_string(Risk value) noexcept;
std::string_view to_string(Mode value) noexcept;
std::string_view to_string(Sensitivity value) noexcept;
std::string_view to_string(ServiceKind value) noexcept;
std::string_view to_string(BackupStage value) noexcept;
std::string_view to_string(ServiceState value) noexcept;
std::string_view to_string(ProbeState value) noexcept;
std::string_view to_string(BreakerState value) noexcept;
std::string_view to_string(IncidentState value) noexcept;
std::string_view to_string(RecoveryState value) noexcept;
std::string_view to_string(StepState value) noexcept;
std::string_view to_string(ProbeKind value) noexcept;
std::string_view to_string(ActionKind value) noexcept;

// The value with that published name. Instantiated for every set above.
template <class Enum>
std::optional<Enum> parse(std::string_view name) noexcept;

// Every value of the set, in order; for the schema, near misses and tests.
template <class Enum>
std::size_t count_of() noexcept;

}  // namespace recover::core
