// Everything the core can hear, as plain values.
//
// Adapters, the API and the runtime build these; replaying a journal of them through core::Engine
// reproduces every decision bit for bit. Nothing here knows how a thing was observed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <recover/time.h>

#include "core/vocabulary.h"

namespace recover::core {

// Which run of an instance's process: a pid is named together with the start time of the kernel
// (clock ticks since boot), so a reused pid is another incarnation.
struct Incarnation {
  std::int64_t pid = 0;  // 0: none.
  std::uint64_t start_time = 0;
  friend bool operator==(Incarnation, Incarnation) = default;
};

// ---- observed --------------------------------------------------------------------------------

// A process of the service runs: started by us, or found again after we came back.
struct ProcessStarted {
  ServiceIndex service;
  std::uint32_t instance = 0;
  Incarnation incarnation;
  bool adopted = false;
};
// It said it is ready, or the rule of its ReadyPolicy says so.
struct ProcessReady {
  ServiceIndex service;
  std::uint32_t instance = 0;
  Incarnation incarnation;
};
struct ProcessExited {
  ServiceIndex service;
  std::uint32_t instance = 0;
  Incarnation incarnation;
  int code = 0;           // Exit code; -1 when a signal ended it, or when nobody could collect it.
  int signal = 0;         // 0: none.
  bool expected = false;  // We stopped it.
  std::string output = {};  // Of an unexpected end: the last lines it printed, redacted.
};
// It asked for more time to start or stop than it has (EXTEND_TIMEOUT_USEC), from now.
struct TimeExtended {
  ServiceIndex service;
  Duration by{};
};
struct WatchdogExpired {
  ServiceIndex service;
  std::uint32_t instance = 0;
};

enum class ProbeOutcome : std::uint8_t {
  Passed,
  Failed,
  Unknown,  // The probe itself could not be done; says nothing about the service.
};
struct ProbeFinished {
  ServiceIndex service;
  std::uint32_t probe = 0;  // Position in ServicePolicy::probes.
  ProbeOutcome outcome = ProbeOutcome::Unknown;
  Duration latency{};
  Instant started_at;  // Judges whether it saw the world after an effect.
  // Of a failure:
  Symptom symptom = Symptom::ProbeFailed;
  FailureClass failure = FailureClass::ServiceFailure;
  std::string detail;                                // For people: "HTTP 502 in 3 ms, wanted 200".
  std::optional<double> queue_depth = std::nullopt;  // Where the probe measures one.
};

// A machine-wide measurement crossed a level: a ratio from 0 to 1 of what there is.
struct ResourceLevelChanged {
  Symptom symptom = Symptom::DiskFull;
  std::string what;    // "/", "memory", …
  double ratio = 0.0;  // Used.
  // 0 normal, 1 warning, 2 critical, 3 emergency.
  std::uint8_t level = 0;
};
// What is below the service's `state:` paths, as far as names, sizes and times tell. Told when it
// is first known and whenever it is another one.
struct StateSeen {
  ServiceIndex service;
  std::string fingerprint;
};
struct PatternSeen {
  PatternIndex pattern;
  std::optional<ServiceIndex> service;
  std::string text;  // The line, redacted and cut.
};

// What becomes of a service that is not ours to keep, as whoever keeps it (systemd, a container
// engine) says, or as we see it.
enum class OwnerVerdict : std::uint8_t {
  Up,
  Starting,
  Healing,  // It ended and its owner brings it back by itself: not to be restarted twice.
  Stopped,  // On purpose, or it never ran.
  Failed,   // It is down, or cannot be used at all, and nobody brings it back.
  Lost,     // The owner cannot be asked: says nothing about the service.
};
struct OwnerReported {
  ServiceIndex service;
  std::uint32_t instance = 0;
  OwnerVerdict verdict = OwnerVerdict::Lost;
  Incarnation incarnation = {};  // Of Up: pid 0 where the owner names none.
  int code = -1;                 // Of Failed: as of ProcessExited.
  int signal = 0;
  Duration within{};  // Of Starting and Healing: what the owner allows itself; 0: it does not say.
  std::string detail = {};  // For people: "web.service is masked".
};

// ---- commands that ended ---------------------------------------------------------------------

enum class CommandOutcome : std::uint8_t {
  Done,
  Failed,   // It had no effect, or was undone by the effector.
  Unknown,  // It may have had its effect: lost, timed out, or crashed half-way.
  Refused,  // Never started (an empty selector, an unknown target).
};
struct CommandFinished {
  CommandId command;
  CommandOutcome outcome = CommandOutcome::Done;
  std::string detail = {};      // Redacted output, cut to 4 KiB.
  std::string checkpoint = {};  // Id of a checkpoint that was taken; empty: none.
};

// ---- operators -------------------------------------------------------------------------------

// Each names who asked, for the audit: "uid:0(root)", "token:ci".
struct OperatorRecover {
  ServiceIndex service;
  std::optional<PlaybookIndex> playbook;
  std::string actor;
};
struct OperatorApprove {
  RecoveryId recovery;
  std::uint64_t plan_hash = 0;  // What the approver saw.
  std::string actor;
  std::string comment;
};
struct OperatorReject {
  RecoveryId recovery;
  std::string actor;
  std::string comment;
};
struct OperatorSetMode {
  std::optional<ServiceIndex> service;  // None: global.
  Mode mode = Mode::Shadow;
  std::string actor;
};
// Pauses every effect at once, until lifted. Read before each effect.
struct OperatorKillSwitch {
  bool on = true;
  std::string actor;
};
struct OperatorMaintenance {
  std::optional<ServiceIndex> service;  // None: every service.
  bool start = true;
  Instant until = kNever;
  std::string actor;
};
enum class ServiceRequest : std::uint8_t {
  Start,
  Stop,
  Restart,
  Reload,
  Quarantine,
  Release,
  Scale,   // To `instances`.
  Signal,  // `signal` to `instance`, or to every process.
};
struct OperatorService {
  ServiceIndex service;
  ServiceRequest request = ServiceRequest::Restart;
  std::string actor;
  std::uint32_t instances = 0;  // Of Scale.
  int signal = 0;               // Of Signal.
  std::optional<std::uint32_t> instance = std::nullopt;
};
struct OperatorResetBreaker {
  std::optional<ServiceIndex> service;
  std::optional<PlaybookIndex> playbook;  // The playbook breaker.
  std::string actor;
};
struct OperatorCheckpoint {  // Take, or restore, a service's checkpoint by hand.
  ServiceIndex service;
  std::string name;
  bool restore = false;
  std::string actor;
};

// Something a person did or said beside the engine's business: kept for the audit.
struct OperatorNote {
  std::optional<ServiceIndex> service;
  std::string actor;
  std::string message;
};

// ---- backups

// A run of a backup, of a proof of it, began or ended.
struct BackupReported {
  std::optional<ServiceIndex> service;  // None: it is of a whole repository.
  BackupStage stage = BackupStage::Started;
  std::uint64_t run = 0;
  std::string actor;    // Who asked for it; empty: its schedule.
  std::string message;  // For people.
};

// ---- ourselves -------------------------------------------------------------------------------

// A timer the engine asked for with Engine::next_timer() is due.
struct TimerFired {};
// recoverd starts, or starts again after a crash: every command in flight is in doubt.
struct EngineStarted {
  bool first = false;  // With an empty journal.
};
// The journal cannot be written (true) or can again (false): only safe actions meanwhile.
struct JournalDegraded {
  bool degraded = true;
};

using Event =
    std::variant<ProcessStarted, ProcessReady, ProcessExited, WatchdogExpired, ProbeFinished,
                 ResourceLevelChanged, PatternSeen, CommandFinished, OperatorRecover,
                 OperatorApprove, OperatorReject, OperatorSetMode, OperatorKillSwitch,
                 OperatorMaintenance, OperatorService, OperatorResetBreaker, OperatorCheckpoint,
                 TimerFired, EngineStarted, JournalDegraded, OwnerReported, StateSeen, TimeExtended,
                 OperatorNote, BackupReported>;

// "process_started", … : what the journal calls it.
std::string_view name_of(const Event& event) noexcept;

}  // namespace recover::core
