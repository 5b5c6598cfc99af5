// The life of a recovery: planned, gated, approved, run (saga.h), ended, and what follows from it.
//
// Every change of its state goes through recovery_table.h.
#pragma once

#include <string>

#include "core/recovery_table.h"
#include "core/turn.h"

namespace recover::core {

// The next attempt for an incident that needs one, or its escalation.
void plan_recovery(Turn& turn, Incident& incident);
// With this playbook, asked for by an operator.
void plan_requested(Turn& turn, Incident& incident, std::optional<PlaybookIndex> playbook,
                    const std::string& actor);

// Moves every recovery that has not ended.
void advance_recoveries(Turn& turn);

// Of one that has not started.
void reject(Turn& turn, Recovery& recovery, Rule rule, const std::string& why);

bool on_approve(Turn& turn, const OperatorApprove& event);
bool on_reject(Turn& turn, const OperatorReject& event);

// The recovery goes on in the state the table says; Notice "recovery:action".
void signal(Turn& turn, Recovery& recovery, Signal signal, const std::string& why);
// The same into an end, with all that follows: learning, breaker, the incident, the next attempt.
void end(Turn& turn, Recovery& recovery, Signal signal, Rule rule, const std::string& why);

Instant recovery_deadline(const Policy& policy, const Recovery& recovery) noexcept;

}  // namespace recover::core
