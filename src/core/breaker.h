// The breaker of a service: after too many failures within a window no recovery is tried, until a
// pause has passed; then one trial at a time.
#pragma once

#include "core/turn.h"

namespace recover::core {

// An incident opened, a recovery failed, a service flaps.
void record_breaker_failure(Turn& turn, ServiceIndex service);
void record_breaker_success(Turn& turn, ServiceIndex service);
// The one recovery a half-open breaker allowed has failed.
void fail_breaker_trial(Turn& turn, ServiceIndex service);
// Open becomes half-open once its pause is over. Asked before every attempt.
void advance_breaker(Turn& turn, ServiceIndex service);
void reset_breaker(Turn& turn, ServiceIndex service, const std::string& actor);

// When a half-open breaker closes because the service stayed healthy; kNever: not by time.
Instant breaker_deadline(const Policy& policy, const ServiceHealth& health) noexcept;

}  // namespace recover::core
