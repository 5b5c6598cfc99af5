// A CircuitBreaker and a bare StateMachine that are given the same steps and must agree on
// everything that can be seen. One thread, a manual clock.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include <recover/circuit_breaker.h>

#include "breaker_script.h"

namespace recover::circuitbreaker {

class Twin {
 public:
  explicit Twin(const CircuitBreakerConfig& config)
      : config_(config), clock_(kStart), machine_(config, kStart), breaker_(config, clock_) {
    breaker_.on_event([this](const Event& event) { heard_.push_back(event); });
  }

  // Empty, or what differs after the step.
  std::string take(const Step& step) {
    problem_.clear();
    switch (step.kind) {
      case Step::Kind::Acquire: acquire(); break;
      case Step::Kind::Finish: finish(step); break;
      case Step::Kind::Release: release(step); break;
      case Step::Kind::Advance: clock_.advance(step.advance); break;
      case Step::Kind::Tick: tick(); break;
      case Step::Kind::Look: look(); break;
      case Step::Kind::MoveTo: move_to(step.to, std::nullopt); break;
      case Step::Kind::OpenFor: move_to(State::Open, step.advance); break;
      case Step::Kind::Reset:
        fire();
        expect(machine_.reset(now()));
        breaker_.reset();
        break;
    }
    compare();
    return problem_;
  }

  const StateMachine& machine() const { return machine_; }

 private:
  // Neither 0 nor a bucket boundary.
  static constexpr Instant kStart{Duration{1'000'003'000'000}};

  struct Call {
    std::uint64_t generation;
    Permit permit;
  };

  Instant now() { return clock_.now(); }

  void expect(const Events& events) {
    expected_.insert(expected_.end(), events.begin(), events.end());
  }
  void require(bool holds, const char* what) {
    if (!holds && problem_.empty()) problem_ = what;
  }

  // As a wrapper must before every operation: all timers that are due, a few as of then, a last
  // pair as of now.
  void fire() {
    for (int fired = 0; fired < 8; ++fired) {
      const std::optional<Event> event =
          machine_.fire_due_timer(now(), fired >= 6 ? now() : Instant::min());
      if (!event) return;
      expected_.push_back(*event);
    }
    require(machine_.next_timer() > now(), "a timer is still due");
  }

  void acquire() {
    fire();
    const Admission admission = machine_.try_acquire(now());
    expect(admission.events);
    Result<Permit, Rejection> permit = breaker_.try_acquire();
    require(permit.has_value() == admission.permitted, "permit");
    if (!permit.has_value()) {
      require(permit.error().retry_after == MaybeDuration(admission.retry_after), "retry_after");
      ++metrics_.not_permitted;
      return;
    }
    require(permit->is_probe() == (machine_.state() == State::HalfOpen), "is_probe");
    ++admitted_;
    if (admission.permitted) calls_.push_back({admission.generation, std::move(*permit)});
  }

  std::optional<Call> take_call(unsigned index) {
    if (calls_.empty()) return std::nullopt;
    const auto at = calls_.begin() + static_cast<std::ptrdiff_t>(index % calls_.size());
    Call call = std::move(*at);
    calls_.erase(at);
    return call;
  }

  void finish(const Step& step) {
    std::optional<Call> call = take_call(step.call);
    if (!call) return;
    // The breaker does not look at its timers for an outcome that is late beyond doubt.
    if (call->generation != machine_.generation()) tick();
    fire();
    const Recorded recorded = machine_.record(call->generation, step.outcome, step.elapsed, now());
    expect(recorded.events);
    call->permit.record(step.outcome, step.elapsed, now());
    if (recorded.late && config_.late_outcomes == LateOutcomes::Drop) {
      ++metrics_.late;
      return;
    }
    const bool slow = config_.slow_call_duration_threshold > Duration::zero() &&
                      step.elapsed > config_.slow_call_duration_threshold;
    switch (step.outcome) {
      case Outcome::Success:
        ++metrics_.successful;
        metrics_.slow += slow ? 1 : 0;
        break;
      case Outcome::Failure:
        ++metrics_.failed;
        metrics_.slow += slow ? 1 : 0;
        break;
      case Outcome::Ignored: ++metrics_.ignored; break;
      case Outcome::Cancelled: ++metrics_.cancelled; break;
    }
  }

  void release(const Step& step) {
    std::optional<Call> call = take_call(step.call);
    if (!call) return;
    tick();  // The breaker has nothing to do for most of them.
    fire();
    expect(machine_.release(call->generation, now()).events);
    const Permit dropped = std::move(call->permit);
    ++metrics_.released;
  }

  void tick() {
    fire();
    expect(machine_.evaluate(now()));
    breaker_.tick();
  }

  void move_to(State to, std::optional<Duration> wait) {
    fire();
    expect(machine_.transition_to(to, now(), wait));
    breaker_.transition_to(to, wait);
  }

  // Reads everything there is. Reading does not fire timers, but for state() on access.
  void look() {
    if (config_.open_transition == OpenTransition::OnAccess) {
      fire();
      expect(machine_.observe(now()));
    }
    require(breaker_.state() == machine_.state(), "state()");
    const Snapshot seen = breaker_.snapshot();
    const Snapshot wanted = machine_.snapshot(now());
    require(seen.generation == wanted.generation, "generation");
    require(seen.entered_at == wanted.entered_at, "entered_at");
    require(seen.not_permitted == wanted.not_permitted, "not_permitted");
    require(seen.open_remaining == wanted.open_remaining, "open_remaining");
    // While open a breaker shows the window as it was; the machine's goes on ageing.
    if (wanted.state == State::Open) return;
    require(seen.counts == wanted.counts, "counts");
    require(seen.failure_rate() == wanted.failure_rate(), "failure_rate");
  }

  void compare() {
    require(heard_ == expected_, "events");
    for (const Event& event : heard_) {
      require(event.kind != Event::Kind::StateTransition || event.from != event.to, "an event");
      require(event.generation > generation_ || event.kind != Event::Kind::StateTransition,
              "generations rise");
      generation_ = event.generation;
    }
    heard_.clear();
    expected_.clear();
    require(machine_.probes_available() <= config_.permitted_calls_in_half_open, "probes");
    const CircuitBreakerMetrics metrics = breaker_.metrics();
    require(metrics.state == machine_.state(), "state");
    require(metrics.successful == metrics_.successful && metrics.failed == metrics_.failed &&
                metrics.slow == metrics_.slow && metrics.ignored == metrics_.ignored &&
                metrics.cancelled == metrics_.cancelled && metrics.released == metrics_.released &&
                metrics.late == metrics_.late && metrics.not_permitted == metrics_.not_permitted,
            "metrics");
    require(admitted_ == calls_.size() + metrics.successful + metrics.failed + metrics.ignored +
                             metrics.cancelled + metrics.released + metrics.late,
            "every permit ends once");
    require(breaker_.next_timer() == machine_.next_timer(), "next_timer");
  }

  CircuitBreakerConfig config_;
  ManualClock clock_;
  StateMachine machine_;
  CircuitBreaker breaker_;
  std::vector<Event> heard_;
  std::vector<Event> expected_;
  CircuitBreakerMetrics metrics_;
  std::uint64_t admitted_ = 0;
  std::uint64_t generation_ = 1;
  std::string problem_;
  std::vector<Call> calls_;  // Goes first: dropped permits still cause events.
};

}  // namespace recover::circuitbreaker
