// What the engine remembers: plain structs, readable by the API, hashed by the simulator, written
// to snapshots. Only the engine's pieces change them.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include <recover/time.h>

#include "core/command.h"
#include "core/event.h"
#include "core/vocabulary.h"

namespace recover::core {

// Looks within a sliding window, in buckets of a tenth of it; see error_rate.h.
struct LookWindow {
  static constexpr std::size_t kBuckets = 10;
  std::int64_t newest = 0;  // Number of the latest bucket since the epoch.
  std::array<std::uint32_t, kBuckets> passed{};
  std::array<std::uint32_t, kBuckets> failed{};
};

struct ProbeHealth {
  ProbeState state = ProbeState::Unknown;
  std::uint32_t passes = 0;  // In a row, held at the threshold.
  std::uint32_t failures = 0;
  Instant first_failure = kNever;          // Of the row of failures.
  Instant observed_from = Instant::min();  // When the latest recorded look began.
  Duration latency{};                      // Of the latest recorded look.
  Symptom symptom = Symptom::ProbeFailed;
  FailureClass failure = FailureClass::ServiceFailure;
  std::string detail;
  std::optional<double> queue_depth;  // Of the latest recorded look, where it measures one.
  LookWindow looks;
};

enum class InstanceState : std::uint8_t { Down, Starting, Up, Stopping };

struct InstanceHealth {
  InstanceState state = InstanceState::Down;
  Incarnation incarnation;
  Instant since;
  std::uint32_t restarts = 0;
  int exit_code = 0;
  int exit_signal = 0;
  bool hung = false;     // Its watchdog expired; until it is started again.
  bool adopted = false;  // Found again since recoverd started.
  bool held = false;     // Stopped by a person while others run on: see hold.h.
  // Its last unexpected ends, the latest first.
  std::array<Instant, 2> crashes = {Instant::min(), Instant::min()};
};

struct ServiceHealth {
  ServiceState state = ServiceState::Unknown;
  Instant since;
  bool wanted = true;                       // Up, by the operator's wish.
  std::optional<ServiceIndex> replaced_by;  // After a failover, until it is started again.
  std::vector<ProbeHealth> probes;
  std::vector<InstanceHealth> instances;
  std::uint32_t desired = 0;        // Instances that should run; 0: not a service of ours to start.
  bool start_pending = false;       // To be started once its dependencies are healthy.
  Instant start_deadline = kNever;  // Starting: ready and probes passing by then.
  Instant counts_from = Instant::min();  // Looks begun earlier saw the world before an effect.
  Instant grace_until = Instant::min();
  std::vector<Instant> changes;  // Latest changes of health, at most flap_changes.
  bool flapping = false;
  bool quarantined = false;
  Instant maintenance_until = Instant::min();
  std::optional<Mode> mode;  // Set by an operator.
  // Service breaker.
  BreakerState breaker = BreakerState::Closed;
  std::vector<Instant> breaker_failures;  // Within the window, at most failure_threshold.
  Instant breaker_until = Instant::min();
  std::uint32_t breaker_trials = 0;  // Successes while half-open.
  IncidentId incident;               // Open one.
  CommandId supervision;             // Start, stop … in flight.
  CommandId last_good;               // Taking a candidate for it, or naming one, in flight.
  std::uint64_t epoch = 0;
  Instant healthy_since = kNever;
  // See last_good.h.
  bool state_is_new = true;        // No candidate holds it yet.
  bool state_started = false;      // A start or reload has read it.
  std::string state_fingerprint;   // As last seen; empty: not yet.
  std::string candidate;           // A checkpoint that is to become last-good; empty: none.
  bool candidate_started = false;  // state_started of the candidate.
  Instant candidate_at = Instant::min();
  Instant trial_since = kNever;  // Of the candidates since the last one that was promoted.
  std::string last_checkpoint;
  Instant last_checkpoint_at = Instant::min();
};

struct Incident {
  IncidentId id;
  ServiceIndex service;
  FailureClass failure = FailureClass::ServiceFailure;
  std::vector<Symptom> symptoms;  // In the order seen, each once.
  std::optional<PatternIndex> pattern;
  Severity severity = Severity::Medium;
  IncidentState state = IncidentState::Open;
  std::string cause;
  double confidence = 0.0;
  Instant began_at;  // The first symptom.
  Instant opened_at;
  Instant closed_at = kNever;
  Instant analysis_until = kNever;  // Waiting to see the dependencies until then.
  Instant retry_at = kNever;        // The next attempt.
  IncidentId suppressed_by;
  std::vector<RecoveryId> recoveries;
  std::vector<PlaybookIndex> tried;
  std::vector<PlaybookIndex> refused;  // Found unsuitable before they started.
  std::uint32_t attempts = 0;          // Recoveries started, trials of the breaker not counted.
  bool in_health = true;               // The symptom shows in instances or probes, so does its end.
  Instant last_symptom_at = Instant::min();
  Instant recheck_from = kNever;  // No longer suppressed: looks from then on decide.
  std::optional<Rule> escalated_by;
  bool announced = false;                  // People were told; once an incident.
  std::string requested_by;                // An operator asked for a recovery.
  std::optional<PlaybookIndex> requested;  // With this playbook.
  std::vector<Reason> reasons;
  std::string detail;
};

struct StepProgress {
  ActionKind action = ActionKind::Start;
  Part part = Part::Step;
  std::uint32_t index = 0;
  StepState state = StepState::Pending;
  std::uint32_t attempts = 0;
  bool in_doubt = false;  // An earlier attempt may have had its effect.
  CommandId command;      // In flight or last.
  Instant started_at = kNever;
  Instant ended_at = kNever;
  std::string output;
};

struct CriterionResult {
  std::string criterion;
  std::string observed;
  bool met = false;
};

struct Recovery {
  RecoveryId id;
  IncidentId incident;
  ServiceIndex service;
  PlaybookIndex playbook;
  Mode mode = Mode::Shadow;  // At the time.
  RecoveryState state = RecoveryState::Planned;
  std::uint64_t plan_hash = 0;
  std::string requested_by;  // Operator; empty: recoverd.
  std::string approved_by;
  Instant approval_until = kNever;
  std::vector<Reason> reasons;
  std::string checkpoint;           // Taken before the first step.
  std::vector<StepProgress> steps;  // Checkpoint and steps, in order.
  std::vector<StepProgress> rollback;
  std::uint32_t rollback_attempts = 0;
  std::vector<CriterionResult> validation;
  Instant planned_at;
  Instant started_at = kNever;
  Instant ended_at = kNever;
  Instant deadline = kNever;  // recovery_timeout
  Instant last_effect_at = Instant::min();
  Instant validation_until = kNever;  // All criteria must be met by then.
  Instant stable_since = kNever;      // Met since.
  Instant wake_at = kNever;           // Retry of a step, a wait.
  std::uint32_t probes_passed = 0;    // Since the last effect.
  std::uint32_t probes_failed = 0;
  std::optional<bool> rto_met;
  Instant prerequisites_at = Instant::min();  // When they were last found met.
  std::string aborting;  // Why it ends as soon as its command in flight has; empty: it does not.
  bool crashed = false;  // While it was being validated.
  bool trial = false;    // The one a half-open breaker allows.
  std::optional<ServiceIndex> successor;  // A failover made it: it is what is validated.
  std::uint64_t gates_seen = 0;  // For speed: of what `reasons` says of the gates. Not stored.
};

// Outcomes of a playbook for a failure signature.
struct Outcomes {
  std::uint32_t succeeded = 0;
  std::uint32_t failed = 0;
};
struct Signature {
  ServiceIndex service;
  FailureClass failure = FailureClass::ServiceFailure;
  Symptom symptom = Symptom::ProbeFailed;  // The first.
  PlaybookIndex playbook;
  // The check takes the 0 of a defaulted <=> for a null pointer.
  friend auto operator<=>(const Signature&,
                          const Signature&) = default;  // NOLINT(modernize-use-nullptr)
};

// How a playbook does for one service: failures since it last helped this one.
struct PlaybookRow {
  std::uint32_t failures = 0;
  std::uint32_t counted = 0;  // Of these, in PlaybookHealth::failures_in_row.
  bool breaker_open = false;  // For this service; until a person resets it.
};
struct PlaybookHealth {
  // Since it last helped any service; each counts with a bounded share, see learning.h.
  std::uint32_t failures_in_row = 0;
  bool breaker_open = false;  // For every service; until a person resets it.
  bool demoted = false;
  std::map<ServiceIndex, PlaybookRow> rows;  // Where it failed last.
};
// It may not be used for this service: its breaker for it, or for every service, is open.
bool is_open_for(const PlaybookHealth& playbook, ServiceIndex service) noexcept;

struct ResourceLevel {
  std::string what;
  Symptom symptom = Symptom::DiskFull;
  double ratio = 0.0;
  std::uint8_t level = 0;
};

// Bounds of what is remembered; older incidents and recoveries are in the journal.
inline constexpr std::size_t kClosedIncidentsMax = 1'000;
inline constexpr std::size_t kEndedRecoveriesMax = 1'000;
// So many open incidents or active recoveries are copied for a round without an allocation.
inline constexpr std::size_t kOpenUsual = 16;

struct State {
  std::vector<ServiceHealth> services;  // By ServiceIndex.
  std::vector<PlaybookHealth> playbooks;
  std::map<IncidentId, Incident> incidents;
  std::map<RecoveryId, Recovery> recoveries;
  std::map<Signature, Outcomes> outcomes;
  std::map<Signature, Outcomes> learned;  // The outcomes as playbooks are ordered by them.
  bool outcomes_are_new = false;          // Not in `learned` yet.
  Instant learned_at = Instant::min();
  std::vector<ResourceLevel> resources;
  // The last match that counted, by where it was seen.
  std::map<std::pair<PatternIndex, std::optional<ServiceIndex>>, Instant> pattern_seen;
  std::deque<Instant> recoveries_started;                                // Within the last hour.
  std::map<std::pair<ServiceIndex, PlaybookIndex>, Instant> last_ended;  // For cooldowns.
  std::optional<Mode> mode;                                              // Set by an operator.
  Instant maintenance_until = Instant::min();
  bool kill_switch = false;
  bool storm = false;
  Instant storm_calm_since = kNever;
  bool journal_degraded = false;
  bool unsettled = false;  // The last step ended before everything had answered. A bug.
  std::map<CommandId, Command> in_flight;  // Without their CommandFinished yet.
  // Of those above, for speed: incidents not resolved, recoveries not ended. Ascending.
  std::vector<IncidentId> open;
  std::vector<RecoveryId> active;
  std::uint64_t next_incident = 1;
  std::uint64_t next_recovery = 1;
  std::uint64_t next_command = 1;
};

}  // namespace recover::core
