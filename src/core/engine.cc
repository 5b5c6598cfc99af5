#include "core/engine.h"

#include <algorithm>
#include <utility>

#include "base/overloaded.h"
#include "core/breaker.h"
#include "core/health.h"
#include "core/incident.h"
#include "core/last_good.h"
#include "core/learning.h"
#include "core/looks.h"
#include "core/migrate.h"
#include "core/operators.h"
#include "core/owner.h"
#include "core/plan.h"
#include "core/recovery.h"
#include "core/safety.h"
#include "core/sightings.h"
#include "core/snapshot.h"
#include "core/supervision.h"
#include "core/timers.h"

namespace recover::core {
namespace {

// Rounds in which the pieces answer one another's decisions within one step. In a round everything
// that can move moves one place on along a path without a way back within one step: an incident
// through suppression (once for each service between it and the root of the trouble), its analysis
// and its plans (once for each playbook, since a refused one is not planned again), a recovery
// through the states of its table and its steps (each begun and ended once), a service through its
// commands. A step that takes more is a bug; it is said loudly and goes on with the next timer.
std::size_t rounds_max(const Policy& policy) {
  constexpr std::size_t kFixed = 64;
  std::size_t steps = 0;
  for (const PlaybookPolicy& playbook : policy.playbooks) {
    steps = std::max(steps, 2 * playbook.steps.size() + playbook.rollback.size());
  }
  return kFixed + policy.services.size() + 2 * policy.playbooks.size() + steps;
}
// A deadline that is due but held back is looked at again this often, no faster.
constexpr Duration kTimerPauseMin = milliseconds{10};

bool on_journal_degraded(Turn& turn, const JournalDegraded& event) {
  if (turn.state.journal_degraded == event.degraded) return false;
  turn.state.journal_degraded = event.degraded;
  turn.notice(event.degraded ? "journal:degraded" : "journal:recovered",
              event.degraded ? Severity::Critical : Severity::Low,
              event.degraded ? "the journal cannot be written: safe actions only"
                             : "the journal is written again");
  return true;
}

bool on_timer(Turn& turn, Instant next) {
  if (next > turn.now) return false;
  advance_health(turn);
  return true;
}

// Takes the event in; true when that changed anything.
bool take(Turn& turn, const Event& event, Instant next) {
  return std::visit(base::Overloaded{
                        [&](const ProcessStarted& e) { return on_process_started(turn, e); },
                        [&](const ProcessReady& e) { return on_process_ready(turn, e); },
                        [&](const ProcessExited& e) { return on_process_exited(turn, e); },
                        [&](const TimeExtended& e) { return on_time_extended(turn, e); },
                        [&](const WatchdogExpired& e) { return on_watchdog_expired(turn, e); },
                        [&](const ProbeFinished& e) { return on_probe_finished(turn, e); },
                        [&](const ResourceLevelChanged& e) { return on_resource_level(turn, e); },
                        [&](const PatternSeen& e) { return on_pattern_seen(turn, e); },
                        [&](const CommandFinished& e) { return on_command_finished(turn, e); },
                        [&](const OperatorRecover& e) { return on_recover(turn, e); },
                        [&](const OperatorApprove& e) { return on_approve(turn, e); },
                        [&](const OperatorReject& e) { return on_reject(turn, e); },
                        [&](const OperatorSetMode& e) { return on_set_mode(turn, e); },
                        [&](const OperatorKillSwitch& e) { return on_kill_switch(turn, e); },
                        [&](const OperatorMaintenance& e) { return on_maintenance(turn, e); },
                        [&](const OperatorService& e) { return on_service_request(turn, e); },
                        [&](const OperatorResetBreaker& e) { return on_reset_breaker(turn, e); },
                        [&](const OperatorCheckpoint& e) { return on_checkpoint_request(turn, e); },
                        [&](const TimerFired&) { return on_timer(turn, next); },
                        [&](const EngineStarted& e) { return on_engine_started(turn, e); },
                        [&](const JournalDegraded& e) { return on_journal_degraded(turn, e); },
                        [&](const OwnerReported& e) { return on_owner_reported(turn, e); },
                        [&](const StateSeen& e) { return on_state_seen(turn, e); },
                        [&](const OperatorNote& e) { return on_note(turn, e); },
                        [&](const BackupReported& e) { return on_backup(turn, e); },
                    },
                    event);
}

void advance_breakers(Turn& turn) {
  for (auto index = turn.due_service(0); index != Wakes::kNone;
       index = turn.due_service(index + 1)) {
    const ServiceHealth& health = turn.state.services[index];
    if (breaker_deadline(turn.policy, health) <= turn.now) {
      advance_breaker(turn, ServiceIndex{index});
    }
  }
}

template <class Id, class Value>
void forget_oldest(std::map<Id, Value>& all, const std::vector<Id>& kept, std::size_t others_max) {
  for (auto each = all.begin(); each != all.end() && all.size() > kept.size() + others_max;) {
    const bool keep = std::ranges::find(kept, each->first) != kept.end();
    each = keep ? std::next(each) : all.erase(each);
  }
}

// Lets incidents, recoveries and supervision answer what changed, until nothing moves.
void settle(Turn& turn) {
  turn.state.unsettled = false;
  const std::size_t rounds = rounds_max(turn.policy);
  for (std::size_t round = 0; round <= rounds; ++round) {
    if (round == rounds) {
      turn.notice("engine:unsettled", Severity::Critical,
                  text({"decisions still follow from one another after ", std::to_string(rounds),
                        " rounds: please report this"}));
      turn.state.unsettled = true;
      break;
    }
    turn.moved = false;
    advance_learning(turn);
    advance_breakers(turn);
    advance_storm(turn);
    advance_incidents(turn);
    advance_recoveries(turn);
    advance_supervision(turn);
    if (!turn.moved) break;
  }
  forget_oldest(turn.state.incidents, turn.state.open, kClosedIncidentsMax);
  forget_oldest(turn.state.recoveries, turn.state.active, kEndedRecoveriesMax);
}

}  // namespace

Engine::Engine(Policy policy, Instant now)
    : Engine(std::make_shared<const Policy>(std::move(policy)), now) {}

Engine::Engine(std::shared_ptr<const Policy> policy, Instant now)
    : policy_(std::move(policy)), state_(initial_state(*policy_, now)) {}

Engine::Engine(std::shared_ptr<const Policy> policy, RestoredState restored)
    : policy_(std::move(policy)),
      state_(std::move(restored.state)),
      next_timer_(restored.next_timer) {}

void Engine::rearm(Instant now) {
  wakes_.catch_up(*policy_, state_);
  const Instant next =
      std::min({wakes_.next_service(), wakes_.next_lost(state_), open_deadline(*policy_, state_)});
  next_timer_ = std::max(next, saturating_add(now, kTimerPauseMin));
}

void Engine::step(const Event& event, Instant now, Output& output) {
  output.clear();
  Turn turn{.policy = *policy_, .state = state_, .now = now, .out = output, .wakes = &wakes_};
  if (!take(turn, event, next_timer_)) return;
  settle(turn);
  output.changed = true;
  rearm(now);
}

void Engine::replace_policy(Policy policy, Instant now, Output& output) {
  output.clear();
  Turn before{.policy = *policy_, .state = state_, .now = now, .out = output};
  prepare_migration(before, policy);
  const std::vector<ServiceIndex> changed = changed_services(*policy_, policy);
  State state = migrate(*policy_, state_, policy, now);
  const std::vector<ServiceIndex> stopped = stopped_services(*policy_, state_, policy, state);
  policy_ = std::make_shared<const Policy>(std::move(policy));
  state_ = std::move(state);
  wakes_.touch_all();
  Turn turn{.policy = *policy_, .state = state_, .now = now, .out = output, .wakes = &wakes_};
  for (std::uint32_t index = 0; index < state_.services.size(); ++index) {
    refresh(turn, ServiceIndex{index});
  }
  for (const ServiceIndex service : changed) turn.look(service);
  for (const ServiceIndex service : stopped) {
    turn.notice("operator:service", Severity::Medium, service,
                text({"reload: stop ", turn.service(service).name,
                      "; the instances that are left were stopped by a person"}));
    supervise(turn, service, ActionKind::Stop);
  }
  settle(turn);
  output.changed = true;
  rearm(now);
}

std::string Engine::snapshot() const {
  return write_snapshot(*policy_, state_, next_timer_);
}

Result<Engine, std::string> Engine::restore(Policy policy, std::string_view snapshot) {
  return restore(std::make_shared<const Policy>(std::move(policy)), snapshot);
}

Result<Engine, std::string> Engine::restore(std::shared_ptr<const Policy> policy,
                                            std::string_view snapshot) {
  Result<RestoredState, std::string> read = read_snapshot(*policy, snapshot);
  if (!read) return Unexpected(std::move(read).error());
  return Engine(std::move(policy), std::move(*read));
}

std::uint64_t Engine::state_hash() const {
  return hash_snapshot(state_, next_timer_);
}

}  // namespace recover::core
