// Half-open: each rule over all outcomes, and what becomes of the permits.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <recover/circuit_breaker_machine.h>

#include "test/breaker_states.h"

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

// ---- half-open rules over all outcomes

// Feeds 'S' and 'F' as probes; the result is the state, and how many were let in.
std::pair<State, std::size_t> after_probes(const CircuitBreakerConfig& config,
                                           std::string_view outcomes) {
  StateMachine machine(config, kStart);
  machine.transition_to(State::HalfOpen, kStart);
  for (std::size_t i = 0; i < outcomes.size(); ++i) {
    if (machine.state() != State::HalfOpen) return {machine.state(), i};
    const Admission admission = machine.try_acquire(kStart);
    EXPECT_TRUE(admission.permitted);
    const Outcome outcome = outcomes[i] == 'S' ? Outcome::Success : Outcome::Failure;
    machine.record(admission.generation, outcome, 0s, kStart);
  }
  return {machine.state(), outcomes.size()};
}

State decided(bool close, bool open) {
  if (close) return State::Closed;
  return open ? State::Open : State::HalfOpen;
}

// The rules as the documentation has them, on a whole string.
State verdict(const HalfOpenRule& rule, std::string_view outcomes) {
  const auto failures = static_cast<std::size_t>(std::count(outcomes.begin(), outcomes.end(), 'F'));
  const std::size_t successes = outcomes.size() - failures;
  const bool half_failed = 2 * failures >= outcomes.size();
  switch (rule.kind) {
    case HalfOpenRule::Kind::Rate:
      return outcomes.size() < rule.n ? State::HalfOpen : decided(!half_failed, half_failed);
    case HalfOpenRule::Kind::ConsecutiveSuccesses:
      return decided(outcomes.substr(0, rule.n) == std::string(rule.n, 'S'), failures > 0);
    case HalfOpenRule::Kind::SuccessThreshold:
      return decided(successes >= rule.n, failures > rule.of - rule.n);
    case HalfOpenRule::Kind::FailureThreshold:
      return decided(successes > rule.of - rule.n, failures >= rule.n);
  }
  return State::HalfOpen;
}

void expect_rule_holds(const HalfOpenRule& rule, std::string_view outcomes) {
  const CircuitBreakerConfig config{.failure_rate_threshold = 50,
                                    .permitted_calls_in_half_open = 6,
                                    .half_open_permit_mode = PermitMode::Concurrent,
                                    .half_open_rule = rule};
  std::size_t decided = 0;
  while (decided < outcomes.size() &&
         verdict(rule, outcomes.substr(0, decided)) == State::HalfOpen) {
    ++decided;
  }
  const auto [state, fed] = after_probes(config, outcomes);
  EXPECT_EQ(state, verdict(rule, outcomes.substr(0, decided)))
      << "rule " << static_cast<int>(rule.kind) << " n " << rule.n << " of " << rule.of << " on "
      << outcomes;
  EXPECT_EQ(fed, decided) << outcomes;
}

std::vector<HalfOpenRule> all_rules() {
  using Kind = HalfOpenRule::Kind;
  std::vector<HalfOpenRule> rules;
  for (std::uint32_t n = 1; n <= 4; ++n) {
    rules.push_back({.kind = Kind::Rate, .n = n});
    rules.push_back({.kind = Kind::ConsecutiveSuccesses, .n = n});
    for (std::uint32_t of = n; of <= 5; ++of) {
      rules.push_back({.kind = Kind::SuccessThreshold, .n = n, .of = of});
      rules.push_back({.kind = Kind::FailureThreshold, .n = n, .of = of});
    }
  }
  return rules;
}

// Every string of 'S' and 'F' up to that length.
std::vector<std::string> all_outcomes(std::size_t length_max) {
  std::vector<std::string> strings = {""};
  for (std::size_t i = 0; strings[i].size() < length_max; ++i) {
    strings.push_back(strings[i] + 'S');
    strings.push_back(strings[i] + 'F');
  }
  return strings;
}

TEST(StateMachineHalfOpen, EveryRuleOnEveryStringOfOutcomes) {
  const std::vector<std::string> strings = all_outcomes(6);
  ASSERT_EQ(strings.size(), 127U);
  for (const HalfOpenRule& rule : all_rules()) {
    for (const std::string& outcomes : strings) expect_rule_holds(rule, outcomes);
  }
}

TEST(StateMachineHalfOpen, RateNeedsMinimumCallsCappedByThePermits) {
  CircuitBreakerConfig config = table_config();
  config.minimum_calls = 100;
  config.permitted_calls_in_half_open = 3;
  EXPECT_EQ(after_probes(config, "SS").first, State::HalfOpen);
  EXPECT_EQ(after_probes(config, "SSS").first, State::Closed);
  EXPECT_EQ(after_probes(config, "FSF").first, State::Open);
  config.minimum_calls = 0;
  EXPECT_EQ(after_probes(config, "S").first, State::Closed);
}

