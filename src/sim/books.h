// What the journal says, folded: the checkers' own account of incidents, recoveries and commands.
// Built from entries only; knows nothing of the engine's state and counters.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/event.h"
#include "core/policy.h"
#include "ports/journal.h"
#include "sim/log.h"

namespace recover::sim {

// One entry, read. Refers to the entry's row.
struct Seen {
  ports::EntryKind kind = ports::EntryKind::Event;
  std::uint64_t sequence = 0;  // 0: not durable.
  Instant at;
  std::string_view type;  // "probe_finished", "recovery:action", "restart", …
  int service = -1;
  std::uint64_t incident = 0;
  std::uint64_t recovery = 0;
  std::string_view message;               // Of a notice.
  std::optional<core::RecoveryState> to;  // Of a "recovery:action" that is a change of state.
  std::string_view body;                  // Of a policy or a snapshot.
  // One of them, or none for a policy or a snapshot.
  const core::Event* event = nullptr;
  const core::Notice* notice = nullptr;
  const core::Command* command = nullptr;

  bool starts(std::string_view prefix) const { return message.starts_with(prefix); }
  // In the message or a reason of a notice.
  bool says(std::string_view part) const;
  bool is_command(core::Part part) const { return command != nullptr && command->part == part; }
};
// `row` is nullptr for a policy or a snapshot.
Seen read(const ports::Entry& entry, const Row* row, std::uint64_t sequence);

struct BookStep {
  bool possibly = false;  // It may have had its effect.
  bool crashed = false;   // Only because recoverd ended meanwhile.
  bool open = false;      // A command for it is in flight.
  bool undone = false;    // Its undo was sent.
};

struct BookRecovery {
  std::uint64_t incident = 0;
  int service = -1;
  int playbook = -1;
  core::RecoveryState state = core::RecoveryState::Planned;
  bool requested = false;
  Instant planned_at;
  Instant started_at = kNever;
  Instant last_effect_end = Instant::min();
  std::uint64_t asked_hash = 0;
  Instant asked_at = kNever;
  Instant approved_at = kNever;
  std::map<std::uint32_t, BookStep> steps;
  std::int64_t last_undo = INT64_MAX;
  bool in_effect() const;
};

struct BookIncident {
  int service = -1;
  bool open = true;
  bool suppressed = false;
  bool escalated = false;
  bool breaker_opened = false;  // Of its service, since.
  std::uint32_t starts = 0;     // Not asked for by anybody.
  std::vector<int> tried;
  std::vector<int> refused;
};

struct BookLook {
  Instant started_at = Instant::min();
  bool passed = false;
  std::uint32_t failures = 0;  // In a row.
};

struct BookService {
  std::map<std::uint32_t, BookLook> looks;
  Instant maintenance_until = Instant::min();
  std::optional<core::Mode> mode;
  bool wanted = true;
  bool quarantined = false;
  bool breaker_open = false;
  Instant breaker_since = kNever;  // Open.
  bool tripped = false;            // Open or half-open.
};

struct BookCommand {
  core::Command command;
  Instant at;
};

struct Books {
  explicit Books(const core::Policy& p) : policy(&p), services(p.services.size()) {}

  // REQUIRES: entries in order.
  void apply(const Seen& seen);

  core::Mode mode_of(int service) const;
  bool in_maintenance(int service, Instant now) const;
  std::uint32_t in_effect() const;
  // Open and not suppressed. Those that left suppression without a word count as suppressed, so
  // this is a lower bound.
  std::uint32_t unhealthy() const;
  std::uint32_t open_incidents() const;
  const BookRecovery* recovery(std::uint64_t id) const;
  const BookIncident* incident(std::uint64_t id) const;
  const BookIncident* open_incident_of(int service) const;
  // The change of state with which a planned recovery begins.
  bool is_start(const Seen& seen) const;

  void forget_playbooks(const core::OperatorResetBreaker& reset);

  const core::Policy* policy;
  std::vector<BookService> services;
  std::map<std::uint64_t, BookRecovery> recoveries;
  std::vector<std::uint64_t> active;  // Recoveries that are not over, ascending.
  std::map<std::uint64_t, BookIncident> incidents;
  std::vector<std::uint64_t> open;                // Incidents that are not resolved, ascending.
  std::map<std::uint64_t, BookCommand> commands;  // Not finished.
  std::map<std::pair<int, int>, Instant> last_ended;
  std::vector<bool> playbook_open = std::vector<bool>(policy->playbooks.size());
  // Playbook and service: its breaker for this service alone is open; failures since it last
  // helped.
  std::set<std::pair<int, int>> playbook_open_for;
  // It failed in a row as often as the configuration of that moment allowed.
  std::set<std::pair<int, int>> playbook_worn_out;
  std::map<std::pair<int, int>, std::uint32_t> playbook_failures;
  std::vector<bool> demoted = std::vector<bool>(policy->playbooks.size());
  std::vector<Instant> starts;
  std::optional<core::Mode> mode;
  Instant maintenance_until = Instant::min();
  bool kill_switch = false;
  bool storm = false;
  Instant storm_since = Instant::min();
  // The event that what follows was decided upon.
  std::string_view cause;
  int cause_service = -1;
  std::optional<core::CommandOutcome> cause_outcome;
  std::uint64_t cause_recovery = 0;  // Whose command it finished.
  std::uint64_t entries = 0;

 private:
  void apply_event(const Seen& seen);
  void apply_notice(const Seen& seen);
  void apply_command(const Seen& seen);
  void apply_finished(const core::CommandFinished& event, Instant at);
  void apply_state(const Seen& seen, BookRecovery& recovery);
};

}  // namespace recover::sim
