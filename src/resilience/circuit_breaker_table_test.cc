// The breaker's whole transition table: every operation in every state.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <recover/circuit_breaker_machine.h>

#include "test/breaker_states.h"

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

constexpr std::array kStates = {State::Closed,   State::Open,        State::HalfOpen,
                                State::Disabled, State::MetricsOnly, State::ForcedOpen};

std::string text_of(const Admission& admission) {
  std::string text = admission.permitted ? "permit" : "refuse";
  if (admission.retry_after) text += " " + std::to_string(*admission.retry_after / 1s) + " s";
  return text + text_of(admission.events);
}

std::string text_of(const Recorded& recorded) {
  return (recorded.late ? "late" : "") + text_of(recorded.events);
}

std::string text_of(const std::optional<Event>& event) {
  Events events;
  if (event) events.push(*event);
  return text_of(events);
}

using Operation = std::function<std::string(StateMachine&)>;

Operation recording(Outcome outcome, std::uint64_t generations_ago) {
  return [=](StateMachine& machine) {
    return text_of(machine.record(machine.generation() - generations_ago, outcome, 0s, kStart));
  };
}
Operation releasing(std::uint64_t generations_ago) {
  return [=](StateMachine& machine) {
    return text_of(machine.release(machine.generation() - generations_ago, kStart));
  };
}
Operation acquiring(Duration after) {
  return [=](StateMachine& machine) { return text_of(machine.try_acquire(kStart + after)); };
}
Operation firing(Duration after) {
  return [=](StateMachine& machine) { return text_of(machine.fire_due_timer(kStart + after)); };
}
Operation observing(Duration after) {
  return [=](StateMachine& machine) { return text_of(machine.observe(kStart + after)); };
}
Operation evaluating() {
  return [](StateMachine& machine) { return text_of(machine.evaluate(kStart)); };
}
// The window is bad and nobody has looked yet.
Operation evaluating_a_bad_window() {
  return [](StateMachine& machine) {
    if (machine.state() == State::Closed || machine.state() == State::MetricsOnly) {
      EXPECT_EQ(recording(Outcome::Failure, 0)(machine), "");
    }
    return text_of(machine.evaluate(kStart));
  };
}
Operation moving_to(State to) {
  return [=](StateMachine& machine) { return text_of(machine.transition_to(to, kStart)); };
}
Operation resetting() {
  return [](StateMachine& machine) { return text_of(machine.reset(kStart)); };
}

struct Row {
  const char* name;
  Operation operation;
  std::array<const char*, kStates.size()> cells;  // One for each of kStates.
  std::function<void(CircuitBreakerConfig&)> configure = [](CircuitBreakerConfig&) {};
};

// What the operation said, and what became of the machine: ` -> state: cause` for a transition,
// ` anew` when the same state was entered again, which raises the generation without an event.
std::string outcome_of_row(const Row& row, State state) {
  CircuitBreakerConfig config = table_config();
  row.configure(config);
  StateMachine machine = machine_in(state, config);
  const std::uint64_t before = machine.generation();
  std::string text = row.operation(machine);
  const bool moved = text.find("->") != std::string::npos;
  const bool reset = text.find("!reset") != std::string::npos;
  if (machine.generation() != before && !moved && !reset) text += " anew";
  EXPECT_EQ(machine.generation(), before + (machine.generation() != before ? 1 : 0));
  if (moved) {
    const std::string arrow = "-> " + std::string(to_string(machine.state())) + ":";
    EXPECT_NE(text.find(arrow), std::string::npos) << text << " but is in " << arrow;
  } else if (!reset) {
    EXPECT_EQ(machine.state(), state);
  }
  return text.substr(std::min(text.find_first_not_of(' '), text.size()));
}

void on_access(CircuitBreakerConfig& config) {
  config.open_transition = OpenTransition::OnAccess;
}
void on_timer(CircuitBreakerConfig& config) {
  config.open_transition = OpenTransition::Timer;
}
void on_tick(CircuitBreakerConfig& config) {
  config.evaluate_on = EvaluateOn::Tick;
}

