// One step of the engine as its pieces see it: the policy, the state to change, the time, and where
// decisions go. Lives for one step; what it hands out refers to the state.
#pragma once

#include <initializer_list>
#include <string>
#include <utility>
#include <vector>

#include <recover/check.h>
#include <recover/time.h>

#include "core/command.h"
#include "core/policy.h"
#include "core/state.h"
#include "core/wakes.h"

namespace recover::core {

struct Turn {
  const Policy& policy;
  State& state;
  Instant now;
  Output& out;
  Wakes* wakes = nullptr;  // Hears what is touched; null: nobody asks.
  bool moved = false;      // A piece decided something, so the others look again.

  // To be changed, so whoever keeps deadlines looks at it again. Every change goes through here; a
  // piece that only reads uses seen().
  ServiceHealth& health(ServiceIndex service) {
    if (wakes != nullptr) wakes->touch(service);
    return state.services.at(service.value);
  }
  // The same to be read only: nobody has to look at it again for that.
  const ServiceHealth& seen(ServiceIndex service) const { return state.services.at(service.value); }
  const ServicePolicy& service(ServiceIndex service) const { return policy.service(service); }
  // nullptr: none, or no longer remembered.
  Incident* incident(IncidentId id);
  Recovery* recovery(RecoveryId id);
  // The recovery of the service that is planned, waiting or in effect; nullptr: none.
  Recovery* active_recovery(ServiceIndex service);

  Notice& notice(std::string type, Severity severity, std::string message);
  Notice& notice(std::string type, Severity severity, ServiceIndex service, std::string message);
  void look(ServiceIndex service);  // At most one request a service and step.
  // Numbers the command, makes older ones for the target stale, and sends it.
  CommandId send(Command command);
  // Asks a command in flight to give up; its CommandFinished is awaited.
  void cancel(CommandId command);
  // How many services there are, without backups.
  std::uint32_t services() const;
  // The first service from `from` on that waits to be started or whose deadline has come;
  // Wakes::kNone: no other.
  std::uint32_t due_service(std::uint32_t from);
};

// A command of no playbook: start, stop, reload, a checkpoint.
Command supervision_command(const Policy& policy, ServiceIndex service, ActionKind action,
                            Instant now);

// How long after its deadline a command without an answer counts as lost.
inline constexpr Duration kLostAfter = seconds{30};
// Reasons remembered with one incident or recovery.
inline constexpr std::size_t kReasonsMax = 64;
void add_reason(std::vector<Reason>& reasons, Reason reason);

// "2m 30s", "450ms": for people.
std::string shown(Duration duration);
std::string shown(double number);

// The words one after the other.
std::string text(std::initializer_list<std::string_view> parts);

}  // namespace recover::core
