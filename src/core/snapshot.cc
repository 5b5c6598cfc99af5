#include "core/snapshot.h"

#include <algorithm>

#include "core/archive.h"
#include "core/health.h"
#include "core/plan.h"
#include "core/recovery_table.h"

namespace recover::core {
namespace {

constexpr std::uint32_t kMagic = 0x52435653;  // "SVCR" on the disk.

// What of the policy the state's positions depend on.
std::uint64_t shape_of(const Policy& policy) {
  std::uint64_t hash = kFnvBasis;
  const auto add = [&hash](std::string_view text) { hash = fnv1a("\n", fnv1a(text, hash)); };
  for (const ServicePolicy& service : policy.services) {
    add(service.name);
    add(std::to_string(service.probes.size()));
  }
  for (const PlaybookPolicy& playbook : policy.playbooks) {
    add(playbook.id);
    add(std::to_string(playbook.steps.size()));
    add(std::to_string(playbook.rollback.size()));
  }
  for (const PatternPolicy& pattern : policy.patterns) add(pattern.id);
  return hash;
}

// Everything the engine takes for granted about positions and references.
class Check {
 public:
  Check(const Policy& policy, const State& state) : policy_(policy), state_(state) {}

  bool sound() const {
    return state_.services.size() == policy_.services.size() &&
           state_.playbooks.size() == policy_.playbooks.size() && services() && incidents() &&
           recoveries() && commands() && memory();
  }

 private:
  bool is(ServiceIndex index) const { return index.value < policy_.services.size(); }
  bool is(PlaybookIndex index) const { return index.value < policy_.playbooks.size(); }
  bool is(PatternIndex index) const { return index.value < policy_.patterns.size(); }
  template <class Index>
  bool is(const std::optional<Index>& index) const {
    return !index || is(*index);
  }
  bool services() const {
    for (std::size_t index = 0; index < state_.services.size(); ++index) {
      const ServiceHealth& health = state_.services[index];
      if (health.probes.size() != policy_.services[index].probes.size()) return false;
      if (health.instances.size() > kInstancesMax || health.desired > kInstancesMax) return false;
      if (!is(health.replaced_by)) return false;
      if (!health.incident) continue;
      const auto found = state_.incidents.find(health.incident);
      if (found == state_.incidents.end() || found->second.service.value != index) return false;
      if (found->second.state == IncidentState::Resolved) return false;
    }
    return true;
  }
  bool incidents() const {
    return std::ranges::all_of(state_.incidents, [this](const auto& entry) {
      const auto& [id, incident] = entry;
      if (id != incident.id || !id || id.value >= state_.next_incident) return false;
      if (!is(incident.service) || !is(incident.pattern) || !is(incident.requested)) return false;
      // Each open one belongs to its service, so there is one at most.
      const bool open = incident.state != IncidentState::Resolved;
      if (open && state_.services[incident.service.value].incident != id) return false;
      const auto known = [this](PlaybookIndex index) { return is(index); };
      return !incident.symptoms.empty() && std::ranges::all_of(incident.tried, known) &&
             std::ranges::all_of(incident.refused, known);
    });
  }
  bool steps(const Recovery& recovery, const std::vector<StepProgress>& list) const {
    const PlaybookPolicy& playbook = policy_.playbook(recovery.playbook);
    return std::ranges::all_of(list, [&playbook](const StepProgress& step) {
      switch (step.part) {
        case Part::Supervision: return false;
        case Part::Checkpoint: return true;
        case Part::Step:
        case Part::Undo: return step.index < playbook.steps.size();
        case Part::Rollback: return step.index < playbook.rollback.size();
      }
      return false;
    });
  }
  bool recoveries() const {
    return std::ranges::all_of(state_.recoveries, [this](const auto& entry) {
      const auto& [id, recovery] = entry;
      if (id != recovery.id || !id || id.value >= state_.next_recovery) return false;
      if (!is(recovery.service) || !is(recovery.playbook) || !is(recovery.successor)) return false;
      const bool waits = recovery.state == RecoveryState::Planned;
      if (waits && recovery.started_at != kNever) return false;
      const bool started = recovery.state == RecoveryState::Checkpointing ||
                           recovery.state == RecoveryState::Running ||
                           recovery.state == RecoveryState::Validating ||
                           recovery.state == RecoveryState::RollingBack;
      if (started && recovery.started_at == kNever) return false;
      return steps(recovery, recovery.steps) && steps(recovery, recovery.rollback);
    });
  }
  bool commands() const {
    return std::ranges::all_of(state_.in_flight, [this](const auto& entry) {
      const auto& [id, command] = entry;
      if (id != command.id || !id || id.value >= state_.next_command) return false;
      if (!is(command.service) || !is(command.playbook)) return false;
      if (!command.playbook) return true;
      const PlaybookPolicy& playbook = policy_.playbook(*command.playbook);
      const bool back = command.part == Part::Rollback;
      return command.index < (back ? playbook.rollback : playbook.steps).size();
    });
  }
  bool memory() const {
    const auto of_signature = [this](const auto& entry) {
      return is(entry.first.service) && is(entry.first.playbook);
    };
    const auto of_cooldown = [this](const auto& entry) {
      return is(entry.first.first) && is(entry.first.second);
    };
    const auto of_pattern = [this](const auto& entry) {
      return is(entry.first.first) && is(entry.first.second);
    };
    const auto of_playbook = [this](const PlaybookHealth& playbook) {
      return std::ranges::all_of(playbook.rows, [this](const auto& row) { return is(row.first); });
    };
    return std::ranges::all_of(state_.playbooks, of_playbook) &&
           std::ranges::all_of(state_.outcomes, of_signature) &&
           std::ranges::all_of(state_.learned, of_signature) &&
           std::ranges::all_of(state_.last_ended, of_cooldown) &&
           std::ranges::all_of(state_.pattern_seen, of_pattern);
  }

