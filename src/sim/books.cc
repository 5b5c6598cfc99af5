#include "sim/books.h"

#include <algorithm>
#include <charconv>

#include "base/overloaded.h"
#include "core/recovery_table.h"

namespace recover::sim {
namespace {

template <class T = std::uint64_t>
T number(std::string_view text) {
  T value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

int index_of(std::string_view name) {
  return name.size() < 2 ? -1 : number<int>(name.substr(1));
}

template <class Event>
int service_of(const Event& event) {
  if constexpr (requires { event.service.value; }) {
    return static_cast<int>(event.service.value);
  } else if constexpr (requires { event.service->value; }) {
    return event.service ? static_cast<int>(event.service->value) : -1;
  } else {
    return -1;
  }
}

template <class Event>
std::uint64_t recovery_of(const Event& event) {
  if constexpr (requires { event.recovery.value; }) {
    return event.recovery.value;
  } else {
    return 0;
  }
}

void read_notice(const core::Notice& notice, Seen& seen) {
  seen.notice = &notice;
  seen.type = notice.type;
  seen.service = notice.service ? static_cast<int>(notice.service->value) : -1;
  seen.incident = notice.incident.value;
  seen.recovery = notice.recovery.value;
  seen.message = notice.message;
  if (notice.type != "recovery:action") return;
  const std::size_t colon = seen.message.find(": ");
  if (colon == std::string_view::npos) return;
  seen.to = core::parse<core::RecoveryState>(seen.message.substr(0, colon));
}

void read_command(const core::Command& command, Seen& seen) {
  seen.command = &command;
  seen.type = core::to_string(command.action);
  seen.service = static_cast<int>(command.service.value);
  seen.recovery = command.recovery.value;
}

void read_event(const core::Event& event, Seen& seen) {
  seen.event = &event;
  seen.type = core::name_of(event);
  std::visit(
      [&seen](const auto& each) {
        seen.service = service_of(each);
        seen.recovery = recovery_of(each);
      },
      event);
}

bool is_possible(core::CommandOutcome outcome) {
  return outcome == core::CommandOutcome::Done || outcome == core::CommandOutcome::Unknown;
}

}  // namespace

bool BookRecovery::in_effect() const {
  return started_at != kNever && !core::is_over(state);
}

bool Seen::says(std::string_view part) const {
  if (notice == nullptr) return false;
  const auto has = [part](std::string_view text) { return text.find(part) != text.npos; };
  return has(notice->message) || std::ranges::any_of(notice->reasons, [&](const auto& reason) {
           return has(reason.detail);
         });
}

Seen read(const ports::Entry& entry, const Row* row, std::uint64_t sequence) {
  Seen seen;
  seen.kind = entry.kind;
  seen.sequence = sequence;
  seen.at = entry.at;
  if (row == nullptr) {
    seen.body = entry.body;
    return seen;
  }
  std::visit(base::Overloaded{[&](const core::Event& event) { read_event(event, seen); },
                              [&](const core::Notice& notice) { read_notice(notice, seen); },
                              [&](const core::Command& command) { read_command(command, seen); }},
             *row);
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
  const core::Command& command = found->second.command;
  cause_recovery = command.recovery.value;
  const auto recovery_at = recoveries.find(command.recovery.value);
  if (recovery_at != recoveries.end()) {
    BookRecovery& of = recovery_at->second;
    if (command.part != core::Part::Checkpoint) of.last_effect_end = at;
    if (command.part == core::Part::Step) {
      BookStep& step = of.steps[command.index];
      step.open = false;
      // Settled: it never was.
      const bool settled = command.settle && step.crashed && !is_possible(event.outcome);
      step.possibly = !settled && (step.possibly || is_possible(event.outcome));
      step.crashed = false;
    }
  }
  commands.erase(found);
}

void Books::apply_event(const Seen& seen) {
  cause = seen.type;
  cause_service = seen.service;
  cause_outcome.reset();
  cause_recovery = 0;
  if (seen.event == nullptr) return;
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
                   for (auto& [id, each] : commands) {
                     const core::Command& command = each.command;
                     const auto of = recoveries.find(command.recovery.value);
                     if (of == recoveries.end() || command.part != core::Part::Step) continue;
                     BookStep& step = of->second.steps[command.index];
                     step.crashed = step.crashed || !step.possibly;
                     step.possibly = true;
                     step.open = false;
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
                   forget_playbooks(e);
                   if (e.playbook) demoted.at(e.playbook->value) = false;
                   for_services(e.service, [&](BookService& s) { s.breaker_open = false; });
                 },
                 [&](const auto&) {},
             },
             *seen.event);
}

