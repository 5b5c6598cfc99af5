// Circuit breakers and what is done to them, read from bytes: shared by the fuzz target and the
// property tests. Durations are few and coincide often, so that boundaries are hit often.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>

#include <recover/circuit_breaker_config.h>

#include "script.h"

namespace recover::circuitbreaker {

using test::Script;

inline SlidingWindow read_window(Script& script) {
  using std::chrono::milliseconds;
  SlidingWindow window;
  window.kind = script.pick({WindowKind::Count, WindowKind::Time, WindowKind::Count,
                             WindowKind::Time, WindowKind::Tumbling, WindowKind::None});
  window.size = 1 + script.below(9);
  window.bucket = milliseconds{5 * (1 + script.below(2))};
  window.duration = window.bucket * (1 + script.below(5));
  window.alignment = script.pick({Alignment::Epoch, Alignment::StateEntry, Alignment::Event});
  return window;
}

inline HalfOpenRule read_rule(Script& script) {
  using Kind = HalfOpenRule::Kind;
  HalfOpenRule rule;
  rule.kind = script.pick(
      {Kind::Rate, Kind::ConsecutiveSuccesses, Kind::SuccessThreshold, Kind::FailureThreshold});
  rule.n = rule.kind == Kind::Rate ? script.below(3) : 1 + script.below(3);
  rule.of = rule.n + script.below(2);
  return rule;
}

inline void read_waits(Script& script, CircuitBreakerConfig& config) {
  using std::chrono::milliseconds;
  config.wait_in_open.initial = milliseconds{5 * script.below(5)};
  config.wait_in_open.multiplier = script.pick({1.0, 2.0, 1.5});
  config.wait_in_open.max = config.wait_in_open.initial + milliseconds{script.below(60)};
  config.wait_in_open.jitter = script.pick({0.0, 0.0, 0.5});
  config.seed = 1 + script.below(4);
  if (script.below(4) == 1) {
    config.wait_in_open.table = {milliseconds{10}, milliseconds{5 * script.below(5)}};
  }
  config.half_open_max_wait = milliseconds{5 * script.below(6)};
  config.half_open_max_wait_then = script.pick({State::Open, State::Closed});
}

inline void read_compatibility(Script& script, CircuitBreakerConfig& config) {
  config.evaluate_on = script.pick({EvaluateOn::AnyOutcome, EvaluateOn::Failure, EvaluateOn::Tick});
  config.boundary = script.pick({Boundary::Inclusive, Boundary::Exclusive});
  config.open_transition =
      script.pick({OpenTransition::OnAcquire, OpenTransition::Timer, OpenTransition::OnAccess});
  config.late_outcomes = script.pick({LateOutcomes::Drop, LateOutcomes::CurrentState});
  config.consecutive_failures_threshold = script.below(2) * (1 + script.below(4));
}

// Always valid.
inline CircuitBreakerConfig read_config(Script& script) {
  CircuitBreakerConfig config;
  config.sliding_window = read_window(script);
  config.minimum_calls = script.below(7);
  config.failure_rate_threshold = script.pick({50.0, 100.0, 33.3333, 66.6667, 20.0, 0.0001});
  config.slow_call_rate_threshold = script.pick({100.0, 50.0, 33.3333});
  config.slow_call_duration_threshold = std::chrono::milliseconds{10 * script.below(2)};
  config.failure_count_threshold = script.below(4) == 1 ? 1 + script.below(4) : 0;
  read_waits(script, config);
  config.half_open_rule = read_rule(script);
  config.half_open_permit_mode = script.pick({PermitMode::Total, PermitMode::Concurrent});
  const bool total = config.half_open_permit_mode == PermitMode::Total;
  const std::uint32_t least = total ? config.half_open_rule.of : 1;
  config.permitted_calls_in_half_open = (least > 0 ? least : 1) + script.below(3);
  if (script.below(3) == 1) read_compatibility(script, config);
  return config;
}

// One thing done to a breaker.
struct Step {
  enum class Kind : std::uint8_t {
    Acquire,
    Finish,
    Release,
    Advance,
    Tick,
    Look,
    MoveTo,
    OpenFor,
    Reset
  };
  Kind kind = Kind::Acquire;
  unsigned call = 0;  // Finish, Release: which of those in flight.
  Outcome outcome = Outcome::Success;
  Duration elapsed = {};
  Duration advance = {};
  State to = State::Closed;
};

inline Step read_step(Script& script) {
  using Kind = Step::Kind;
  Step step;
  step.kind = script.pick({Kind::Acquire, Kind::Finish, Kind::Acquire, Kind::Finish, Kind::Advance,
                           Kind::Acquire, Kind::Finish, Kind::Finish, Kind::Advance, Kind::Release,
                           Kind::Look, Kind::Tick, Kind::Acquire, Kind::MoveTo, Kind::OpenFor,
                           Kind::Reset});
  constexpr std::array<std::int64_t, 8> kAdvances = {
      1, 1'000'000, 4'999'999, 5'000'000, 10'000'000, 25'000'000, 9'999'999, 400'000'000};
  constexpr std::array<std::int64_t, 4> kElapsed = {0, 10'000'000, 10'000'001, 30'000'000};
  step.call = script.below(4);
  const unsigned choice = script.byte();
  step.outcome = std::array{Outcome::Success,   Outcome::Failure, Outcome::Failure,
                            Outcome::Success,   Outcome::Failure, Outcome::Ignored,
                            Outcome::Cancelled, Outcome::Success}[choice % 8];
  step.elapsed = Duration{kElapsed[choice / 8 % kElapsed.size()]};
  step.advance = Duration{kAdvances[choice % kAdvances.size()]};
  step.to = static_cast<State>(choice % 6);
  return step;
}

}  // namespace recover::circuitbreaker