  const Policy& policy_;
  const State& state_;
};

// One description serves both directions, so it asks for what it could change; these do not.
template <class AnyWriter>
void archive_all_of(AnyWriter& to, const State& state, Instant next_timer) {
  archive(to, next_timer);
  archive(to, const_cast<State&>(state));  // NOLINT(cppcoreguidelines-pro-type-const-cast)
}

void index_open(State& state) {
  for (const auto& [id, incident] : state.incidents) {
    if (incident.state != IncidentState::Resolved) state.open.push_back(id);
  }
  for (const auto& [id, recovery] : state.recoveries) {
    if (!is_over(recovery.state)) state.active.push_back(id);
  }
}

}  // namespace

std::string write_snapshot(const Policy& policy, const State& state, Instant next_timer) {
  Writer writer;
  writer.number(kMagic, 4);
  writer.number(kSnapshotVersion, 4);
  writer.number(shape_of(policy), 8);
  archive_all_of(writer, state, next_timer);
  return writer.take();
}

std::uint64_t hash_snapshot(const State& state, Instant next_timer) {
  HashWriter hash;
  archive_all_of(hash, state, next_timer);
  return hash.value();
}

bool is_of_this_version(std::string_view snapshot) {
  Reader reader(snapshot);
  return reader.number(4) == kMagic && reader.number(4) == kSnapshotVersion;
}

Result<RestoredState, std::string> read_snapshot(const Policy& policy, std::string_view bytes) {
  Reader reader(bytes);
  if (reader.number(4) != kMagic) return Unexpected(std::string("not a snapshot"));
  const std::uint64_t version = reader.number(4);
  if (version < kSnapshotVersionMin || version > kSnapshotVersion) {
    return Unexpected("snapshot of version " + std::to_string(version) + ", not " +
                      std::to_string(kSnapshotVersion));
  }
  reader.of_version(version);
  if (reader.number(8) != shape_of(policy)) {
    return Unexpected(std::string("the snapshot belongs to another policy"));
  }
  RestoredState restored;
  archive(reader, restored.next_timer);
  archive(reader, restored.state);
  if (!reader.ok() || !reader.at_end()) return Unexpected(std::string("the snapshot is damaged"));
  if (!Check(policy, restored.state).sound()) {
    return Unexpected(std::string("the snapshot contradicts itself"));
  }
  index_open(restored.state);
  return restored;
}

}  // namespace recover::core
