// The circuit breaker's rules once more, slow and obvious: keeps all that happened since the state
// was entered and counts it again for each question. StateMachine must answer the same.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include <recover/circuit_breaker_machine.h>

#include "outcome_list.h"

namespace recover::circuitbreaker {

struct Answer {
  bool permitted = false;
  bool late = false;
  std::optional<Duration> retry_after;
  std::vector<Event> events;
};

// No jitter: the machine's random numbers are not its business.
class Model {
 public:
  Model(CircuitBreakerConfig config, Instant now)
      : config_(std::move(config)),
        window_(config_.sliding_window, config_.boundary, now),
        entered_(now) {}

  State state() const { return state_; }
  std::uint64_t generation() const { return generation_; }

  std::optional<Event> fire_due_timer(Instant now) {
    if (state_ == State::Open && config_.open_transition == OpenTransition::Timer &&
        now >= open_until_) {
      return enter(State::HalfOpen, Cause::WaitElapsed, open_until_);
    }
    if (state_ != State::HalfOpen || !has_max_wait()) return std::nullopt;
    const Instant due = entered_ + config_.half_open_max_wait;
    if (now < due) return std::nullopt;
    return enter(config_.half_open_max_wait_then, Cause::HalfOpenTimedOut, due);
  }

  Answer try_acquire(Instant now) {
    Answer answer;
    if (config_.sliding_window.kind == WindowKind::Tumbling) touch(now);
    if (state_ == State::Open && now >= open_until_) {
      answer.events.push_back(enter(State::HalfOpen, Cause::WaitElapsed, now));
    }
    switch (state_) {
      case State::Closed:
      case State::Disabled:
      case State::MetricsOnly: answer.permitted = true; break;
      case State::HalfOpen:
        answer.permitted = probes_out_ < config_.permitted_calls_in_half_open;
        break;
      case State::Open:
      case State::ForcedOpen: break;
    }
    if (answer.permitted && state_ == State::HalfOpen) ++probes_out_;
    if (!answer.permitted) {
      ++refused_;
      answer.retry_after = retry_after(now);
    }
    return answer;
  }

  Answer record(std::uint64_t generation, Outcome outcome, Duration elapsed, Instant now) {
    const bool nothing = outcome == Outcome::Ignored || outcome == Outcome::Cancelled;
    Answer answer;
    observe(now, answer.events);
    if (!nothing || config_.sliding_window.kind == WindowKind::Tumbling) touch(now);
    answer.late = generation != generation_;
    if (answer.late && config_.late_outcomes == LateOutcomes::Drop) return answer;
    if (nothing) {
      give_back();
      return answer;
    }
    const bool slow = config_.slow_call_duration_threshold > Duration::zero() &&
                      elapsed > config_.slow_call_duration_threshold;
    count(single(outcome == Outcome::Failure, slow), now, answer.events);
    return answer;
  }

  Answer release(std::uint64_t generation, Instant now) {
    return record(generation, Outcome::Ignored, Duration::zero(), now);
  }

  std::vector<Event> evaluate(Instant now) {
    std::vector<Event> events;
    if (config_.evaluate_on != EvaluateOn::Tick) return events;
    if (state_ == State::Closed || state_ == State::MetricsOnly) {
      touch(now);
      judge(now, events);
    }
    return events;
  }

  std::vector<Event> observe(Instant now) {
    std::vector<Event> events;
    observe(now, events);
    return events;
  }

  std::vector<Event> transition_to(State to, Instant now, std::optional<Duration> wait) {
    const State from = state_;
    wait_once_ = wait;
    if (to == State::ForcedOpen) ++opens_;
    const Event event = enter(to, Cause::Manual, now);
    return from == to ? std::vector<Event>{} : std::vector{event};
  }

  std::vector<Event> reset(Instant now) {
    const Event entered = enter(State::Closed, Cause::Reset, now);
    Event reset = entered;
    reset.kind = Event::Kind::Reset;
    return entered.from == State::Closed ? std::vector{reset} : std::vector{entered, reset};
  }

  Snapshot snapshot(Instant now) {
    touch(now);
    Snapshot snapshot{.state = state_,
                      .generation = generation_,
                      .entered_at = entered_,
                      .not_permitted = refused_};
    if (state_ == State::Closed || state_ == State::MetricsOnly) snapshot.counts = window_.totals();
    if (state_ == State::HalfOpen) snapshot.counts = sum(probes_);
    if (state_ == State::Open) snapshot.open_remaining = retry_after(now);
    return snapshot;
  }

