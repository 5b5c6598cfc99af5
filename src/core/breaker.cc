#include "core/breaker.h"

#include <algorithm>

namespace recover::core {
namespace {

void change(Turn& turn, ServiceIndex service, BreakerState next, const std::string& why) {
  ServiceHealth& health = turn.health(service);
  health.breaker = next;
  health.breaker_trials = 0;
  const Severity severity = next == BreakerState::Open ? Severity::High : Severity::Low;
  turn.notice(
      text({"circuit:", to_string(next)}), severity, service,
      text({"breaker of ", turn.service(service).name, " is ", to_string(next), ": ", why}));
}

void forget_old_failures(Turn& turn, ServiceHealth& health) {
  std::erase_if(health.breaker_failures, [&turn](Instant at) {
    return saturating_add(at, turn.policy.safety.circuit_breaker.window) <= turn.now;
  });
}

void open(Turn& turn, ServiceIndex service, const std::string& why) {
  const Duration pause = turn.policy.safety.circuit_breaker.reset_timeout;
  turn.health(service).breaker_until = saturating_add(turn.now, pause);
  change(turn, service, BreakerState::Open, why);
}

}  // namespace

void record_breaker_failure(Turn& turn, ServiceIndex service) {
  ServiceHealth& health = turn.health(service);
  const BreakerPolicy& breaker = turn.policy.safety.circuit_breaker;
  const std::size_t threshold = std::max(breaker.failure_threshold, 1U);
  forget_old_failures(turn, health);
  if (health.breaker_failures.size() >= threshold) {
    health.breaker_failures.erase(health.breaker_failures.begin());
  }
  health.breaker_failures.push_back(turn.now);
  if (health.breaker == BreakerState::Closed && health.breaker_failures.size() >= threshold) {
    open(turn, service,
         text({std::to_string(threshold), " failures within ", shown(breaker.window)}));
  }
}

void record_breaker_success(Turn& turn, ServiceIndex service) {
  ServiceHealth& health = turn.health(service);
  if (health.breaker != BreakerState::HalfOpen) return;
  const std::uint32_t wanted = turn.policy.safety.circuit_breaker.half_open_requests;
  if (++health.breaker_trials < wanted) return;
  health.breaker_failures.clear();
  change(turn, service, BreakerState::Closed, text({std::to_string(wanted), " trials succeeded"}));
}

void fail_breaker_trial(Turn& turn, ServiceIndex service) {
  if (turn.health(service).breaker != BreakerState::HalfOpen) return;
  open(turn, service, "the trial failed");
}

void advance_breaker(Turn& turn, ServiceIndex service) {
  if (turn.seen(service).breaker == BreakerState::Closed) return;
  ServiceHealth& health = turn.health(service);
  if (health.breaker == BreakerState::Open && health.breaker_until <= turn.now) {
    change(turn, service, BreakerState::HalfOpen, "its pause is over");
  }
  if (breaker_deadline(turn.policy, health) <= turn.now) {
    health.breaker_failures.clear();
    change(turn, service, BreakerState::Closed, "the service stayed healthy");
  }
}

void reset_breaker(Turn& turn, ServiceIndex service, const std::string& actor) {
  ServiceHealth& health = turn.health(service);
  health.breaker_failures.clear();
  if (health.breaker == BreakerState::Closed) return;
  change(turn, service, BreakerState::Closed, text({"reset by ", actor}));
}

Instant breaker_deadline(const Policy& policy, const ServiceHealth& health) noexcept {
  if (health.breaker == BreakerState::Closed || health.healthy_since == kNever) return kNever;
  // Healthy for a whole window, and the pause is over: nothing left to protect from.
  return std::max(health.breaker_until,
                  saturating_add(health.healthy_since, policy.safety.circuit_breaker.window));
}

}  // namespace recover::core