// clang-format off
const std::vector<Row>& rows() {
  static const std::vector<Row> table = {
    //                                                 closed, open, half_open, disabled, metrics_only, forced_open
    {"acquire", acquiring(0s), {"permit", "refuse 60 s", "refuse 30 s", "permit", "permit", "refuse"}},
    {"acquire before 60 s", acquiring(60s - 1ns), {"permit", "refuse 0 s", "refuse 0 s", "permit", "permit", "refuse"}},
    {"acquire at 60 s", acquiring(60s), {"permit", "permit -> half_open: wait_elapsed", "refuse 0 s", "permit", "permit", "refuse"}},
    {"success", recording(Outcome::Success, 0), {"", "", "-> closed: probes_succeeded", "", "", ""}},
    {"failure", recording(Outcome::Failure, 0), {"-> open: failure_rate", "", "-> open: probes_failed", "", "!failure_rate", ""}},
    {"ignored", recording(Outcome::Ignored, 0), {"", "", "", "", "", ""}},
    {"cancelled", recording(Outcome::Cancelled, 0), {"", "", "", "", "", ""}},
    {"release", releasing(0), {"", "", "", "", "", ""}},
    {"late success", recording(Outcome::Success, 1), {"late", "late", "late", "late", "late", "late"}},
    {"late failure", recording(Outcome::Failure, 1), {"late", "late", "late", "late", "late", "late"}},
    {"late ignored", recording(Outcome::Ignored, 1), {"late", "late", "late", "late", "late", "late"}},
    {"late cancelled", recording(Outcome::Cancelled, 1), {"late", "late", "late", "late", "late", "late"}},
    {"late release", releasing(1), {"late", "late", "late", "late", "late", "late"}},
    {"timer before 30 s", firing(30s - 1ns), {"", "", "", "", "", ""}, on_timer},
    {"timer at 30 s", firing(30s), {"", "", "-> open: half_open_timed_out", "", "", ""}, on_timer},
    {"timer before 60 s", firing(60s - 1ns), {"", "", "-> open: half_open_timed_out", "", "", ""}, on_timer},
    {"timer at 60 s", firing(60s), {"", "-> half_open: wait_elapsed", "-> open: half_open_timed_out", "", "", ""}, on_timer},
    {"timer after 60 s", firing(1h), {"", "-> half_open: wait_elapsed", "-> open: half_open_timed_out", "", "", ""}, on_timer},
    {"no timer in open", firing(1h), {"", "", "-> open: half_open_timed_out", "", "", ""}},
    {"observe before", observing(60s - 1ns), {"", "", "", "", "", ""}, on_access},
    {"observe at 60 s", observing(60s), {"", "-> half_open: wait_elapsed", "", "", "", ""}, on_access},
    {"observe otherwise", observing(60s), {"", "", "", "", "", ""}},
    {"evaluate", evaluating(), {"", "", "", "", "", ""}, on_tick},
    {"evaluate a bad one", evaluating_a_bad_window(), {"-> open: failure_rate", "", "", "", "!failure_rate", ""}, on_tick},
    {"evaluate otherwise", evaluating(), {"", "", "", "", "", ""}},
    {"to closed", moving_to(State::Closed), {"anew", "-> closed: manual", "-> closed: manual", "-> closed: manual", "-> closed: manual", "-> closed: manual"}},
    {"to open", moving_to(State::Open), {"-> open: manual", "anew", "-> open: manual", "-> open: manual", "-> open: manual", "-> open: manual"}},
    {"to half_open", moving_to(State::HalfOpen), {"-> half_open: manual", "-> half_open: manual", "anew", "-> half_open: manual", "-> half_open: manual", "-> half_open: manual"}},
    {"to disabled", moving_to(State::Disabled), {"-> disabled: manual", "-> disabled: manual", "-> disabled: manual", "anew", "-> disabled: manual", "-> disabled: manual"}},
    {"to metrics_only", moving_to(State::MetricsOnly), {"-> metrics_only: manual", "-> metrics_only: manual", "-> metrics_only: manual", "-> metrics_only: manual", "anew", "-> metrics_only: manual"}},
    {"to forced_open", moving_to(State::ForcedOpen), {"-> forced_open: manual", "-> forced_open: manual", "-> forced_open: manual", "-> forced_open: manual", "-> forced_open: manual", "anew"}},
    {"reset", resetting(), {"!reset", "-> closed: reset !reset", "-> closed: reset !reset", "-> closed: reset !reset", "-> closed: reset !reset", "-> closed: reset !reset"}},
  };
  return table;
}
// clang-format on

TEST(StateMachineTable, EveryStateAndOperation) {
  for (const Row& row : rows()) {
    for (std::size_t i = 0; i < kStates.size(); ++i) {
      EXPECT_EQ(outcome_of_row(row, kStates[i]), row.cells[i])
          << row.name << " in " << to_string(kStates[i]);
    }
  }
}

// Every event says where it came from and went, when, and in which generation.
TEST(StateMachineTable, EventsAreComplete) {
  for (const State from : kStates) {
    for (const State to : kStates) {
      if (from == to) continue;
      StateMachine machine = machine_in(from, table_config());
      const std::uint64_t before = machine.generation();
      const Events events = machine.transition_to(to, kStart + 1s);
      ASSERT_EQ(events.size(), 1U);
      const Event expected{.from = from,
                           .to = to,
                           .cause = Cause::Manual,
                           .generation = before + 1,
                           .at = kStart + 1s,
                           .open_wait = to == State::Open ? 60s : 0s};
      EXPECT_EQ(*events.begin(), expected) << to_string(from) << " to " << to_string(to);
      EXPECT_EQ(machine.snapshot(kStart + 1s).entered_at, kStart + 1s);
    }
  }
}

TEST(StateMachineTable, AnOutcomeOfADroppedGenerationChangesNothing) {
  for (const State state : kStates) {
    for (const Outcome outcome : {Outcome::Success, Outcome::Failure, Outcome::Ignored}) {
      StateMachine machine = machine_in(state, table_config());
      const Snapshot before = machine.snapshot(kStart);
      const std::uint32_t probes = machine.probes_available();
      machine.record(machine.generation() - 1, outcome, 0s, kStart);
      const Snapshot after = machine.snapshot(kStart);
      EXPECT_EQ(after.counts, before.counts) << to_string(state);
      EXPECT_EQ(after.generation, before.generation) << to_string(state);
      EXPECT_EQ(machine.probes_available(), probes) << to_string(state);
    }
  }
}

}  // namespace
}  // namespace recover::circuitbreaker
