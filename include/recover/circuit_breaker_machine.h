// The circuit breaker as a pure state machine: calls and time go in, verdicts and events come out.
//
// No clock, lock, thread or allocation after construction. Every rule of the breaker is here, once;
// CircuitBreaker (circuit_breaker.h) puts it behind atomics. Not thread-safe.
// Invariants: the generation rises by one with each state entry; an operation causes at most one
// transition, and each transition yields exactly one StateTransition event.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <recover/circuit_breaker_config.h>
#include <recover/random.h>
#include <recover/sliding_window.h>

namespace recover::circuitbreaker {

// What one operation caused, in order. At most two: a reset is a transition and a Reset event.
class Events {
 public:
  static constexpr std::size_t kMax = 2;

  void push(const Event& event) { events_[size_++] = event; }
  const Event* begin() const noexcept { return events_.data(); }
  const Event* end() const noexcept { return events_.data() + size_; }
  std::size_t size() const noexcept { return size_; }

 private:
  std::array<Event, kMax> events_ = {};
  std::size_t size_ = 0;
};

struct Admission {
  bool permitted = false;
  std::uint64_t generation = 0;  // Of the state that admitted; give it back with the outcome.
  std::optional<Duration> retry_after;  // When refused: from now; nullopt in ForcedOpen.
  Events events;
};

struct Recorded {
  bool late = false;  // The generation is over; nothing was changed.
  Events events;
};

// The numbers gobreaker keeps, since the current generation began; where a Time window is aligned
// to the state entry, of the calls that are in it.
struct Tally {
  std::uint64_t requests = 0;  // Admitted.
  std::uint64_t successes = 0;
  std::uint64_t failures = 0;
  std::uint64_t exclusions = 0;  // Ignored, cancelled or released.
  std::uint64_t consecutive_successes = 0;
  std::uint64_t consecutive_failures = 0;
};

struct Snapshot {
  State state = State::Closed;
  std::uint64_t generation = 0;
  Instant entered_at = {};
  Counts counts = {};                 // In the window; in HalfOpen, of the probes.
  std::uint64_t counts_required = 0;  // Below this many there is no rate.
  std::uint64_t not_permitted = 0;    // Since the state was entered.
  std::optional<Duration> open_remaining = std::nullopt;  // In Open.

  // Percent; nullopt below counts_required.
  std::optional<double> failure_rate() const;
  std::optional<double> slow_call_rate() const;
};

// Which thresholds these counts reach; consecutive failures are not told from counts.
struct Reached {
  bool failures = false;  // The rate, or the count where the config names one.
  bool slow_calls = false;

  explicit constexpr operator bool() const noexcept { return failures || slow_calls; }
};

// `required`: with fewer outcomes nothing is reached.
inline Reached thresholds_reached(const CircuitBreakerConfig& config, const Counts& counts,
                                  std::uint64_t required) noexcept {
  if (counts.total < required) return {};
  Reached reached;
  if (config.failure_count_threshold > 0) {
    reached.failures = counts.failed >= config.failure_count_threshold;
  } else if (config.consecutive_failures_threshold == 0) {
    reached.failures = config.failure_rate_threshold.reached_by(counts.failed, counts.total);
  }
  reached.slow_calls = config.slow_call_duration_threshold > Duration::zero() &&
                       config.slow_call_rate_threshold.reached_by(counts.slow, counts.total);
  return reached;
}

// What opens the circuit for it. REQUIRES: something was reached.
Cause cause_of(const CircuitBreakerConfig& config, Reached reached);

// minimum_calls, capped by what the closed window can hold.
std::uint64_t required_calls(const CircuitBreakerConfig& config);

class StateMachine {
 public:
  // Starts Closed. REQUIRES: config.validate() holds.
  StateMachine(CircuitBreakerConfig config, Instant now);

  // `now` never goes backwards between calls of any of these.

  // One timer that is due at `now` fires, as of the instant it was due or as of `not_before`, the
  // later of the two. Call until it returns nothing before any other operation at `now`; a wrapper
  // does this for its user.
  std::optional<Event> fire_due_timer(Instant now, Instant not_before = Instant::min());
  // The next instant at which fire_due_timer() has something to do; kNever when none is known.
  Instant next_timer() const;

