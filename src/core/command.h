// What the core asks of the edges, why, and what it tells the world.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <recover/time.h>

#include "core/policy.h"
#include "core/vocabulary.h"

namespace recover::core {

// The rules that can allow or refuse something, in the order of the gates; then those that explain.
enum class Rule : std::uint8_t {
  Mode,
  Conditions,
  Maintenance,
  Quarantine,
  ServiceBreaker,
  PlaybookBreaker,
  Cooldown,
  ConcurrentRecoveries,
  RecoveriesPerHour,
  BlastRadius,
  Prerequisites,
  RiskAndApproval,
  KillSwitch,
  Storm,
  JournalDegraded,
  Detection,
  Classification,
  RootCause,
  Suppression,
  PlaybookChoice,
  PlaybookRefusal,
  Attempts,
  Step,
  Validation,
  Rollback,
  Escalation,
  Learning,
  Operator,
};
inline constexpr std::size_t kRuleCount = 28;
std::string_view to_string(Rule rule) noexcept;  // "mode", "blast_radius", …

enum class Verdict : std::uint8_t {
  Pass,
  Refuse,  // Not now and not by waiting.
  Wait,    // Not yet; asked again by itself.
  Info,
};
std::string_view to_string(Verdict verdict) noexcept;

// Why: becomes journal row, log line, metric label and API field.
struct Reason {
  Rule rule = Rule::Detection;
  Verdict verdict = Verdict::Info;
  std::string detail;  // A sentence for people, with the numbers.
  friend bool operator==(const Reason&, const Reason&) = default;
};

// Where a command's arguments stand in the policy.
enum class Part : std::uint8_t {
  Supervision,  // Not of a playbook: start, stop, reload at the wish of supervision or operators.
  Checkpoint,   // The saga's own checkpoint, or last-good.
  Step,         // PlaybookPolicy::steps[index]
  Undo,         // The undo of steps[index]
  Rollback,     // PlaybookPolicy::rollback[index]
};

// Something to do. REQUIRES of whoever performs it: its record is durable first, and it reports
// exactly one CommandFinished, also when it must give up at the deadline.
struct Command {
  CommandId id;
  ServiceIndex service;  // The target.
  ActionKind action = ActionKind::Start;
  Part part = Part::Supervision;
  std::optional<PlaybookIndex> playbook;  // Of Step, Undo and Rollback.
  std::uint32_t index = 0;
  RecoveryId recovery;        // 0: of none.
  IncidentId incident;        // 0: of none.
  std::uint32_t attempt = 1;  // 1 for the first try.
  std::uint64_t epoch = 0;    // Grows with every command for this target; lower ones are stale.
  bool idempotent = true;     // False: durable through power loss before it starts.
  bool settle = false;        // In doubt after a crash: find out or say Unknown; do not repeat.
  Instant deadline = kNever;
  std::string text;  // Of Notify: the message. Of Checkpoint and RestoreCheckpoint: the name.
                     // Of Scale at an operator's wish: how many instances, in digits.
                     // Of Start, Stop and Restart: which instances, "0,2"; empty: all.
                     // Of Signal at an operator's wish: its number, and after a blank the instance.
  std::string checkpoint = {};  // Of Checkpoint: not taken, this one gets the name. Empty: taken.
  // Of what starts or stops instances: those a person stopped, which are not to be started.
  std::vector<std::uint32_t> held = {};
};
// The arguments of a command, found in the policy; NoArguments for Supervision and Checkpoint.
const ActionSpec& arguments_of(const Command& command, const Policy& policy);

inline constexpr int kSignalNumberMax = 64;
// What a command of the kind Signal sends: of its SignalAction, or as an operator wished.
struct SignalWish {
  int signal = SignalAction{}.signal;
  std::optional<std::uint32_t> instance = std::nullopt;  // None: every process.
};
SignalWish signal_of(const Command& command, const Policy& policy);

// Ask every probe of the service for a look now instead of at its next interval.
struct ProbeRequest {
  ServiceIndex service;
};

// Something worth telling: an `event` of the API, a log line, a row of the journal.
struct Notice {
  std::string type;  // "service:degraded", "recovery:action", "incident:opened", …
  Severity severity = Severity::Low;
  std::optional<ServiceIndex> service;
  IncidentId incident;
  RecoveryId recovery;
  std::string actor;  // Empty: recoverd itself.
  std::string message;
  std::vector<Reason> reasons;
};

// What one step of the engine brought. Reused by the caller, so a quiet step allocates nothing.
struct Output {
  // The event changed the state (or has output): it must be recorded before anything is performed.
  bool changed = false;
  std::vector<Notice> notices;
  std::vector<Command> commands;
  std::vector<CommandId> cancels;  // Give up; the CommandFinished still comes.
  std::vector<ProbeRequest> probes;

  void clear() {
    changed = false;
    notices.clear();
    commands.clear();
    cancels.clear();
    probes.clear();
  }
};

}  // namespace recover::core
