#include "core/health.h"

#include <algorithm>

#include "core/breaker.h"
#include "core/classify.h"
#include "core/flapping.h"
#include "core/incident.h"
#include "core/last_good.h"

namespace recover::core {
namespace {

InstanceHealth* instance_of(ServiceHealth& health, std::uint32_t index) {
  return index < health.instances.size() ? &health.instances[index] : nullptr;
}

InstanceHealth& instance_made(ServiceHealth& health, std::uint32_t index) {
  if (index >= health.instances.size()) health.instances.resize(index + 1);
  return health.instances[index];
}

bool shows_starting(ServiceState state) {
  return state == ServiceState::Starting || state == ServiceState::Stopped ||
         state == ServiceState::Quarantined;
}

// Changes between these count as flapping; starts and stops by wish do not.
bool is_judged(ServiceState state) {
  return state == ServiceState::Healthy || state == ServiceState::Degraded ||
         state == ServiceState::Failed || state == ServiceState::Recovering;
}

struct ProbeCount {
  std::size_t passing = 0;
  std::size_t failing = 0;
  std::size_t partial = 0;  // Failing, but the service answers.
};
ProbeCount count_probes(const ServiceHealth& health) noexcept {
  ProbeCount count;
  for (const ProbeHealth& probe : health.probes) {
    if (probe.state == ProbeState::Passing) ++count.passing;
    if (probe.state != ProbeState::Failing) continue;
    ++count.failing;
    if (is_partial(probe.symptom)) ++count.partial;
  }
  return count;
}

ServiceState state_by_probes(const ServiceHealth& health, bool all_up) noexcept {
  const ProbeCount count = count_probes(health);
  if (count.failing > 0) {
    const bool failed = count.failing == health.probes.size() && count.partial < count.failing;
    return failed ? ServiceState::Failed : ServiceState::Degraded;
  }
  if (count.passing < health.probes.size()) return ServiceState::Unknown;
  return all_up ? ServiceState::Healthy : ServiceState::Degraded;
}

struct ChangeText {
  std::string_view type;
  Severity severity;
};
ChangeText text_of(ServiceState from, ServiceState to, bool had_incident) {
  switch (to) {
    case ServiceState::Unknown: return {"service:unknown", Severity::Low};
    case ServiceState::Starting: return {"service:starting", Severity::Low};
    case ServiceState::Healthy: {
      const bool recovered = had_incident || (is_judged(from) && from != to);
      return {recovered ? "service:recovered" : "service:healthy", Severity::Low};
    }
    case ServiceState::Degraded: return {"service:degraded", Severity::Medium};
    case ServiceState::Failed: return {"service:failed", Severity::High};
    case ServiceState::Recovering: return {"service:recovering", Severity::Medium};
    case ServiceState::Quarantined: return {"service:quarantined", Severity::Medium};
    case ServiceState::Stopped: return {"service:stopped", Severity::Low};
  }
  return {"service:unknown", Severity::Low};
}

void change_state(Turn& turn, ServiceIndex service, ServiceState next) {
  ServiceHealth& health = turn.health(service);
  const ServiceState last = health.state;
  health.state = next;
  health.since = turn.now;
  health.healthy_since = next == ServiceState::Healthy ? turn.now : kNever;
  const ChangeText change = text_of(last, next, static_cast<bool>(health.incident));
  turn.notice(
      std::string(change.type), change.severity, service,
      text({turn.service(service).name, " is ", to_string(next), ", was ", to_string(last)}));
  const bool turned = (last == ServiceState::Healthy) != (next == ServiceState::Healthy);
  // What our own start, stop, restart or scale does to it says nothing about it.
  const bool ours = static_cast<bool>(health.supervision);
  if (turned && !ours && is_judged(last) && is_judged(next)) note_flapping(turn, service);
}

void report_probes(Turn& turn, ServiceIndex service) {
  const ServiceHealth& health = turn.seen(service);
  if (shows_starting(health.state)) return;
  const ProbeCount count = count_probes(health);
  if (count.failing == 0) return;
  // One passing probe is enough where not all checks are required.
  if (!turn.policy.require_all_checks && count.passing > 0) return;
  for (std::size_t index = 0; index < health.probes.size(); ++index) {
    const ProbeHealth& probe = health.probes[index];
    if (probe.state != ProbeState::Failing) continue;
    report(turn, service,
           {.symptom = probe.symptom,
            .failure = probe.failure,
            .detail = probe.detail,
            .began_at = probe.first_failure == kNever ? turn.now : probe.first_failure});
  }
}

// Of a service that should run and has no instance up.
ServiceState state_when_down(const ServiceHealth& health, const InstanceCount& count) noexcept {
  if (count.starting > 0 || health.start_deadline != kNever) return ServiceState::Starting;
  return count.ever || health.incident ? ServiceState::Failed : ServiceState::Unknown;
}

// The third unexpected end of one instance within the breaker's window. Other failures of the
// service, and instances that end together, are no loop.
bool is_crash_loop(const Turn& turn, InstanceHealth& instance) {
  const Instant oldest = instance.crashes.back();
  instance.crashes = {turn.now, instance.crashes.front()};
  return oldest != Instant::min() &&
         saturating_add(oldest, turn.policy.safety.circuit_breaker.window) > turn.now;
}

void end_start_overdue(Turn& turn, ServiceIndex service) {
  const ServiceHealth& health = turn.seen(service);
  if (health.start_deadline > turn.now) return;
  turn.health(service).start_deadline = kNever;
  turn.moved = true;
  if (is_up(health)) return;
  report(turn, service,
         {.symptom = Symptom::StartFailed,
          .detail = text({"not ready within ", shown(start_timeout(turn.service(service)))}),
          .began_at = turn.now});
}

}  // namespace

bool has_recovery_in_effect(const State& state, ServiceIndex service) noexcept {
  return std::ranges::any_of(state.active, [&](RecoveryId id) {
    const auto found = state.recoveries.find(id);
    return found != state.recoveries.end() && found->second.service == service &&
           found->second.started_at != kNever;
  });
}

InstanceCount count_instances(const ServiceHealth& health) noexcept {
  InstanceCount count;
  count.wanted = health.desired;
  // Without a number of ours, as many as were ever told of.
  const std::size_t considered =
      health.desired > 0 ? std::min<std::size_t>(health.desired, health.instances.size())
                         : health.instances.size();
  if (health.desired == 0) count.wanted = static_cast<std::uint32_t>(considered);
  for (std::size_t index = 0; index < considered; ++index) {
    const InstanceHealth& instance = health.instances[index];
    if (instance.held) {
      --count.wanted;
      continue;
    }
    if (instance.state == InstanceState::Up && !instance.hung) ++count.up;
    if (instance.state == InstanceState::Starting) ++count.starting;
    count.ever = count.ever || instance.incarnation.pid != 0;
  }
  return count;
}

void fit_instances(ServiceHealth& health) {
  while (health.instances.size() > health.desired &&
         health.instances.back().state == InstanceState::Down) {
    health.instances.pop_back();
  }
  if (health.instances.size() < health.desired) health.instances.resize(health.desired);
}

bool is_up(const ServiceHealth& health) noexcept {
  const InstanceCount count = count_instances(health);
  return count.up == count.wanted;
}

bool is_well(const Policy& policy, const State& state, ServiceIndex service) noexcept {
  const ServiceHealth& health = state.services[service.value];
  if (!is_up(health)) return false;
  if (health.probes.empty()) return count_instances(health).wanted > 0;
  const ProbeCount count = count_probes(health);
  if (policy.require_all_checks) return count.passing == health.probes.size();
  return count.passing > 0;
}

ServiceState derive_state(const Policy& policy, const State& state, ServiceIndex service) noexcept {
  const ServiceHealth& health = state.services[service.value];
  if (health.quarantined) return ServiceState::Quarantined;
  if (has_recovery_in_effect(state, service)) return ServiceState::Recovering;
  const InstanceCount count = count_instances(health);
  if (!health.wanted && count.up == 0 && count.starting == 0) return ServiceState::Stopped;
  const bool in_start = health.start_deadline != kNever;
  if (count.wanted > 0 && count.up == 0) return state_when_down(health, count);
  if (in_start && !is_well(policy, state, service)) return ServiceState::Starting;
  if (count.wanted == 0 && health.probes.empty()) return ServiceState::Unknown;
  return state_by_probes(health, count.up == count.wanted);
}

Duration start_timeout(const ServicePolicy& service) noexcept {
  constexpr Duration kDefaultStartTimeout = seconds{30};
  const RunSpec* run = std::get_if<RunSpec>(&service.spec);
  return run == nullptr ? kDefaultStartTimeout : run->ready.start_timeout;
}

void begin_start(Turn& turn, ServiceIndex service, Duration within) {
  ServiceHealth& health = turn.health(service);
  health.start_deadline = saturating_add(turn.now, within);
  health.grace_until = saturating_add(turn.now, turn.service(service).start_grace);
  note_state_read(turn, service);
}

bool on_process_started(Turn& turn, const ProcessStarted& event) {
  ServiceHealth& health = turn.health(event.service);
  if (event.instance >= kInstancesMax) return false;
  InstanceHealth& instance = instance_made(health, event.instance);
  const bool same = instance.incarnation == event.incarnation;
  if (event.adopted && same) {
    // Its end is known already, and is about to be told once more.
    if (instance.state == InstanceState::Down) return false;
    instance.adopted = true;  // We came back; it never noticed.
    return true;
  }
  if (!event.adopted) {
    if (instance.incarnation.pid != 0) ++instance.restarts;
    // What was seen of the process before says nothing about this one.
    if (count_instances(health).up <= (instance.state == InstanceState::Up ? 1U : 0U)) {
      for (ProbeHealth& probe : health.probes) probe = ProbeHealth{};
    }
    health.counts_from = turn.now;
    begin_start(turn, event.service, start_timeout(turn.service(event.service)));
  }
  instance.state = event.adopted ? InstanceState::Up : InstanceState::Starting;
  instance.incarnation = event.incarnation;
  instance.since = turn.now;
  instance.hung = false;
  instance.adopted = event.adopted;
  health.start_pending = false;
  refresh(turn, event.service);
  return true;
}

bool on_process_ready(Turn& turn, const ProcessReady& event) {
  InstanceHealth* instance = instance_of(turn.health(event.service), event.instance);
  if (instance == nullptr || instance->incarnation != event.incarnation) return false;
  if (instance->state != InstanceState::Starting) return false;
  instance->state = InstanceState::Up;
  instance->since = turn.now;
  turn.look(event.service);
  refresh(turn, event.service);
  return true;
}

bool on_process_exited(Turn& turn, const ProcessExited& event) {
  ServiceHealth& health = turn.health(event.service);
  InstanceHealth* instance = instance_of(health, event.instance);
  if (instance == nullptr || instance->incarnation != event.incarnation) return false;
  if (instance->state == InstanceState::Down) return false;
  instance->state = InstanceState::Down;
  instance->since = turn.now;
  instance->exit_code = event.code;
  instance->exit_signal = event.signal;
  instance->hung = false;
  const bool surplus = instance->held || (health.desired > 0 && event.instance >= health.desired);
  if (!event.expected && health.wanted && !surplus) {
    const std::string how = event.signal != 0 ? text({"signal ", std::to_string(event.signal)})
                                              : text({"exit status ", std::to_string(event.code)});
    health.start_deadline = kNever;
    report(turn, event.service,
           {.symptom = Symptom::ProcessCrash,
            .detail = text({"pid ", std::to_string(event.incarnation.pid), " ended with ", how,
                            event.output.empty() ? "" : "; last output:\n", event.output}),
            .began_at = turn.now});
    if (is_crash_loop(turn, *instance)) {
      report(turn, event.service,
             {.symptom = Symptom::CrashLoop,
              .detail = text({"it ended three times within ",
                              shown(turn.policy.safety.circuit_breaker.window)}),
              .began_at = turn.now});
    }
  }
  refresh(turn, event.service);
  return true;
}

bool on_time_extended(Turn& turn, const TimeExtended& event) {
  constexpr Duration kExtensionMax = hours{24};
  ServiceHealth& health = turn.health(event.service);
  const Instant until = saturating_add(turn.now, std::min(event.by, kExtensionMax));
  bool changed = false;
  const auto extend = [&](Instant& deadline) {
    if (deadline >= until) return;
    deadline = until;
    changed = true;
  };
  if (health.start_deadline != kNever) extend(health.start_deadline);
  for (auto& [id, command] : turn.state.in_flight) {
    const bool waits = command.action == ActionKind::Start || command.action == ActionKind::Stop ||
                       command.action == ActionKind::Restart || command.action == ActionKind::Scale;
    if (command.service == event.service && waits) extend(command.deadline);
  }
  return changed;
}

bool on_watchdog_expired(Turn& turn, const WatchdogExpired& event) {
  InstanceHealth* instance = instance_of(turn.health(event.service), event.instance);
  if (instance == nullptr || instance->hung || instance->state == InstanceState::Down) return false;
  if (instance->held) return false;  // It is to end, not to be well.
  instance->hung = true;
  report(turn, event.service,
         {.symptom = Symptom::WatchdogTimeout, .detail = "no sign of life", .began_at = turn.now});
  refresh(turn, event.service);
  return true;
}

void refresh(Turn& turn, ServiceIndex service) {
  const ServiceHealth& health = turn.seen(service);
  if (health.start_deadline != kNever && is_well(turn.policy, turn.state, service)) {
    turn.health(service).start_deadline = kNever;
  }
  const ServiceState next = derive_state(turn.policy, turn.state, service);
  if (next != health.state) change_state(turn, service, next);
  report_probes(turn, service);
}

void advance_health(Turn& turn) {
  for (std::uint32_t index = 0; index < turn.state.services.size(); ++index) {
    const ServiceIndex service{index};
    end_start_overdue(turn, service);
    calm_flapping(turn, service);
    refresh(turn, service);
  }
}

}  // namespace recover::core
