#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include <recover/check.h>
#include <recover/circuit_breaker_machine.h>

namespace recover::circuitbreaker {
namespace {

std::optional<double> percent_of(std::uint64_t part, const Snapshot& snapshot) {
  const std::uint64_t total = snapshot.counts.total;
  if (total == 0 || total < snapshot.counts_required) return std::nullopt;
  return 100.0 * static_cast<double>(part) / static_cast<double>(total);
}

CircuitBreakerConfig checked(CircuitBreakerConfig config) {
  RECOVER_CHECK_VALID(config);
  return config;
}

// What the window of calls counts.
constexpr Counts kRequest = {.total = 1, .failed = 0, .slow = 0, .slow_failed = 0};
constexpr Counts kExclusion = {.total = 0, .failed = 1, .slow = 0, .slow_failed = 0};

std::optional<Window> calls_window(const CircuitBreakerConfig& config, Instant now) {
  const SlidingWindow& window = config.sliding_window;
  const bool rolls = window.kind == WindowKind::Time && window.alignment == Alignment::StateEntry;
  return rolls ? std::optional<Window>(std::in_place, window, config.boundary, now) : std::nullopt;
}

Events one(const Event& event) {
  Events events;
  events.push(event);
  return events;
}

}  // namespace

std::optional<double> Snapshot::failure_rate() const {
  return percent_of(counts.failed, *this);
}
std::optional<double> Snapshot::slow_call_rate() const {
  return percent_of(counts.slow, *this);
}

std::uint64_t required_calls(const CircuitBreakerConfig& config) {
  const std::uint64_t wanted = std::max(1U, config.minimum_calls);
  const SlidingWindow& window = config.sliding_window;
  return window.kind == WindowKind::Count ? std::min<std::uint64_t>(wanted, window.size) : wanted;
}

Cause cause_of(const CircuitBreakerConfig& config, Reached reached) {
  if (!reached.failures) return Cause::SlowCallRate;
  return config.failure_count_threshold > 0 ? Cause::FailureCount : Cause::FailureRate;
}

StateMachine::StateMachine(CircuitBreakerConfig config, Instant now)
    : config_(checked(std::move(config))),
      window_(config_.sliding_window, config_.boundary, now),
      calls_(calls_window(config_, now)),
      random_(config_.seed.value_or(0)),
      entered_at_(now) {}

// ---- time

std::optional<Event> StateMachine::fire_due_timer(Instant now, Instant not_before) {
  if (now < next_timer()) return std::nullopt;
  const Instant due = std::max(next_timer(), not_before);
  if (state_ == State::Open) return half_open(Cause::WaitElapsed, due);
  if (config_.half_open_max_wait_then == State::Open) return open(Cause::HalfOpenTimedOut, due);
  return enter(State::Closed, Cause::HalfOpenTimedOut, due);
}

Instant StateMachine::next_timer() const {
  if (state_ == State::HalfOpen) return half_open_until();
  const bool timed = config_.open_transition == OpenTransition::Timer;
  return state_ == State::Open && timed ? open_until_ : kNever;
}

Instant StateMachine::half_open_until() const noexcept {
  if (state_ != State::HalfOpen || config_.half_open_max_wait == Duration::zero()) return kNever;
  return saturating_add(entered_at_, config_.half_open_max_wait);
}

Instant StateMachine::retry_at() const noexcept {
  if (state_ == State::Open) return open_until_;
  if (state_ != State::HalfOpen) return kNever;
  // The probes are expected to answer within another open wait.
  return std::min(saturating_add(entered_at_, config_.wait_in_open.initial), half_open_until());
}

std::optional<Duration> StateMachine::retry_after(Instant now) const {
  if (state_ != State::Open && state_ != State::HalfOpen) return std::nullopt;
  return std::max(Duration::zero(), retry_at() - now);
}

void StateMachine::let_window_advance(Instant now) {
  if (calls_) calls_->advance(now);
  if (!window_.advance(now)) return;
  if (state_ != State::Closed && state_ != State::MetricsOnly) return;
  ++generation_;  // A tumbling period ended; what is in flight belongs to the old one.
  tally_ = {};
}

void StateMachine::let_time_pass(Instant now) {
  const SlidingWindow& window = config_.sliding_window;
  const bool opens_on_touch =
      window.kind == WindowKind::Time && window.alignment == Alignment::Event;
  if (!opens_on_touch) let_window_advance(now);
}

// ---- calls

Admission StateMachine::try_acquire(Instant now) {
  let_time_pass(now);
  Admission admission;
  if (open_wait_elapsed(now)) admission.events.push(half_open(Cause::WaitElapsed, now));
  const bool probe_left = state_ == State::HalfOpen && probes_available() > 0;
  admission.permitted = state_ == State::Closed || state_ == State::MetricsOnly ||
                        state_ == State::Disabled || probe_left;
  admission.generation = generation_;
  if (admission.permitted) {
    ++tally_.requests;
    if (calls_) calls_->record(kRequest, now);
    if (probe_left) ++probes_out_;
  } else {
    ++not_permitted_;
    admission.retry_after = retry_after(now);
  }
  return admission;
}

Recorded StateMachine::record(std::uint64_t generation, Outcome outcome, Duration elapsed,
                              Instant now) {
  if (outcome == Outcome::Ignored || outcome == Outcome::Cancelled) return release(generation, now);
  Recorded recorded{.late = false, .events = observe(now)};
  let_window_advance(now);
  recorded.late = generation != generation_;
  if (recorded.late && config_.late_outcomes == LateOutcomes::Drop) return recorded;
  const bool failed = outcome == Outcome::Failure;
  const bool slow = config_.slow_call_duration_threshold > Duration::zero() &&
                    elapsed > config_.slow_call_duration_threshold;
  for (const Event& event : apply(single(failed, slow), now)) recorded.events.push(event);
  return recorded;
}

Recorded StateMachine::release(std::uint64_t generation, Instant now) {
  Recorded recorded{.late = false, .events = observe(now)};
  let_time_pass(now);
  recorded.late = generation != generation_;
  if (recorded.late && config_.late_outcomes == LateOutcomes::Drop) return recorded;
  ++tally_.exclusions;
  if (calls_) calls_->record(kExclusion, now);
  if (state_ == State::HalfOpen) take_back(1);
  return recorded;
}

void StateMachine::take_back(std::uint32_t permits) {
  probes_out_ -= std::min(probes_out_, permits);
}

std::uint32_t StateMachine::probes_available() const noexcept {
  if (state_ != State::HalfOpen) return 0;
  return config_.permitted_calls_in_half_open -
         std::min(probes_out_, config_.permitted_calls_in_half_open);
}

Events StateMachine::apply(const Counts& outcome, Instant now) {
  const bool failed = outcome.failed != 0;
  ++(failed ? tally_.failures : tally_.successes);
  tally_.consecutive_failures = failed ? tally_.consecutive_failures + 1 : 0;
  tally_.consecutive_successes = failed ? 0 : tally_.consecutive_successes + 1;
  switch (state_) {
    case State::Closed: return apply_closed(outcome, now);
    case State::HalfOpen: return apply_half_open(outcome, now);
    case State::MetricsOnly: return apply_metrics_only(outcome, now);
    case State::Open:  // Only with LateOutcomes::CurrentState: on show, moves nothing.
      if (shows_held_) {
        held_ = held_ + outcome;
      } else {
        window_.record(outcome, now);
      }
      return {};
    case State::Disabled:
    case State::ForcedOpen: return {};
  }
  return {};
}

Events StateMachine::apply_closed(const Counts& outcome, Instant now) {
  window_.record(outcome, now);
  const std::optional<Cause> cause = evaluates_on(outcome) ? cause_to_open() : std::nullopt;
  return cause ? one(open(*cause, now)) : Events{};
}

Events StateMachine::apply_half_open(const Counts& outcome, Instant now) {
  held_ = held_ + outcome;
  probe_streak_ = outcome.failed != 0 ? 0 : probe_streak_ + 1;
  if (config_.half_open_permit_mode == PermitMode::Concurrent) take_back(1);
  const std::optional<State> verdict = probes_verdict();
  if (!verdict) return {};
  if (*verdict == State::Open) return one(open(Cause::ProbesFailed, now));
  return one(enter(State::Closed, Cause::ProbesSucceeded, now));
}

Events StateMachine::apply_metrics_only(const Counts& outcome, Instant now) {
  window_.record(outcome, now);
  return evaluates_on(outcome) ? announce(reached(), now) : Events{};
}

Events StateMachine::announce(Reached reached, Instant now) {
  Events events;
  if (state_ != State::MetricsOnly) return events;
  const auto once = [&](bool is_reached, bool& announced, Event::Kind kind, Cause cause) {
    if (!is_reached || announced) return;
    announced = true;
    events.push({.kind = kind,
                 .from = state_,
                 .to = state_,
                 .cause = cause,
                 .generation = generation_,
                 .at = now});
  };
  once(reached.failures, failure_rate_announced_, Event::Kind::FailureRateExceeded,
       Cause::FailureRate);
  once(reached.slow_calls, slow_call_rate_announced_, Event::Kind::SlowCallRateExceeded,
       Cause::SlowCallRate);
  return events;
}

// ---- verdicts

bool StateMachine::evaluates_on(const Counts& outcome) const {
  return config_.evaluate_on == EvaluateOn::AnyOutcome ||
         (config_.evaluate_on == EvaluateOn::Failure && outcome.failed != 0);
}

bool StateMachine::streak_reached() const {
  const std::uint32_t streak = config_.consecutive_failures_threshold;
  return streak > 0 && window_.totals().total >= required_calls(config_) &&
         tally().consecutive_failures >= streak;
}

Reached StateMachine::reached() const {
  Reached reached = thresholds_reached(config_, window_.totals(), required_calls(config_));
  reached.failures = reached.failures || streak_reached();
  return reached;
}

std::optional<Cause> StateMachine::cause_to_open() const {
  if (streak_reached()) return Cause::ConsecutiveFailures;
  const Reached now = reached();
  return now ? std::optional(cause_of(config_, now)) : std::nullopt;
}

std::uint64_t StateMachine::probes_required() const {
  const std::uint32_t n = config_.half_open_rule.n;
  const std::uint32_t wanted = n > 0 ? n : std::max(1U, config_.minimum_calls);
  return std::min(wanted, config_.permitted_calls_in_half_open);
}

std::optional<State> StateMachine::probes_verdict() const {
  const HalfOpenRule& rule = config_.half_open_rule;
  const std::uint64_t failed = held_.failed;
  const std::uint64_t succeeded = held_.total - failed;
  const auto decide = [](bool close, bool open) -> std::optional<State> {
    if (close) return State::Closed;
    return open ? std::optional(State::Open) : std::nullopt;
  };
  switch (rule.kind) {
    case HalfOpenRule::Kind::Rate: {
      if (held_.total < probes_required()) return std::nullopt;
      // A count or a streak meant for the closed circuit may be more than the probes can reach.
      const bool streak = config_.consecutive_failures_threshold > 0;
      const bool bad = thresholds_reached(config_, held_, probes_required()) ||
                       failed == held_.total ||
                       (streak && config_.failure_rate_threshold.reached_by(failed, held_.total));
      return decide(!bad, bad);
    }
    case HalfOpenRule::Kind::ConsecutiveSuccesses:
      return decide(probe_streak_ >= rule.n, failed > 0);
    case HalfOpenRule::Kind::SuccessThreshold:
      return decide(succeeded >= rule.n, failed > rule.of - rule.n);
    case HalfOpenRule::Kind::FailureThreshold:
      return decide(succeeded > rule.of - rule.n, failed >= rule.n);
  }
  return std::nullopt;
}

// ---- transitions

Event StateMachine::enter(State to, Cause cause, Instant now) {
  const Event event{.kind = Event::Kind::StateTransition,
                    .from = state_,
                    .to = to,
                    .cause = cause,
                    .generation = ++generation_,
                    .at = now};
  const bool held = state_ == State::HalfOpen || (state_ == State::Open && shows_held_);
  shows_held_ = to == State::HalfOpen || (to == State::Open && held);
  state_ = to;
  entered_at_ = now;
  not_permitted_ = 0;
  tally_ = {};
  if (to == State::Closed || to == State::MetricsOnly || to == State::Disabled) {
    opens_since_close_ = 0;
    half_opens_since_close_ = 0;
  }
  if (to != State::Open && to != State::HalfOpen) {
    window_.reset(now);
    if (calls_) calls_->reset(now);
  }
  failure_rate_announced_ = false;
  slow_call_rate_announced_ = false;
  return event;
}

Event StateMachine::open(Cause cause, Instant now, std::optional<Duration> wait) {
  if (!wait) ++opens_since_close_;
  Event event = enter(State::Open, cause, now);
  event.open_wait = wait ? std::max(Duration::zero(), *wait) : next_open_wait();
  const Duration past = config_.boundary == Boundary::Inclusive ? Duration{0} : Duration{1};
  open_until_ = saturating_add(saturating_add(now, event.open_wait), past);
  return event;
}

Event StateMachine::half_open(Cause cause, Instant now) {
  ++half_opens_since_close_;
  probes_out_ = 0;
  held_ = {};
  held_required_ = probes_required();
  probe_streak_ = 0;
  return enter(State::HalfOpen, cause, now);
}

Duration StateMachine::next_open_wait() {
  const OpenWait& wait = config_.wait_in_open;
  if (!wait.table.empty()) {
    return wait.table[std::min<std::size_t>(half_opens_since_close_, wait.table.size() - 1)];
  }
  // Finite, so that an initial wait of 0 stays 0.
  const double factor =
      std::min(std::pow(wait.multiplier, static_cast<double>(opens_since_close_ - 1)),
               std::numeric_limits<double>::max());
  const double grown = static_cast<double>(wait.initial.count()) * factor;
  // The cap comes before the jitter, so that capped waits spread out too.
  const bool grows = wait.multiplier > 1.0;
  const double capped = grows ? std::min(grown, static_cast<double>(wait.max.count())) : grown;
  const double spread = wait.jitter == 0.0 ? 1.0 : 1.0 + wait.jitter * (2.0 * random_.unit() - 1.0);
  constexpr double kLongest = 0x1p62;  // 146 years; more would not fit a Duration.
  return Duration{static_cast<Duration::rep>(std::min(capped * spread, kLongest))};
}

Events StateMachine::evaluate(Instant now) {
  const bool looks = state_ == State::Closed || state_ == State::MetricsOnly;
  if (config_.evaluate_on != EvaluateOn::Tick || !looks) return {};
  let_window_advance(now);
  if (state_ == State::MetricsOnly) return announce(reached(), now);
  const std::optional<Cause> cause = cause_to_open();
  return cause ? one(open(*cause, now)) : Events{};
}

Events StateMachine::observe(Instant now) {
  if (config_.open_transition != OpenTransition::OnAccess || !open_wait_elapsed(now)) return {};
  return one(half_open(Cause::WaitElapsed, now));
}

Events StateMachine::transition_to(State to, Instant now, std::optional<Duration> wait) {
  const State from = state_;
  Event event;
  if (to == State::Open) {
    event = open(Cause::Manual, now, wait);
  } else if (to == State::HalfOpen) {
    event = half_open(Cause::Manual, now);
  } else {
    if (to == State::ForcedOpen) ++opens_since_close_;
    event = enter(to, Cause::Manual, now);
  }
  return from == to ? Events{} : one(event);  // Entered anew, but not a transition.
}

Events StateMachine::reset(Instant now) {
  const State from = state_;
  const Event event = enter(State::Closed, Cause::Reset, now);
  Events events;
  if (from != State::Closed) events.push(event);
  events.push({.kind = Event::Kind::Reset,
               .from = from,
               .to = State::Closed,
               .cause = Cause::Reset,
               .generation = generation_,
               .at = now});
  return events;
}

Events StateMachine::trip(Cause cause, Instant now) {
  RECOVER_CHECK(state_ == State::Closed);
  return one(open(cause, now));
}

void StateMachine::hold(const Counts& counts) {
  RECOVER_CHECK(state_ == State::Open);
  held_ = counts;
  held_required_ = required_calls(config_);
  shows_held_ = true;
}

// ---- reading

Tally StateMachine::tally() const {
  if (!calls_ || (state_ != State::Closed && state_ != State::MetricsOnly)) return tally_;
  const Counts& outcomes = window_.totals();
  const std::uint64_t successes = outcomes.total - outcomes.failed;
  // A streak begins in the window at the earliest.
  return {.requests = calls_->totals().total,
          .successes = successes,
          .failures = outcomes.failed,
          .exclusions = calls_->totals().failed,
          .consecutive_successes = std::min(tally_.consecutive_successes, successes),
          .consecutive_failures = std::min(tally_.consecutive_failures, outcomes.failed)};
}

Snapshot StateMachine::snapshot(Instant now) {
  let_window_advance(now);
  const bool counted = state_ != State::Disabled && state_ != State::ForcedOpen;
  Snapshot snapshot{.state = state_,
                    .generation = generation_,
                    .entered_at = entered_at_,
                    .counts_required = shows_held_ ? held_required_ : required_calls(config_),
                    .not_permitted = not_permitted_};
  if (counted) snapshot.counts = shows_held_ ? held_ : window_.totals();
  if (state_ == State::Open) snapshot.open_remaining = retry_after(now);
  return snapshot;
}

}  // namespace recover::circuitbreaker