// A playbook's breakers for every service, or what is open for the service named.
void Books::forget_playbooks(const core::OperatorResetBreaker& reset) {
  const auto meant = [&](const std::pair<int, int>& key) {
    if (reset.playbook && key.first == static_cast<int>(reset.playbook->value)) return true;
    const bool service = reset.service && key.second == static_cast<int>(reset.service->value);
    return service && playbook_open_for.contains(key);
  };
  std::erase_if(playbook_failures, [&](const auto& item) { return meant(item.first); });
  std::erase_if(playbook_worn_out, meant);
  std::erase_if(playbook_open_for, meant);
}

void Books::apply_command(const Seen& seen) {
  const core::Command& command = *seen.command;
  commands[command.id.value] = {.command = command, .at = seen.at};
  if (command.part == core::Part::Supervision) {
    BookService& service = services.at(command.service.value);
    const bool starts_it =
        command.action == core::ActionKind::Start || command.action == core::ActionKind::Restart;
    if (command.action == core::ActionKind::Stop) service.wanted = false;
    if (starts_it) service.wanted = true;
  }
  const auto of = recoveries.find(seen.recovery);
  if (of == recoveries.end()) return;
  if (command.part == core::Part::Step) {
    BookStep& step = of->second.steps[command.index];
    step.possibly = step.possibly || step.open;  // The one before got no answer.
    step.open = true;
  }
  if (command.part == core::Part::Undo) {
    of->second.steps[command.index].undone = true;
    of->second.last_undo = command.index;
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
  if (over) std::erase(active, seen.recovery);
  if (over && recovery.started_at != kNever) {
    last_ended[{recovery.service, recovery.playbook}] = seen.at;
  }
  const bool cut_short = seen.says("the mode became shadow");
  if (over && recovery.started_at != kNever && !cut_short) {
    std::uint32_t& failures = playbook_failures[{recovery.playbook, recovery.service}];
    failures = recovery.state == core::RecoveryState::Succeeded ? 0 : failures + 1;
    const std::uint32_t most = std::max(policy->safety.playbook_breaker_threshold, 1U);
    if (failures >= most) playbook_worn_out.emplace(recovery.playbook, recovery.service);
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
    if (recoveries.insert_or_assign(seen.recovery, std::move(made)).second) {
      active.push_back(seen.recovery);
    }
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
    const auto place = std::ranges::lower_bound(open, seen.incident);
    const bool known = place != open.end() && *place == seen.incident;
    if (opened.open && !known) open.insert(place, seen.incident);
  }
  const auto incident_at = incidents.find(seen.incident);
  if (incident_at != incidents.end()) {
    if (seen.type == "incident:resolved") {
      incident_at->second.open = false;
      std::erase(open, seen.incident);
    }
    if (seen.type == "incident:suppressed") incident_at->second.suppressed = true;
    if (seen.type == "incident:escalated") incident_at->second.escalated = true;
  }
  if (seen.type == "storm:entered") storm = true, storm_since = seen.at;
  if (seen.type == "storm:left") storm = false;
  if (seen.type == "playbook:demoted") {
    const int book = index_of(seen.message.substr(0, seen.message.find(' ')));
    demoted.at(static_cast<std::size_t>(book)) = true;
  }
  if (seen.type == "playbook:breaker_open") {
    const int book = index_of(seen.message.substr(0, seen.message.find(' ')));
    if (seen.service < 0) playbook_open.at(static_cast<std::size_t>(book)) = true;
    if (seen.service >= 0) playbook_open_for.emplace(book, seen.service);
  }
  if (seen.service < 0) return;
  BookService& service = services.at(static_cast<std::size_t>(seen.service));
  if (seen.type == "circuit:open") {
    service.breaker_open = true;
    service.breaker_since = seen.at;
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
  return static_cast<std::uint32_t>(std::ranges::count_if(
      active, [this](std::uint64_t id) { return recoveries.at(id).in_effect(); }));
}

std::uint32_t Books::unhealthy() const {
  return static_cast<std::uint32_t>(std::ranges::count_if(
      open, [this](std::uint64_t id) { return !incidents.at(id).suppressed; }));
}

std::uint32_t Books::open_incidents() const {
  return static_cast<std::uint32_t>(open.size());
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
  for (const std::uint64_t id : open) {
    const BookIncident& each = incidents.at(id);
    if (each.service == service) return &each;
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
