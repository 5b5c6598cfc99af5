#include "core/turn.h"

#include <algorithm>
#include <array>
#include <charconv>

#include "core/hold.h"

namespace recover::core {

Incident* Turn::incident(IncidentId id) {
  const auto found = state.incidents.find(id);
  return found == state.incidents.end() ? nullptr : &found->second;
}

Recovery* Turn::recovery(RecoveryId id) {
  const auto found = state.recoveries.find(id);
  return found == state.recoveries.end() ? nullptr : &found->second;
}

Recovery* Turn::active_recovery(ServiceIndex service) {
  for (const RecoveryId id : state.active) {
    Recovery* found = recovery(id);
    if (found != nullptr && found->service == service) return found;
  }
  return nullptr;
}

Notice& Turn::notice(std::string type, Severity severity, std::string message) {
  moved = true;
  return out.notices.emplace_back(Notice{.type = std::move(type),
                                         .severity = severity,
                                         .service = std::nullopt,
                                         .incident = {},
                                         .recovery = {},
                                         .actor = {},
                                         .message = std::move(message),
                                         .reasons = {}});
}

Notice& Turn::notice(std::string type, Severity severity, ServiceIndex service,
                     std::string message) {
  Notice& added = notice(std::move(type), severity, std::move(message));
  added.service = service;
  added.incident = seen(service).incident;
  return added;
}

void Turn::look(ServiceIndex service) {
  if (policy.service(service).probes.empty()) return;
  const bool asked = std::ranges::any_of(
      out.probes, [service](const ProbeRequest& request) { return request.service == service; });
  if (!asked) out.probes.push_back({service});
}

CommandId Turn::send(Command command) {
  moved = true;
  command.id = CommandId{state.next_command++};
  ServiceHealth& target = health(command.service);
  command.epoch = ++target.epoch;
  command.held = held_instances(target);
  state.in_flight.emplace(command.id, command);
  if (wakes != nullptr) wakes->expect(command.id, command.deadline);
  out.commands.push_back(std::move(command));
  return out.commands.back().id;
}

void Turn::cancel(CommandId command) {
  if (state.in_flight.contains(command)) out.cancels.push_back(command);
}

// No catch_up(): whoever asks may be in the middle of changing what it has touched.
std::uint32_t Turn::services() const {
  return wakes == nullptr ? count_services(policy) : wakes->services(policy);
}

std::uint32_t Turn::due_service(std::uint32_t from) {
  if (wakes == nullptr) return from < state.services.size() ? from : Wakes::kNone;
  wakes->catch_up(policy, state);
  return wakes->due(from, now);
}

Command supervision_command(const Policy& policy, ServiceIndex service, ActionKind action,
                            Instant now) {
  constexpr Duration kDefaultTimeout = minutes{2};  // Of what names no timeout of its own.
  Duration timeout = kDefaultTimeout;
  if (const RunSpec* run = std::get_if<RunSpec>(&policy.service(service).spec)) {
    if (action == ActionKind::Start) timeout = run->ready.start_timeout;
    if (action == ActionKind::Stop) timeout = run->stop.timeout + seconds{5};
    if (action == ActionKind::Restart) {
      // One instance after the other.
      timeout = (run->ready.start_timeout * 2 + run->stop.timeout + seconds{5}) *
                std::max(run->scale_max, 1U);
    }
  }
  Command command;
  command.service = service;
  command.action = action;
  command.deadline = saturating_add(now, timeout);
  return command;
}

void add_reason(std::vector<Reason>& reasons, Reason reason) {
  if (std::ranges::find(reasons, reason) != reasons.end()) return;
  if (reasons.size() == kReasonsMax) reasons.erase(reasons.begin());
  reasons.push_back(std::move(reason));
}

std::string shown(Duration duration) {
  using std::chrono::duration_cast;
  if (duration < seconds{1})
    return std::to_string(duration_cast<milliseconds>(duration).count()) + "ms";
  const std::int64_t total = duration_cast<seconds>(duration).count();
  constexpr auto kUnits = std::to_array<std::pair<std::int64_t, char>>(
      {{86'400, 'd'}, {3'600, 'h'}, {60, 'm'}, {1, 's'}});
  std::string shown;
  std::int64_t left = total;
  for (const auto& [length, name] : kUnits) {
    if (left < length) continue;
    if (!shown.empty()) shown += ' ';
    shown += std::to_string(left / length) + name;
    left %= length;
  }
  return shown;
}

std::string shown(double number) {
  std::array<char, 32> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), number,
                                 std::chars_format::general, 3);
  return {digits.data(), end.ptr};
}

std::string text(std::initializer_list<std::string_view> parts) {
  std::size_t size = 0;
  for (const std::string_view part : parts) size += part.size();
  std::string joined;
  joined.reserve(size);
  for (const std::string_view part : parts) joined += part;
  return joined;
}

}  // namespace recover::core