 private:
  bool has_max_wait() const { return config_.half_open_max_wait > Duration::zero(); }

  static Counts sum(const std::vector<Counts>& outcomes) {
    Counts total;
    for (const Counts& outcome : outcomes) total = total + outcome;
    return total;
  }

  void touch(Instant now) {
    const bool counting = state_ == State::Closed || state_ == State::MetricsOnly;
    if (!window_.touch(now) || !counting) return;
    ++generation_;
    outcomes_.clear();
  }

  std::optional<Duration> retry_after(Instant now) const {
    if (state_ == State::Open) return std::max(Duration::zero(), open_until_ - now);
    if (state_ != State::HalfOpen) return std::nullopt;
    const Duration left = entered_ + config_.wait_in_open.initial - now;
    const Duration until = entered_ + config_.half_open_max_wait - now;
    return std::max(Duration::zero(), has_max_wait() ? std::min(left, until) : left);
  }

  void observe(Instant now, std::vector<Event>& events) {
    const bool moves = config_.open_transition == OpenTransition::OnAccess;
    if (state_ != State::Open || !moves || now < open_until_) return;
    events.push_back(enter(State::HalfOpen, Cause::WaitElapsed, now));
  }

  void give_back() {
    if (state_ == State::HalfOpen && probes_out_ > 0) --probes_out_;
  }

  void count(const Counts& outcome, Instant now, std::vector<Event>& events) {
    outcomes_.push_back(outcome);
    switch (state_) {
      case State::HalfOpen:
        probes_.push_back(outcome);
        if (config_.half_open_permit_mode == PermitMode::Concurrent) give_back();
        judge_probes(now, events);
        break;
      case State::Closed:
      case State::MetricsOnly: {
        window_.add(outcome, now);
        const bool failed = outcome.failed == 1;
        if (config_.evaluate_on == EvaluateOn::AnyOutcome ||
            (config_.evaluate_on == EvaluateOn::Failure && failed)) {
          judge(now, events);
        }
        break;
      }
      case State::Open:
      case State::Disabled:
      case State::ForcedOpen: break;
    }
  }

  // 1 part in 1 is 100 percent; thresholds are read to a millionth.
  static bool reaches(std::uint64_t part, std::uint64_t whole, Percent threshold) {
    return static_cast<long double>(part) * 1'000'000 >=
           static_cast<long double>(whole) * threshold.ppm();
  }

  std::uint64_t failures_in_a_row() const {
    const auto ok = std::find_if(outcomes_.rbegin(), outcomes_.rend(),
                                 [](const Counts& outcome) { return outcome.failed == 0; });
    auto streak = static_cast<std::uint64_t>(ok - outcomes_.rbegin());
    const SlidingWindow& window = config_.sliding_window;
    if (window.kind == WindowKind::Time && window.alignment == Alignment::StateEntry) {
      streak = std::min(streak, window_.totals().failed);
    }
    return streak;
  }

  bool slow_reached(const Counts& counts) const {
    return config_.slow_call_duration_threshold > Duration::zero() &&
           reaches(counts.slow, counts.total, config_.slow_call_rate_threshold);
  }

  void judge(Instant now, std::vector<Event>& events) {
    const Counts counts = window_.totals();
    std::uint64_t required = std::max(1U, config_.minimum_calls);
    if (config_.sliding_window.kind == WindowKind::Count) {
      required = std::min<std::uint64_t>(required, config_.sliding_window.size);
    }
    if (counts.total < required) return;
    const std::uint64_t streak = config_.consecutive_failures_threshold;
    std::optional<Cause> cause;
    if (streak > 0 && failures_in_a_row() >= streak) {
      cause = Cause::ConsecutiveFailures;
    } else if (config_.failure_count_threshold > 0) {
      if (counts.failed >= config_.failure_count_threshold) cause = Cause::FailureCount;
    } else if (streak == 0 &&
               reaches(counts.failed, counts.total, config_.failure_rate_threshold)) {
      cause = Cause::FailureRate;
    }
    if (state_ == State::MetricsOnly) return announce(cause.has_value(), counts, now, events);
    if (!cause && slow_reached(counts)) cause = Cause::SlowCallRate;
    if (cause) events.push_back(enter(State::Open, *cause, now));
  }

