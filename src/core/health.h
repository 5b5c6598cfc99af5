// From probes (looks.h) and process events to the state of a service: start phase, crashes, state.
//
// Reports symptoms to incident.h and decides nothing about recovery.
#pragma once

#include <cstdint>

#include "core/event.h"
#include "core/turn.h"

namespace recover::core {

struct InstanceCount {
  std::uint32_t wanted = 0;  // 0: nobody tells us of its processes.
  std::uint32_t up = 0;
  std::uint32_t starting = 0;
  bool ever = false;  // One has run before.
};
InstanceCount count_instances(const ServiceHealth& health) noexcept;
// As many as are desired; those that are over and still run are kept until they have ended.
void fit_instances(ServiceHealth& health);

// Everything that can be seen of it is as it should be. Says nothing about quarantine.
bool is_well(const Policy& policy, const State& state, ServiceIndex service) noexcept;
// Every instance runs and is ready; true when nobody tells us of its processes.
bool is_up(const ServiceHealth& health) noexcept;

// What the parts of the state add up to. Pure.
ServiceState derive_state(const Policy& policy, const State& state, ServiceIndex service) noexcept;

// Each returns whether anything changed.
bool on_process_started(Turn& turn, const ProcessStarted& event);
bool on_process_ready(Turn& turn, const ProcessReady& event);
bool on_process_exited(Turn& turn, const ProcessExited& event);
bool on_time_extended(Turn& turn, const TimeExtended& event);
bool on_watchdog_expired(Turn& turn, const WatchdogExpired& event);

// One of it has passed the gates and is not over.
bool has_recovery_in_effect(const State& state, ServiceIndex service) noexcept;

// Derives the state again and tells when it changed; reports what fails.
void refresh(Turn& turn, ServiceIndex service);
// From now on it is starting, until `within` has passed.
void begin_start(Turn& turn, ServiceIndex service, Duration within);
// What of health is due by time: starts that took too long, flapping that calmed down.
void advance_health(Turn& turn);

Duration start_timeout(const ServicePolicy& service) noexcept;

// Bound of what one service may have, whatever events say.
inline constexpr std::uint32_t kInstancesMax = 1'024;

}  // namespace recover::core
