// What the tests of the state machine share: a small configuration, a machine in each state, and
// events as text.
#pragma once

#include <sstream>
#include <string>

#include <recover/circuit_breaker_machine.h>

namespace recover::circuitbreaker {

inline constexpr Instant kStart{std::chrono::seconds{1000}};

// Two calls are enough, and two of two failed are too many; open for 60 s, half-open for 30 s.
inline CircuitBreakerConfig table_config() {
  using namespace std::chrono_literals;
  return {.sliding_window = {.size = 2},
          .minimum_calls = 2,
          .failure_rate_threshold = 60,
          .slow_call_duration_threshold = 0s,
          .wait_in_open = {.initial = 60s},
          .permitted_calls_in_half_open = 2,
          .half_open_max_wait = 30s};
}

// On the brink in every state that counts: one failure is in, another one decides. In HalfOpen one
// permit is still out.
inline StateMachine machine_in(State state, const CircuitBreakerConfig& config) {
  StateMachine machine(config, kStart);
  if (state != State::Closed) machine.transition_to(state, kStart);
  const Admission first = machine.try_acquire(kStart);
  if (first.permitted) machine.record(first.generation, Outcome::Failure, Duration{0}, kStart);
  if (state == State::HalfOpen) machine.try_acquire(kStart);
  return machine;
}

inline std::string text_of(const Events& events) {
  std::ostringstream text;
  for (const Event& event : events) {
    switch (event.kind) {
      case Event::Kind::StateTransition:
        text << " -> " << to_string(event.to) << ": " << to_string(event.cause);
        break;
      case Event::Kind::FailureRateExceeded: text << " !failure_rate"; break;
      case Event::Kind::SlowCallRateExceeded: text << " !slow_call_rate"; break;
      case Event::Kind::Reset: text << " !reset"; break;
    }
  }
  return text.str();
}

}  // namespace recover::circuitbreaker
