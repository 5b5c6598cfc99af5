// Random breakers under random sequences of calls: the state machine against a model that keeps
// every outcome and recomputes, and the thread-safe breaker against the state machine.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <recover/circuit_breaker.h>
#include <recover/circuit_breaker_machine.h>

#include "test/breaker_model.h"
#include "test/fuzz/breaker_script.h"
#include "test/fuzz/breaker_twin.h"

namespace recover::circuitbreaker {
namespace {

constexpr Instant kStart{Duration{1'000'003'000'000}};

// Drives both and compares every answer.
class Comparison {
 public:
  explicit Comparison(const CircuitBreakerConfig& config)
      : machine_(config, kStart), model_(config, kStart) {}

  void take(const Step& step) {
    if (step.kind == Step::Kind::Advance) {
      now_ += step.advance;
      return;
    }
    fire();
    switch (step.kind) {
      case Step::Kind::Acquire: acquire(); break;
      case Step::Kind::Finish: finish(step); break;
      case Step::Kind::Release: release(step); break;
      case Step::Kind::Tick: same(machine_.evaluate(now_), model_.evaluate(now_)); break;
      case Step::Kind::Look: look(); break;
      case Step::Kind::MoveTo: move_to(step.to, std::nullopt); break;
      case Step::Kind::OpenFor: move_to(State::Open, step.advance); break;
      case Step::Kind::Reset: same(machine_.reset(now_), model_.reset(now_)); break;
      case Step::Kind::Advance: break;
    }
    RC_ASSERT(machine_.state() == model_.state());
    RC_ASSERT(machine_.generation() == model_.generation());
  }

 private:
  static void same(const Events& events, const std::vector<Event>& expected) {
    RC_ASSERT(std::vector<Event>(events.begin(), events.end()) == expected);
  }

  void fire() {
    constexpr int kTimersMax = 10;  // Waits may be 0, and the machine may be far behind.
    for (int i = 0; i < kTimersMax; ++i) {
      const std::optional<Event> event = machine_.fire_due_timer(now_);
      RC_ASSERT(event == model_.fire_due_timer(now_));
      if (!event) return;
    }
  }

  void acquire() {
    const Admission admission = machine_.try_acquire(now_);
    const Answer answer = model_.try_acquire(now_);
    RC_ASSERT(admission.permitted == answer.permitted);
    RC_ASSERT(admission.retry_after == answer.retry_after);
    same(admission.events, answer.events);
    if (admission.permitted) calls_.push_back(admission.generation);
  }

  std::optional<std::uint64_t> take_call(unsigned index) {
    if (calls_.empty()) return std::nullopt;
    const auto at = calls_.begin() + static_cast<std::ptrdiff_t>(index % calls_.size());
    const std::uint64_t generation = *at;
    calls_.erase(at);
    return generation;
  }

  void finish(const Step& step) {
    const std::optional<std::uint64_t> call = take_call(step.call);
    if (!call) return;
    compare(machine_.record(*call, step.outcome, step.elapsed, now_),
            model_.record(*call, step.outcome, step.elapsed, now_));
  }

  void release(const Step& step) {
    const std::optional<std::uint64_t> call = take_call(step.call);
    if (call) compare(machine_.release(*call, now_), model_.release(*call, now_));
  }

  static void compare(const Recorded& recorded, const Answer& answer) {
    RC_ASSERT(recorded.late == answer.late);
    same(recorded.events, answer.events);
  }

  void move_to(State to, std::optional<Duration> wait) {
    same(machine_.transition_to(to, now_, wait), model_.transition_to(to, now_, wait));
  }

  void look() {
    same(machine_.observe(now_), model_.observe(now_));
    const Snapshot seen = machine_.snapshot(now_);
    const Snapshot wanted = model_.snapshot(now_);
    RC_ASSERT(seen.entered_at == wanted.entered_at);
    RC_ASSERT(seen.not_permitted == wanted.not_permitted);
    RC_ASSERT(seen.open_remaining == wanted.open_remaining);
    if (seen.state != State::Open) RC_ASSERT(seen.counts == wanted.counts);
  }

  StateMachine machine_;
  Model model_;
  Instant now_ = kStart;
  std::vector<std::uint64_t> calls_;
};

// Several long scripts a case: RapidCheck's hundred cases are few for so large a space.
std::vector<std::vector<std::uint8_t>> scripts() {
  constexpr int kSizeMax = 500;
  constexpr std::size_t kScripts = 20;
  return *rc::gen::container<std::vector<std::vector<std::uint8_t>>>(
      kScripts, rc::gen::resize(kSizeMax, rc::gen::arbitrary<std::vector<std::uint8_t>>()));
}

RC_GTEST_PROP(StateMachineProperty, IsTheModel, ()) {
  for (const std::vector<std::uint8_t>& bytes : scripts()) {
    Script script(bytes.data(), bytes.size());
    CircuitBreakerConfig config = read_config(script);
    config.wait_in_open.jitter = 0;
    RC_ASSERT(config.validate().has_value());
    Comparison comparison(config);
    while (!script.done()) comparison.take(read_step(script));
  }
}

RC_GTEST_PROP(CircuitBreakerProperty, IsTheStateMachine, ()) {
  for (const std::vector<std::uint8_t>& bytes : scripts()) {
    Script script(bytes.data(), bytes.size());
    Twin twin(read_config(script));
    while (!script.done()) {
      const std::string problem = twin.take(read_step(script));
      if (!problem.empty()) RC_FAIL(problem);
    }
  }
}

}  // namespace
}  // namespace recover::circuitbreaker