  Admission try_acquire(Instant now);
  // The call admitted in `generation` ended after `elapsed`.
  Recorded record(std::uint64_t generation, Outcome outcome, Duration elapsed, Instant now);
  // Gives a permit back without an outcome.
  Recorded release(std::uint64_t generation, Instant now);
  // EvaluateOn::Tick: looks at the thresholds now. Otherwise does nothing.
  Events evaluate(Instant now);
  // OpenTransition::OnAccess: reading the state is an access. Otherwise does nothing.
  Events observe(Instant now);
  // By hand. `wait`, with Open, replaces the open wait once and does not count as an opening.
  Events transition_to(State to, Instant now, std::optional<Duration> wait = std::nullopt);
  // By hand: Closed with empty metrics, whatever the state.
  Events reset(Instant now);

  // For a wrapper that keeps the window outside (then the one in here stays empty):
  // Opens because that window has reached a threshold. REQUIRES: Closed.
  Events trip(Cause cause, Instant now);
  // MetricsOnly: the events for thresholds reached for the first time in this stay.
  Events announce(Reached reached, Instant now);
  // What snapshot() shows while Open. REQUIRES: Open.
  void hold(const Counts& counts);

  State state() const noexcept { return state_; }
  std::uint64_t generation() const noexcept { return generation_; }
  Instant entered_at() const noexcept { return entered_at_; }
  Instant half_open_until() const noexcept;  // kNever when half-open may last for ever.
  std::uint32_t probes_available() const noexcept;
  // As of the last operation.
  Tally tally() const;
  const CircuitBreakerConfig& config() const noexcept { return config_; }
  // Reading touches an Event-aligned window, hence not const; with the others nothing changes.
  Snapshot snapshot(Instant now);
  // From now until a refused caller should try again.
  std::optional<Duration> retry_after(Instant now) const;
  // Open or HalfOpen: the first instant at which a refused caller may be let in; kNever otherwise.
  Instant retry_at() const noexcept;

 private:
  Event enter(State to, Cause cause, Instant now);
  Event open(Cause cause, Instant now, std::optional<Duration> wait = std::nullopt);
  Event half_open(Cause cause, Instant now);
  Duration next_open_wait();
  void let_window_advance(Instant now);
  // The same without touching an Event-aligned window: only records and reads do.
  void let_time_pass(Instant now);
  void take_back(std::uint32_t permits);
  Events apply(const Counts& outcome, Instant now);
  Events apply_closed(const Counts& outcome, Instant now);
  Events apply_half_open(const Counts& outcome, Instant now);
  Events apply_metrics_only(const Counts& outcome, Instant now);
  bool evaluates_on(const Counts& outcome) const;
  bool streak_reached() const;
  Reached reached() const;
  std::optional<Cause> cause_to_open() const;
  bool open_wait_elapsed(Instant now) const noexcept {
    return state_ == State::Open && now >= open_until_;
  }
  std::optional<State> probes_verdict() const;
  std::uint64_t probes_required() const;

  CircuitBreakerConfig config_;
  Window window_;
  // With Alignment::StateEntry, requests (as total) and exclusions (as failed) roll with window_.
  std::optional<Window> calls_;
  Random random_;
  State state_ = State::Closed;
  std::uint64_t generation_ = 1;
  Instant entered_at_;
  Instant open_until_ = kNever;  // The first instant at which the wait is over.
  std::uint32_t opens_since_close_ = 0;
  std::uint32_t half_opens_since_close_ = 0;
  std::uint32_t probes_out_ = 0;  // HalfOpen: permits that have not come back to be used again.
  Counts held_ = {};              // Outcomes counted outside window_: of the probes, or by hold().
  std::uint64_t held_required_ = 0;
  bool shows_held_ = false;
  std::uint64_t probe_streak_ = 0;  // Successes in a row.
  std::uint64_t not_permitted_ = 0;
  bool failure_rate_announced_ = false;
  bool slow_call_rate_announced_ = false;
  Tally tally_ = {};
};

}  // namespace recover::circuitbreaker
