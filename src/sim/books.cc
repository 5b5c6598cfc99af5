#include "sim/books.h"

#include <algorithm>
#include <charconv>

#include "base/overloaded.h"
#include "core/recovery_table.h"
#include "runtime/event_codec.h"

namespace recover::sim {
namespace {

// The value of a flat field of a body, up to the next comma or brace; quotes removed.
std::string_view field(std::string_view body, std::string_view key) {
  const std::size_t at = body.find(key);
  if (at == std::string_view::npos) return {};
  std::string_view rest = body.substr(at + key.size());
  const bool quoted = rest.starts_with('"');
  if (quoted) rest.remove_prefix(1);
  return rest.substr(0, quoted ? rest.find('"') : rest.find_first_of(",}"));
}

template <class T = std::uint64_t>
T number(std::string_view text) {
  T value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int index_of(std::string_view name) {
  return name.size() < 2 ? -1 : number<int>(name.substr(1));
}

std::string_view message_of(std::string_view body) {
  constexpr std::string_view kKey = "\"message\":\"";
  const std::size_t at = body.find(kKey);
  if (at == std::string_view::npos) return {};
  const std::string_view rest = body.substr(at + kKey.size());
  std::size_t end = 0;
  while (end < rest.size() && rest[end] != '"') end += rest[end] == '\\' ? 2 : 1;
  return rest.substr(0, end);
}

CommandRow row_of(std::string_view body) {
  return {.id = number(field(body, "\"id\":")),
          .part = field(body, "\"part\":"),
          .playbook = index_of(field(body, "\"playbook\":")),
          .index = number<std::uint32_t>(field(body, "\"index\":")),
          .attempt = number<std::uint32_t>(field(body, "\"attempt\":")),
          .epoch = number(field(body, "\"epoch\":")),
          .idempotent = field(body, "\"idempotent\":") == "true",
          .settle = field(body, "\"settle\":") == "true"};
}

bool is_possible(core::CommandOutcome outcome) {
  return outcome == core::CommandOutcome::Done || outcome == core::CommandOutcome::Unknown;
}

}  // namespace

bool BookRecovery::in_effect() const {
  return started_at != kNever && !core::is_over(state);
}

Seen read(const ports::Entry& entry, std::uint64_t sequence) {
  Seen seen;
  seen.kind = entry.kind;
  seen.sequence = sequence;
  seen.at = entry.at;
  seen.type = entry.type;
  seen.body = entry.body;
  seen.service = index_of(entry.service);
  seen.incident = entry.incident;
  seen.recovery = entry.recovery;
  if (entry.kind == ports::EntryKind::Notice) {
    seen.message = message_of(entry.body);
    const std::size_t colon = seen.message.find(": ");
    if (entry.type == "recovery:action" && colon != std::string_view::npos) {
      seen.to = core::parse<core::RecoveryState>(seen.message.substr(0, colon));
    }
  }
  if (entry.kind == ports::EntryKind::Command) seen.command = row_of(entry.body);
  if (entry.kind == ports::EntryKind::Event) {
    auto event = runtime::decode(entry.type, entry.body);
    if (event) seen.event = std::move(*event);
  }
  return seen;
}

void Books::apply(const Seen& seen) {
  ++entries;
  switch (seen.kind) {
    case ports::EntryKind::Event: return apply_event(seen);
    case ports::EntryKind::Notice: return apply_notice(seen);
    case ports::EntryKind::Command: return apply_command(seen);
    case ports::EntryKind::Policy:
    case ports::EntryKind::Snapshot: return;
  }
}

void Books::apply_finished(const core::CommandFinished& event, Instant at) {
  const auto found = commands.find(event.command.value);
  cause_outcome = event.outcome;
  if (found == commands.end()) return;
  const BookCommand& command = found->second;
  cause_recovery = command.recovery;
  const auto recovery_at = recoveries.find(command.recovery);
  if (recovery_at != recoveries.end()) {
    BookRecovery& of = recovery_at->second;
    if (command.row.part != "checkpoint") of.last_effect_end = at;
    if (command.row.part == "step") {
      BookStep& step = of.steps[command.row.index];
      step.open = false;
      step.possibly = step.possibly || is_possible(event.outcome);
    }
  }
  commands.erase(found);
}

void Books::apply_event(const Seen& seen) {
  cause = seen.type;
  cause_service = seen.service;
  cause_outcome.reset();
  cause_recovery = 0;
  if (!seen.event) return;
  const auto for_services = [this](std::optional<core::ServiceIndex> one, auto&& act) {
    if (one) act(services.at(one->value));
  };
  std::visit(base::Overloaded{
                 [&](const core::ProbeFinished& e) {
                   BookLook& look = services.at(e.service.value).looks[e.probe];
                   look.started_at = std::max(look.started_at, e.started_at);
                   look.passed = e.outcome == core::ProbeOutcome::Passed;
                   look.failures = look.passed ? 0 : look.failures + 1;
                 },
                 [&](const core::CommandFinished& e) { apply_finished(e, seen.at); },
                 [&](const core::EngineStarted&) {
                   // Whatever was in flight is in doubt and gets a command of its own again.
                   for (auto& [id, command] : commands) {
                     const auto of = recoveries.find(command.recovery);
                     if (of == recoveries.end() || command.row.part != "step") continue;
                     of->second.steps[command.row.index].possibly = true;
                     of->second.steps[command.row.index].open = false;
                   }
                   commands.clear();
                 },
                 [&](const core::OperatorApprove& e) {
                   const auto of = recoveries.find(e.recovery.value);
                   if (of == recoveries.end()) return;
                   const bool waiting = of->second.state == core::RecoveryState::AwaitingApproval;
                   if (waiting && e.plan_hash == of->second.asked_hash)
                     of->second.approved_at = seen.at;
                 },
                 [&](const core::OperatorSetMode& e) {
                   if (!e.service) mode = e.mode;
                   for_services(e.service, [&](BookService& s) { s.mode = e.mode; });
                 },
                 [&](const core::OperatorKillSwitch& e) { kill_switch = e.on; },
                 [&](const core::OperatorMaintenance& e) {
                   const Instant until = e.start ? e.until : Instant::min();
                   if (!e.service) maintenance_until = until;
                   for_services(e.service, [&](BookService& s) { s.maintenance_until = until; });
                 },
                 [&](const core::OperatorResetBreaker& e) {
                   if (e.playbook) playbook_open.at(e.playbook->value) = false;
                   for_services(e.service, [&](BookService& s) { s.breaker_open = false; });
                 },
                 [&](const auto&) {},
             },
             *seen.event);
}

void Books::apply_command(const Seen& seen) {
  commands[seen.command.id] = {.row = seen.command,
                               .service = seen.service,
                               .recovery = seen.recovery,
                               .type = std::string(seen.type),
                               .at = seen.at};
  // The row's view of its part must not outlive the entry.
  BookCommand& kept = commands[seen.command.id];
  for (const std::string_view part : {"supervision", "checkpoint", "step", "undo", "rollback"}) {
    if (kept.row.part == part) kept.row.part = part;
  }
  if (seen.type == "stop" && seen.command.part == "supervision" && seen.service >= 0) {
    services[static_cast<std::size_t>(seen.service)].wanted = false;
  }
  const bool starts_it = seen.type == "start" || seen.type == "restart";
  if (starts_it && seen.command.part == "supervision" && seen.service >= 0) {
    services[static_cast<std::size_t>(seen.service)].wanted = true;
  }
  const auto of = recoveries.find(seen.recovery);
  if (of == recoveries.end()) return;
  if (seen.command.part == "step") of->second.steps[seen.command.index].open = true;
  if (seen.command.part == "undo") {
    of->second.steps[seen.command.index].undone = true;
    of->second.last_undo = seen.command.index;
  }
}

void Books::apply_state(const Seen& seen, BookRecovery& recovery) {
  const bool start = is_start(seen);
  recovery.state = *seen.to;
  if (start) {
    recovery.started_at = seen.at;
    starts.push_back(seen.at);
    const auto found = incidents.find(recovery.incident);
    if (found != incidents.end()) {
      if (!recovery.requested) ++found->second.starts;
      found->second.tried.push_back(recovery.playbook);
      found->second.suppressed = false;
    }
  }
  const bool over = core::is_over(recovery.state);
  if (over && recovery.started_at != kNever) {
    last_ended[{recovery.service, recovery.playbook}] = seen.at;
  }
  if (recovery.state == core::RecoveryState::Rejected) {
    const auto found = incidents.find(recovery.incident);
    if (found != incidents.end()) found->second.refused.push_back(recovery.playbook);
  }
}

void Books::apply_notice(const Seen& seen) {
  if (seen.type == "recovery:planned") {
    BookRecovery made;
    made.incident = seen.incident;
    made.service = seen.service;
    made.playbook = index_of(seen.message.substr(0, seen.message.find(' ')));
    made.requested = seen.says("asked for by");
    made.planned_at = seen.at;
    recoveries[seen.recovery] = std::move(made);
    return;
  }
  const auto of = recoveries.find(seen.recovery);
  if (of != recoveries.end()) {
    if (seen.to) apply_state(seen, of->second);
    if (seen.type == "recovery:approval_required") {
      of->second.asked_at = seen.at;
      of->second.approved_at = kNever;
      const std::size_t at = seen.message.rfind("; plan ");
      if (at != std::string_view::npos) of->second.asked_hash = number(seen.message.substr(at + 7));
    }
    return;
  }
  if (seen.type == "incident:opened") {
    BookIncident& opened = incidents[seen.incident];
    opened.service = seen.service;
    opened.breaker_opened =
        seen.service >= 0 && services.at(static_cast<std::size_t>(seen.service)).tripped;
  }
  const auto incident_at = incidents.find(seen.incident);
  if (incident_at != incidents.end()) {
    if (seen.type == "incident:resolved") incident_at->second.open = false;
    if (seen.type == "incident:suppressed") incident_at->second.suppressed = true;
    if (seen.type == "incident:escalated") incident_at->second.escalated = true;
  }
  if (seen.type == "storm:entered") storm = true, storm_since = seen.at;
  if (seen.type == "storm:left") storm = false;
  if (seen.type == "playbook:breaker_open") {
    const int book = index_of(seen.message.substr(0, seen.message.find(' ')));
    playbook_open.at(static_cast<std::size_t>(book)) = true;
  }
  if (seen.service < 0) return;
  BookService& service = services.at(static_cast<std::size_t>(seen.service));
  if (seen.type == "circuit:open") {
    service.breaker_open = true;
    service.tripped = true;
    for (auto& [id, each] : incidents) {
      if (each.open && each.service == seen.service) each.breaker_opened = true;
    }
  }
  if (seen.type == "circuit:closed" || seen.type == "circuit:half-open")
    service.breaker_open = false;
  if (seen.type == "circuit:closed") service.tripped = false;
  if (seen.type == "operator:quarantine") service.quarantined = true;
  if (seen.type == "operator:release") service.quarantined = false;
}

core::Mode Books::mode_of(int service) const {
  const auto at = static_cast<std::size_t>(service);
  core::Mode lowest = mode.value_or(policy->recovery.mode);
  if (const auto own = policy->services.at(at).mode) lowest = std::min(lowest, *own);
  if (const auto set = services.at(at).mode) lowest = std::min(lowest, *set);
  return lowest;
}

bool Books::in_maintenance(int service, Instant now) const {
  return now < maintenance_until ||
         now < services.at(static_cast<std::size_t>(service)).maintenance_until;
}

std::uint32_t Books::in_effect() const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(recoveries, [](const auto& each) { return each.second.in_effect(); }));
}

std::uint32_t Books::unhealthy() const {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      incidents, [](const auto& each) { return each.second.open && !each.second.suppressed; }));
}

std::uint32_t Books::open_incidents() const {
  return static_cast<std::uint32_t>(
      std::ranges::count_if(incidents, [](const auto& each) { return each.second.open; }));
}

const BookRecovery* Books::recovery(std::uint64_t id) const {
  const auto found = recoveries.find(id);
  return found == recoveries.end() ? nullptr : &found->second;
}

const BookIncident* Books::incident(std::uint64_t id) const {
  const auto found = incidents.find(id);
  return found == incidents.end() ? nullptr : &found->second;
}

const BookIncident* Books::open_incident_of(int service) const {
  for (const auto& [id, each] : incidents) {
    if (each.open && each.service == service) return &each;
  }
  return nullptr;
}

bool Books::is_start(const Seen& seen) const {
  if (!seen.to) return false;
  const BookRecovery* of = recovery(seen.recovery);
  if (of == nullptr || of->state != core::RecoveryState::Planned) return false;
  return *seen.to == core::RecoveryState::Checkpointing || *seen.to == core::RecoveryState::Running;
}

}  // namespace recover::sim