  void announce(bool failures, const Counts& counts, Instant now, std::vector<Event>& events) {
    Event event{.from = state_, .to = state_, .generation = generation_, .at = now};
    if (failures && !std::exchange(failures_announced_, failures_announced_ || failures)) {
      event.kind = Event::Kind::FailureRateExceeded;
      event.cause = Cause::FailureRate;
      events.push_back(event);
    }
    if (slow_reached(counts) && !std::exchange(slow_announced_, true)) {
      event.kind = Event::Kind::SlowCallRateExceeded;
      event.cause = Cause::SlowCallRate;
      events.push_back(event);
    }
  }

  bool probes_are_bad(const Counts& probes) const {
    const bool rate = reaches(probes.failed, probes.total, config_.failure_rate_threshold);
    if (slow_reached(probes) || probes.failed == probes.total) return true;
    if (config_.failure_count_threshold > 0) {
      if (probes.failed >= config_.failure_count_threshold) return true;
      return config_.consecutive_failures_threshold > 0 && rate;
    }
    return rate;
  }

  void judge_probes(Instant now, std::vector<Event>& events) {
    const HalfOpenRule& rule = config_.half_open_rule;
    const Counts probes = sum(probes_);
    const std::uint64_t good = probes.total - probes.failed;
    bool close = false;
    bool open = false;
    switch (rule.kind) {
      case HalfOpenRule::Kind::Rate: {
        const std::uint64_t wanted = rule.n > 0 ? rule.n : std::max(1U, config_.minimum_calls);
        if (probes.total < wanted && probes.total < config_.permitted_calls_in_half_open) return;
        open = probes_are_bad(probes);
        close = !open;
        break;
      }
      case HalfOpenRule::Kind::ConsecutiveSuccesses:
        open = probes.failed > 0;
        close = good >= rule.n && !open;
        break;
      case HalfOpenRule::Kind::SuccessThreshold:
        close = good >= rule.n;
        open = probes.failed + rule.n > rule.of;
        break;
      case HalfOpenRule::Kind::FailureThreshold:
        close = good + rule.n > rule.of;
        open = probes.failed >= rule.n;
        break;
    }
    if (close) {
      events.push_back(enter(State::Closed, Cause::ProbesSucceeded, now));
    } else if (open) {
      events.push_back(enter(State::Open, Cause::ProbesFailed, now));
    }
  }

  Duration next_wait() {
    const OpenWait& wait = config_.wait_in_open;
    if (wait_once_) return *wait_once_;
    ++opens_;
    if (!wait.table.empty()) return wait.table[std::min(half_opens_, wait.table.size() - 1)];
    const double nanoseconds = static_cast<double>(wait.initial.count()) *
                               std::pow(wait.multiplier, static_cast<double>(opens_ - 1));
    return std::min(wait.max, Duration{static_cast<Duration::rep>(std::min(nanoseconds, 1e18))});
  }

  Event enter(State to, Cause cause, Instant now) {
    Event event{.from = state_, .to = to, .cause = cause, .generation = generation_ + 1, .at = now};
    if (to == State::Open) {
      event.open_wait = next_wait();
      open_until_ =
          now + event.open_wait + Duration{config_.boundary == Boundary::Inclusive ? 0 : 1};
    }
    wait_once_.reset();
    if (to == State::HalfOpen) ++half_opens_;
    if (to == State::Closed || to == State::MetricsOnly || to == State::Disabled) {
      opens_ = 0;
      half_opens_ = 0;
    }
    state_ = to;
    ++generation_;
    entered_ = now;
    refused_ = 0;
    probes_out_ = 0;
    probes_.clear();
    outcomes_.clear();
    failures_announced_ = false;
    slow_announced_ = false;
    if (to != State::Open && to != State::HalfOpen) window_.restart(now);
    return event;
  }

  CircuitBreakerConfig config_;
  OutcomeList window_;
  State state_ = State::Closed;
  std::uint64_t generation_ = 1;
  Instant entered_;
  Instant open_until_ = kNever;
  std::size_t opens_ = 0;
  std::size_t half_opens_ = 0;
  std::optional<Duration> wait_once_;
  std::uint32_t probes_out_ = 0;
  std::vector<Counts> probes_;
  std::vector<Counts> outcomes_;  // Of this generation.
  std::uint64_t refused_ = 0;
  bool failures_announced_ = false;
  bool slow_announced_ = false;
};

}  // namespace recover::circuitbreaker
