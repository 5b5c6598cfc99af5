#include "core/migrate.h"

#include <algorithm>

#include "core/hold.h"
#include "core/plan.h"
#include "core/recovery.h"

namespace recover::core {
namespace {

ServiceHealth initial_health(const ServicePolicy& service, Instant now) {
  ServiceHealth health;
  health.since = now;
  health.wanted = service.autostart;
  if (!service.autostart) health.state = ServiceState::Stopped;
  health.probes.resize(service.probes.size());
  if (const RunSpec* run = std::get_if<RunSpec>(&service.spec)) {
    health.desired = run->instances;
    health.instances.resize(run->instances);
    for (InstanceHealth& instance : health.instances) instance.since = now;
  }
  return health;
}

struct Translation {
  const Policy& from;
  const Policy& to;

  std::optional<ServiceIndex> service(ServiceIndex old) const {
    return to.find_service(from.service(old).name);
  }
  std::optional<PlaybookIndex> playbook(PlaybookIndex old) const {
    return to.find_playbook(from.playbook(old).id);
  }
  std::optional<PatternIndex> pattern(PatternIndex old) const {
    const std::string& id = from.patterns.at(old.value).id;
    const auto found = std::ranges::find(to.patterns, id, &PatternPolicy::id);
    if (found == to.patterns.end()) return std::nullopt;
    return PatternIndex{static_cast<std::uint32_t>(found - to.patterns.begin())};
  }
};

std::vector<ProbeHealth> migrate_probes(const ServicePolicy& from, const ServiceHealth& health,
                                        const ServicePolicy& to) {
  std::vector<ProbeHealth> probes(to.probes.size());
  for (std::size_t index = 0; index < to.probes.size(); ++index) {
    // Two probes may look at the same thing: the one in the same place is meant first.
    const ProbeSpec& spec = to.probes[index].spec;
    const bool in_place = index < from.probes.size() && from.probes[index].spec == spec;
    const auto same = in_place ? from.probes.begin() + static_cast<std::ptrdiff_t>(index)
                               : std::ranges::find(from.probes, spec, &ProbePolicy::spec);
    if (same == from.probes.end()) continue;
    probes[index] = health.probes.at(static_cast<std::size_t>(same - from.probes.begin()));
  }
  return probes;
}

ServiceHealth migrate_health(const ServicePolicy& from, const ServiceHealth& known,
                             const ServicePolicy& to, Instant now) {
  ServiceHealth health = known;
  if (!(from == to)) health.counts_from = now;  // Looks begun before were at what it was.
  health.probes = migrate_probes(from, known, to);
  if (from.state != to.state) {
    health.state_is_new = true;
    health.state_fingerprint.clear();
    health.candidate.clear();
  }
  const RunSpec* before = std::get_if<RunSpec>(&from.spec);
  const RunSpec* after = std::get_if<RunSpec>(&to.spec);
  if (after == nullptr) {
    health.desired = 0;
    health.start_pending = false;
    if (before != nullptr) health.instances.clear();
    return health;
  }
  const bool changed = before == nullptr || before->instances != after->instances;
  if (changed) health.desired = after->instances;
  fit_holds(health);
  if (health.instances.size() < health.desired) {
    health.instances.resize(health.desired);
    health.start_pending = health.wanted;
  }
  if (before == nullptr) health.since = now;
  return health;
}

std::vector<PlaybookIndex> migrate_list(const Translation& translation,
                                        const std::vector<PlaybookIndex>& list) {
  std::vector<PlaybookIndex> kept;
  for (const PlaybookIndex old : list) {
    if (const auto index = translation.playbook(old)) kept.push_back(*index);
  }
  return kept;
}

void migrate_incidents(const Translation& translation, const State& from, State& to) {
  for (const auto& [id, known] : from.incidents) {
    const auto service = translation.service(known.service);
    if (!service) continue;
    Incident incident = known;
    incident.service = *service;
    incident.pattern = known.pattern ? translation.pattern(*known.pattern) : std::nullopt;
    incident.tried = migrate_list(translation, known.tried);
    incident.refused.clear();  // The new policy may allow them.
    incident.requested = known.requested ? translation.playbook(*known.requested) : std::nullopt;
    to.incidents.emplace(id, std::move(incident));
  }
  for (const IncidentId id : from.open) {
    if (to.incidents.contains(id)) to.open.push_back(id);
  }
}

void migrate_recoveries(const Translation& translation, const State& from, State& to) {
  for (const auto& [id, known] : from.recoveries) {
    const auto service = translation.service(known.service);
    const auto playbook = translation.playbook(known.playbook);
    if (!service || !playbook) continue;
    Recovery recovery = known;
    recovery.service = *service;
    recovery.playbook = *playbook;
    if (known.successor) recovery.successor = translation.service(*known.successor);
    to.recoveries.emplace(id, std::move(recovery));
  }
  for (const RecoveryId id : from.active) {
    if (to.recoveries.contains(id)) to.active.push_back(id);
  }
}

// Nothing: what it was for is not there any more.
std::optional<Command> migrated(const Translation& translation, const Command& known) {
  const auto service = translation.service(known.service);
  if (!service) return std::nullopt;
  Command command = known;
  command.service = *service;
  if (known.playbook) command.playbook = translation.playbook(*known.playbook);
  if (known.playbook && !command.playbook) return std::nullopt;
  return command;
}

void migrate_commands(const Translation& translation, const State& from, State& to) {
  for (const auto& [id, known] : from.in_flight) {
    if (known.recovery && std::ranges::find(to.active, known.recovery) == to.active.end()) continue;
    auto command = migrated(translation, known);
    if (command) to.in_flight.emplace(id, std::move(*command));
  }
  for (ServiceHealth& health : to.services) {
    if (!to.in_flight.contains(health.supervision)) health.supervision = {};
    if (!to.in_flight.contains(health.last_good)) health.last_good = {};
  }
}

std::map<Signature, Outcomes> migrate_outcomes(const Translation& translation,
                                               const std::map<Signature, Outcomes>& from) {
  std::map<Signature, Outcomes> to;
  for (const auto& [known, outcomes] : from) {
    const auto service = translation.service(known.service);
    const auto playbook = translation.playbook(known.playbook);
    if (!service || !playbook) continue;
    Signature signature = known;
    signature.service = *service;
    signature.playbook = *playbook;
    to[signature] = outcomes;
  }
  return to;
}

PlaybookHealth migrate_rows(const Translation& translation, const PlaybookHealth& known) {
  PlaybookHealth health = known;
  health.rows.clear();
  for (const auto& [old, row] : known.rows) {
    if (const auto service = translation.service(old)) {
      health.rows[*service] = row;
    } else {
      health.failures_in_row -= std::min(health.failures_in_row, row.counted);
    }
  }
  return health;
}

void migrate_memory(const Translation& translation, const State& from, State& to) {
  to.outcomes = migrate_outcomes(translation, from.outcomes);
  to.learned = migrate_outcomes(translation, from.learned);
  to.outcomes_are_new = from.outcomes_are_new;
  to.learned_at = from.learned_at;
  for (const auto& [key, at] : from.last_ended) {
    const auto service = translation.service(key.first);
    const auto playbook = translation.playbook(key.second);
    if (service && playbook) to.last_ended[{*service, *playbook}] = at;
  }
  for (const auto& [key, at] : from.pattern_seen) {
    const auto pattern = translation.pattern(key.first);
    const auto service = key.second ? translation.service(*key.second) : std::nullopt;
    if (!pattern || key.second.has_value() != service.has_value()) continue;
    to.pattern_seen[{*pattern, service}] = at;
  }
}

// The plan of a recovery is the same under the new policy.
bool goes_on(const Translation& translation, const Recovery& recovery) {
  const auto service = translation.service(recovery.service);
  const auto playbook = translation.playbook(recovery.playbook);
  return service && playbook &&
         plan_hash(translation.to, *playbook, *service) == recovery.plan_hash;
}

void drop(Turn& turn, Recovery& recovery) {
  const std::string why = "the configuration changed";
  if (recovery.started_at == kNever) return reject(turn, recovery, Rule::Operator, why);
  for (const StepProgress& progress : recovery.steps) turn.cancel(progress.command);
  for (const StepProgress& progress : recovery.rollback) turn.cancel(progress.command);
  end(turn, recovery, Signal::GaveUp, Rule::Operator, why);
}

}  // namespace

State initial_state(const Policy& policy, Instant now) {
  State state;
  state.learned_at = now;
  state.playbooks.resize(policy.playbooks.size());
  for (const ServicePolicy& service : policy.services) {
    state.services.push_back(initial_health(service, now));
  }
  return state;
}

void prepare_migration(Turn& turn, const Policy& next) {
  const Translation translation{turn.policy, next};
  const std::vector<RecoveryId> active = turn.state.active;
  for (const RecoveryId id : active) {
    Recovery* recovery = turn.recovery(id);
    if (recovery != nullptr && !goes_on(translation, *recovery)) drop(turn, *recovery);
  }
  // What was said is about indices of the old policy; those of the new one may differ.
  for (Notice& notice : turn.out.notices) {
    if (notice.service) notice.service = translation.service(*notice.service);
  }
  turn.out.probes.clear();
  std::erase_if(turn.out.commands, [&translation](const Command& command) {
    return command.playbook || !translation.service(command.service);
  });
  for (Command& command : turn.out.commands)
    command.service = *translation.service(command.service);
}

std::vector<ServiceIndex> stopped_services(const Policy& from, const State& before,
                                           const Policy& to, const State& after) {
  std::vector<ServiceIndex> stopped;
  for (std::uint32_t index = 0; index < to.services.size(); ++index) {
    const auto old = from.find_service(to.services[index].name);
    const bool wanted = old && before.services.at(old->value).wanted;
    if (wanted && !after.services.at(index).wanted) stopped.push_back(ServiceIndex{index});
  }
  return stopped;
}

std::vector<ServiceIndex> changed_services(const Policy& from, const Policy& to) {
  std::vector<ServiceIndex> changed;
  for (std::uint32_t index = 0; index < to.services.size(); ++index) {
    const auto old = from.find_service(to.services[index].name);
    if (old && !(from.service(*old) == to.services[index])) changed.push_back(ServiceIndex{index});
  }
  return changed;
}

State migrate(const Policy& from, const State& state, const Policy& to, Instant now) {
  const Translation translation{from, to};
  State next = initial_state(to, now);
  for (std::uint32_t index = 0; index < to.services.size(); ++index) {
    ServiceHealth& health = next.services[index];
    const auto old = from.find_service(to.services[index].name);
    if (old) {
      health = migrate_health(from.service(*old), state.services.at(old->value), to.services[index],
                              now);
      if (health.replaced_by) health.replaced_by = translation.service(*health.replaced_by);
    } else {
      health.start_pending = health.desired > 0 && health.wanted;
    }
  }
  for (std::uint32_t index = 0; index < to.playbooks.size(); ++index) {
    if (const auto old = from.find_playbook(to.playbooks[index].id)) {
      next.playbooks[index] = migrate_rows(translation, state.playbooks.at(old->value));
    }
  }
  migrate_incidents(translation, state, next);
  migrate_recoveries(translation, state, next);
  migrate_commands(translation, state, next);
  migrate_memory(translation, state, next);
  next.resources = state.resources;
  next.recoveries_started = state.recoveries_started;
  next.mode = state.mode;
  next.maintenance_until = state.maintenance_until;
  next.kill_switch = state.kill_switch;
  next.storm = state.storm;
  next.storm_calm_since = state.storm_calm_since;
  next.journal_degraded = state.journal_degraded;
  next.unsettled = state.unsettled;
  next.next_incident = state.next_incident;
  next.next_recovery = state.next_recovery;
  next.next_command = state.next_command;
  return next;
}

}  // namespace recover::core
