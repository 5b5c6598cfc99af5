#include "breaker_subject.h"

#include <cstdint>
#include <map>
#include <utility>

#include <recover/circuit_breaker.h>

namespace recover::conformance {
namespace {

using circuitbreaker::Event;
using circuitbreaker::Events;
using circuitbreaker::Outcome;
using circuitbreaker::Permit;
using circuitbreaker::Snapshot;
using circuitbreaker::State;
using circuitbreaker::StateMachine;
using circuitbreaker::Tally;

class PureMachine final : public Subject {
 public:
  explicit PureMachine(const CircuitBreakerConfig& config) : machine_(config, now_) {}

  std::string_view name() const override { return "pure machine"; }

  void advance_to(Instant now) override {
    now_ = now;
    while (const std::optional<Event> event = machine_.fire_due_timer(now_)) note(*event);
  }
  Acquired acquire(const std::string& call) override {
    const circuitbreaker::Admission admission = machine_.try_acquire(now_);
    note_all(admission.events);
    if (admission.permitted) generations_[call] = admission.generation;
    return {.permitted = admission.permitted, .retry_after = admission.retry_after};
  }
  void complete(const std::string& call, Outcome outcome, Duration elapsed) override {
    note_end(machine_.record(end(call), outcome, elapsed, now_));
  }
  void release(const std::string& call) override { note_end(machine_.release(end(call), now_)); }
  void force(State to, std::optional<Duration> wait) override {
    note_all(machine_.transition_to(to, now_, wait));
  }
  void reset() override { note_all(machine_.reset(now_)); }
  void tick() override { note_all(machine_.evaluate(now_)); }

  State state() override {
    note_all(machine_.observe(now_));
    return machine_.state();
  }
  Snapshot snapshot() override { return machine_.snapshot(now_); }
  Tally tally() override { return machine_.tally(); }

 private:
  void note_all(const Events& events) {
    for (const Event& event : events) note(event);
  }
  void note_end(const circuitbreaker::Recorded& recorded) {
    if (recorded.late) note_late_call();
    note_all(recorded.events);
  }
  std::uint64_t end(const std::string& call) { return generations_.extract(call).mapped(); }

  Instant now_;
  StateMachine machine_;
  std::map<std::string, std::uint64_t> generations_;
};

class ThreadSafeBreaker final : public Subject {
 public:
  explicit ThreadSafeBreaker(const CircuitBreakerConfig& config)
      : ticks_(config.evaluate_on == circuitbreaker::EvaluateOn::Tick), breaker_(config, clock_) {
    breaker_.on_event([this](const Event& event) { note(event); });
  }

  std::string_view name() const override { return "thread-safe breaker"; }

  void advance_to(Instant now) override {
    // tick() would also evaluate, so leave the timers to the operations where it does.
    while (!ticks_ && breaker_.next_timer() <= now) {
      clock_.advance_to(breaker_.next_timer());
      breaker_.tick();
    }
    clock_.advance_to(now);
  }
  Acquired acquire(const std::string& call) override {
    Result<Permit, Rejection> permit = breaker_.try_acquire();
    if (!permit) return {.permitted = false, .retry_after = permit.error().retry_after};
    permits_.emplace(call, std::move(*permit));
    return {.permitted = true};
  }
  void complete(const std::string& call, Outcome outcome, Duration elapsed) override {
    permits_.extract(call).mapped().record(outcome, elapsed, clock_.now());
  }
  void release(const std::string& call) override { permits_.extract(call).mapped().release(); }
  void force(State to, std::optional<Duration> wait) override { breaker_.transition_to(to, wait); }
  void reset() override { breaker_.reset(); }
  void tick() override { breaker_.tick(); }

  State state() override { return breaker_.state(); }
  Snapshot snapshot() override { return breaker_.snapshot(); }
  Tally tally() override { return breaker_.tally(); }

 private:
  const bool ticks_;
  ManualClock clock_;
  CircuitBreaker breaker_;
  std::map<std::string, Permit> permits_;  // Must not outlive the breaker.
};

}  // namespace

std::unique_ptr<Subject> pure_machine(const CircuitBreakerConfig& config) {
  return std::make_unique<PureMachine>(config);
}

std::unique_ptr<Subject> thread_safe_breaker(const CircuitBreakerConfig& config) {
  return std::make_unique<ThreadSafeBreaker>(config);
}

}  // namespace recover::conformance
