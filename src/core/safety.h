// The gates: may this plan run now? A pure verdict with every reason, passed or not.
//
// Nothing here changes anything; recovery.h acts on the verdict.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/expression.h"
#include "core/policy.h"
#include "core/state.h"
#include "core/turn.h"

namespace recover::core {

struct PrerequisiteCheck {
  std::string_view expression;  // Of the policy.
  std::string observed;         // Of one that does not hold.
  Truth truth = Truth::True;
};

// Everything the gates look at, and nothing else. A field added is added to fingerprint().
struct GateInputs {
  Mode mode = Mode::Automatic;  // In effect for the service.
  bool requested = false;       // An operator asked for this recovery.
  bool approved = false;        // A person approved exactly this plan.
  bool enabled = true;
  bool condition_allowed = true;  // Its failure class may be recovered unattended.
  bool maintenance = false;
  bool quarantined = false;
  BreakerState breaker = BreakerState::Closed;
  bool playbook_breaker_open = false;      // For every service.
  bool playbook_open_for_service = false;  // For this one.
  bool demoted = false;
  Duration cooldown_left = Duration::zero();
  std::uint32_t recoveries = 0;  // In effect now.
  std::uint32_t recoveries_max = 5;
  std::uint32_t recoveries_last_hour = 0;
  std::uint32_t recoveries_per_hour_max = 20;
  std::uint32_t unhealthy_others = 0;  // Not counting those that suffer from a dependency.
  std::uint32_t services = 1;
  double blast_radius = 0.25;
  // Of the service's group; without one, and without a limit, nothing.
  std::string group;
  std::uint32_t group_services = 0;
  std::uint32_t group_recoveries = 0;
  std::uint32_t group_unhealthy_others = 0;
  std::optional<std::uint32_t> group_recoveries_max;
  std::optional<double> group_blast_radius;
  std::vector<PrerequisiteCheck> prerequisites;
  bool facts_overdue = true;  // A missing fact was waited for long enough.
  Risk risk = Risk::Low;      // The highest of the playbook and its steps.
  FailureClass failure = FailureClass::ServiceFailure;
  bool names_authentication = false;  // A trigger of the playbook does.
  double confidence = 1.0;
  double confidence_threshold = 0.7;
  bool kill_switch = false;
  bool storm = false;
  bool journal_degraded = false;
  bool safe_without_journal = false;  // Only idempotent starts and restarts of low risk.
};

// One reason a gate, in the order of Rule, Mode to JournalDegraded. Never Info.
std::vector<Reason> evaluate_gates(const GateInputs& inputs);
// Never 0. Equal inputs, as far as the reasons tell, have equal ones: what was evaluated once is
// known. Of a cooldown they tell whole seconds, and below one whole milliseconds.
std::uint64_t fingerprint(const GateInputs& inputs);
// The services that may be unhealthy at once: the ratio rounded down, at least one.
std::uint32_t blast_limit(std::uint32_t services, double ratio) noexcept;

GateInputs gate_inputs(const Turn& turn, const Recovery& recovery, const Incident& incident);
// When a Wait of the recovery may end by time alone; kNever: not by time.
Instant gates_change_at(const Turn& turn, const Recovery& recovery);

std::vector<PrerequisiteCheck> check_prerequisites(const Policy& policy, const State& state,
                                                   const Recovery& recovery, Instant now);

// The lowest of the global mode, the service's own and what operators set.
Mode effective_mode(const Policy& policy, const State& state, ServiceIndex service);

// Idempotent, of low risk, a start or a restart.
bool is_safe_without_journal(const StepPolicy& step) noexcept;

// Enters and leaves the storm: with too many services unhealthy no recovery is started.
void advance_storm(Turn& turn);
// Fewer unhealthy services than this are no storm, whatever the ratio.
inline constexpr std::uint32_t kStormServicesMin = 5;

}  // namespace recover::core