// A count or a streak that the few probes can never reach must not close over their failures.
TEST(StateMachineHalfOpen, FailedProbesOpenWhateverTheClosedThresholdIs) {
  CircuitBreakerConfig config = table_config();
  config.permitted_calls_in_half_open = 3;
  config.half_open_rule.n = 3;
  config.consecutive_failures_threshold = 5;
  EXPECT_EQ(after_probes(config, "FFF").first, State::Open);
  EXPECT_EQ(after_probes(config, "FSF").first, State::Open);
  EXPECT_EQ(after_probes(config, "SSF").first, State::Closed);
  config.consecutive_failures_threshold = 0;
  config.failure_count_threshold = 5;
  EXPECT_EQ(after_probes(config, "FFF").first, State::Open);
  EXPECT_EQ(after_probes(config, "FSF").first, State::Closed);
  config.failure_count_threshold = 2;
  EXPECT_EQ(after_probes(config, "FSF").first, State::Open);
}

TEST(StateMachineHalfOpen, SlowProbesOpen) {
  CircuitBreakerConfig config = table_config();
  config.slow_call_duration_threshold = 1s;
  config.slow_call_rate_threshold = 50;
  StateMachine machine(config, kStart);
  machine.transition_to(State::HalfOpen, kStart);
  for (const Duration elapsed : {Duration{1s}, Duration{1s + 1ns}}) {
    const Admission admission = machine.try_acquire(kStart);
    machine.record(admission.generation, Outcome::Success, elapsed, kStart);
  }
  EXPECT_EQ(machine.state(), State::Open);
}

// ---- permits

TEST(StateMachinePermits, TotalIsUsedUpByOutcomesOnly) {
  CircuitBreakerConfig config = table_config();
  config.half_open_rule = {.kind = HalfOpenRule::Kind::ConsecutiveSuccesses, .n = 2};
  StateMachine machine(config, kStart);
  machine.transition_to(State::HalfOpen, kStart);
  const std::uint64_t generation = machine.try_acquire(kStart).generation;
  EXPECT_TRUE(machine.try_acquire(kStart).permitted);
  EXPECT_FALSE(machine.try_acquire(kStart).permitted);
  machine.record(generation, Outcome::Success, 0s, kStart);
  EXPECT_FALSE(machine.try_acquire(kStart).permitted);  // Used up.
  machine.record(generation, Outcome::Ignored, 0s, kStart);
  EXPECT_TRUE(machine.try_acquire(kStart).permitted);  // Came back.
  machine.record(generation, Outcome::Cancelled, 0s, kStart);
  EXPECT_TRUE(machine.try_acquire(kStart).permitted);
  machine.release(generation, kStart);
  EXPECT_TRUE(machine.try_acquire(kStart).permitted);
  EXPECT_EQ(machine.snapshot(kStart).not_permitted, 2U);
}

TEST(StateMachinePermits, ConcurrentComesBackWithEveryOutcome) {
  CircuitBreakerConfig config = table_config();
  config.half_open_permit_mode = PermitMode::Concurrent;
  config.permitted_calls_in_half_open = 1;
  config.half_open_rule = {.kind = HalfOpenRule::Kind::ConsecutiveSuccesses, .n = 3};
  StateMachine machine(config, kStart);
  machine.transition_to(State::HalfOpen, kStart);
  for (int probe = 0; probe < 3; ++probe) {
    ASSERT_EQ(machine.state(), State::HalfOpen);
    const Admission admission = machine.try_acquire(kStart);
    ASSERT_TRUE(admission.permitted);
    EXPECT_FALSE(machine.try_acquire(kStart).permitted);
    machine.record(admission.generation, Outcome::Success, 0s, kStart);
  }
  EXPECT_EQ(machine.state(), State::Closed);
}

// A permit of an earlier generation must not hand out a probe more.
TEST(StateMachinePermits, ALateReleaseGivesNothingBack) {
  StateMachine machine(table_config(), kStart);
  machine.transition_to(State::HalfOpen, kStart);
  const std::uint64_t old = machine.try_acquire(kStart).generation;
  machine.transition_to(State::HalfOpen, kStart);
  machine.try_acquire(kStart);
  machine.try_acquire(kStart);
  machine.release(old, kStart);
  EXPECT_FALSE(machine.try_acquire(kStart).permitted);
}

}  // namespace
}  // namespace recover::circuitbreaker
