// CircuitBreaker: stops calling what keeps failing, and finds out when it works again.
//
// The rules are those of circuitbreaker::StateMachine; this puts them behind atomics. Admitting,
// refusing and recording in the closed circuit take no lock; half-open probes and transitions take
// a short mutex. Events are emitted outside it. Any thread may call any member.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include <recover/atomic_window.h>
#include <recover/circuit_breaker_config.h>
#include <recover/circuit_breaker_machine.h>
#include <recover/counters.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::circuitbreaker {

class CircuitBreaker;

// The right to make one call; give it the outcome. Dropping it is a release: the breaker counts
// nothing, and a half-open probe becomes available again. Must not outlive its breaker.
class [[nodiscard]] Permit {
 public:
  Permit(Permit&& other) noexcept
      : breaker_(std::exchange(other.breaker_, nullptr)),
        generation_(other.generation_),
        acquired_at_(other.acquired_at_),
        probe_(other.probe_) {}
  Permit& operator=(Permit&& other) noexcept {
    Permit taken(std::move(other));
    std::swap(breaker_, taken.breaker_);
    std::swap(generation_, taken.generation_);
    std::swap(acquired_at_, taken.acquired_at_);
    std::swap(probe_, taken.probe_);
    return *this;
  }
  ~Permit() {
    if (breaker_ != nullptr) release();
  }

  void success() { record(Outcome::Success); }
  void failure() { record(Outcome::Failure); }
  // Reads the breaker's clock where slow calls are counted. REQUIRES of all: used once.
  inline void record(Outcome outcome);
  // For a caller that knows what time it is.
  inline void record(Outcome outcome, Instant now);
  inline void record(Outcome outcome, Duration elapsed, Instant now);
  // The outcome of a finished operation, by the breaker's predicates.
  template <class T>
  void record_result(const Result<T>& result);
  template <class T>
  void record_result(const Result<T>& result, Instant now);
  inline void release();

  // The call begins at `now` only: what it waited for since the permit does not make it slow.
  void start_at(Instant now) noexcept { acquired_at_ = now; }

  bool is_probe() const noexcept { return probe_; }

 private:
  friend class CircuitBreaker;
  Permit(CircuitBreaker& breaker, std::uint64_t generation, Instant acquired_at,
         bool probe) noexcept
      : breaker_(&breaker), generation_(generation), acquired_at_(acquired_at), probe_(probe) {}

  template <class T>
  Outcome outcome_of_result(const Result<T>& result) const;

  CircuitBreaker* breaker_;  // Null once used or moved from.
  std::uint64_t generation_;
  Instant acquired_at_;
  bool probe_;
};

// Totals since construction, read without a lock. Each admitted call ends in exactly one of
// successful, failed, ignored, cancelled, released and late.
struct CircuitBreakerMetrics {
  State state = State::Closed;
  std::uint64_t successful = 0;
  std::uint64_t failed = 0;
  std::uint64_t slow = 0;  // Of successful and failed.
  std::uint64_t ignored = 0;
  std::uint64_t cancelled = 0;
  std::uint64_t released = 0;
  std::uint64_t late = 0;  // Admitted in an earlier state entry; changed nothing.
  std::uint64_t not_permitted = 0;
};

class CircuitBreaker {
 public:
  // REQUIRES: config.validate() holds; `clock` outlives the breaker. The default clock lags by up
  // to a kernel tick (10 ms at most), which is nothing against waits of seconds; pass
  // SteadyClock::instance() for thresholds below 100 ms.
  explicit CircuitBreaker(CircuitBreakerConfig config = {}, Clock& clock = CoarseClock::instance());
  CircuitBreaker(const CircuitBreaker&) = delete;
  CircuitBreaker& operator=(const CircuitBreaker&) = delete;
  ~CircuitBreaker() = default;

  // Refused: ErrorKind::CallNotPermitted with retry_after, but for ForcedOpen, which has none.
  Result<Permit, Rejection> try_acquire() { return try_acquire(read_clock()); }
  Result<Permit, Rejection> try_acquire(Instant now);

  // Calls the operation if permitted and records how it ended. What a predicate of the config or
  // the user's traits throw passes, after the permit was released.
  template <class F>
  requires Operation<std::remove_reference_t<F>>
  auto execute(F&& operation, const CallContext& context)
      -> OperationResult<std::remove_reference_t<F>>;
  template <class F>
  requires Operation<std::remove_reference_t<F>>
  auto execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(std::forward<F>(operation), CallContext{.stop = stop});
  }

  // As of the last operation: reading moves nothing, but state() does with
  // OpenTransition::OnAccess.
  State state();
  // State, generation, counts_required and the times are those of one moment; so are the counts of
  // a half-open, open or compatibility-mode circuit. Those of a closed circuit that records without
  // a lock hold what was recorded before this began and perhaps some of what ends meanwhile;
  // outcomes replaced meanwhile count as neither failed nor slow. Exact when nobody records.
  Snapshot snapshot();
  // Each total is exact, but they are read one after the other, and can be behind snapshot().
  CircuitBreakerMetrics metrics() const noexcept;
  // Of one moment. Counted where calls pass through the mutex: in half-open always, and everywhere
  // with a compatibility knob that makes recording take it. Otherwise the closed circuit (also
  // MetricsOnly and Disabled) leaves all of it at 0: see metrics() and snapshot().counts.
  Tally tally();

  // Lets timers that are due fire and, with EvaluateOn::Tick, looks at the thresholds. Call it at
  // next_timer() to have half-open and automatic transitions happen without a call.
  void tick();
  Instant next_timer();

  // By hand; see StateMachine.
  void transition_to(State to, std::optional<Duration> wait = std::nullopt);
  void reset();

  // Emitted after the mutex was released: events of different threads may arrive out of order,
  // which `generation` tells.
  Subscription on_event(std::function<void(const Event&)> listener) {
    return listeners_.add(std::move(listener));
  }

  const CircuitBreakerConfig& config() const noexcept { return config_; }

 private:
  friend class Permit;

  enum class Count : std::uint8_t {
    Successful,
    Failed,
    Slow,
    Ignored,
    Cancelled,
    Released,
    Late,
    NotPermitted,
    Count
  };
  class EventBuffer;

  // The published word: generation:61 state:3.
  static State state_of(std::uint64_t word) noexcept { return static_cast<State>(word & 7U); }
  static std::uint64_t generation_of(std::uint64_t word) noexcept { return word >> 3U; }

  Instant read_clock() noexcept { return coarse_ ? CoarseClock::read() : clock_.now(); }
  // In the closed circuit time matters only to a time window and to slow calls.
  bool recording_needs_clock() const noexcept { return slow_after_ > Duration::zero() || timed_; }

  void record(const Permit& permit, Outcome outcome, Duration elapsed, Instant now);
  std::optional<Counts> record_in_window(std::uint64_t generation, bool failed, bool slow,
                                         Instant now) noexcept;
  void count(Outcome outcome, bool slow) noexcept;
  Result<Permit, Rejection> refuse(Instant retry_at, Instant now) noexcept;
  Result<Permit, Rejection> acquire_slowly(Instant now);
  void record_slowly(const Permit& permit, Outcome outcome, Duration elapsed, Instant now);
  void act_on(Reached reached, std::uint64_t generation, Instant now);
  void release(const Permit& permit);

  // Runs `step(machine, now)` under the mutex after the timers due, publishes, then emits.
  template <class Step>
  auto with_machine(Instant now, Step step);
  void publish(Instant now);
  Counts window_counts(Instant now) const;

  const CircuitBreakerConfig config_;
  Clock& clock_;
  const bool coarse_;  // clock_ is the default one: read it without a virtual call.
  const Duration slow_after_;
  const std::uint64_t required_;
  const bool lock_free_;  // The closed window is one of the two below; else it is in machine_.
  const bool timed_;
  std::unique_ptr<AtomicCountWindow> count_window_;
  std::unique_ptr<AtomicTimeWindow> time_window_;

  alignas(64) std::atomic<std::uint64_t> word_{0};
  std::atomic<Instant> refuse_until_{kNever};  // Open, HalfOpen without probes: refuse before this.
  std::atomic<Instant> retry_at_{kNever};
  std::atomic<std::uint32_t> probes_available_{0};
  std::atomic<std::uint8_t> announced_{0};  // MetricsOnly: bit 0 failures, bit 1 slow calls.

  Counters<Count> counters_;
  std::mutex mutex_;
  StateMachine machine_;  // Guarded by mutex_, as the three below.
  Instant latest_;
  std::uint64_t refused_before_ = 0;  // Count::NotPermitted when the state was entered.
  std::uint64_t published_generation_ = 0;
  Listeners<Event> listeners_;
};

// ---- hot paths

inline Result<Permit, Rejection> CircuitBreaker::refuse(Instant retry_at, Instant now) noexcept {
  counters_.add(Count::NotPermitted);
  return Unexpected(Rejection{.kind = ErrorKind::CallNotPermitted,
                              .retry_after = std::max(Duration::zero(), retry_at - now)});
}

inline Result<Permit, Rejection> CircuitBreaker::try_acquire(Instant now) {
  const std::uint64_t word = word_.load(std::memory_order_acquire);
  switch (state_of(word)) {
    case State::Closed:
    case State::MetricsOnly:
    case State::Disabled:
      if (!lock_free_) break;
      return Permit(*this, generation_of(word), now, false);
    case State::Open:
      if (now >= refuse_until_.load(std::memory_order_acquire)) break;
      return refuse(retry_at_.load(std::memory_order_acquire), now);
    case State::HalfOpen:
      if (probes_available_.load(std::memory_order_acquire) > 0 ||
          now >= refuse_until_.load(std::memory_order_acquire)) {
        break;
      }
      return refuse(retry_at_.load(std::memory_order_acquire), now);
    case State::ForcedOpen:
      counters_.add(Count::NotPermitted);
      return Unexpected(Rejection{.kind = ErrorKind::CallNotPermitted});
  }
  return acquire_slowly(now);
}

inline void CircuitBreaker::count(Outcome outcome, bool slow) noexcept {
  counters_.add(outcome == Outcome::Failure ? Count::Failed : Count::Successful);
  if (slow) counters_.add(Count::Slow);
}

inline std::optional<Counts> CircuitBreaker::record_in_window(std::uint64_t generation, bool failed,
                                                              bool slow, Instant now) noexcept {
  return timed_ ? time_window_->record(generation, failed, slow, now)
                : count_window_->record(generation, failed, slow);
}

inline void CircuitBreaker::record(const Permit& permit, Outcome outcome, Duration elapsed,
                                   Instant now) {
  const std::uint64_t word = word_.load(std::memory_order_acquire);
  const State state = state_of(word);
  const bool counted = outcome == Outcome::Success || outcome == Outcome::Failure;
  const bool windowed = state == State::Closed || state == State::MetricsOnly;
  const bool current = generation_of(word) == permit.generation_;
  const bool failed = outcome == Outcome::Failure;
  const bool slow = slow_after_ > Duration::zero() && elapsed > slow_after_;
  if (lock_free_ && current && state == State::Disabled && counted) return count(outcome, slow);
  if (lock_free_ && current && !counted && !permit.probe_) {
    return counters_.add(outcome == Outcome::Ignored ? Count::Ignored : Count::Cancelled);
  }
  if (!lock_free_ || !counted || !windowed || !current) {
    return record_slowly(permit, outcome, elapsed, now);
  }
  const std::optional<Counts> counts = record_in_window(permit.generation_, failed, slow, now);
  if (!counts) return record_slowly(permit, outcome, elapsed, now);  // Late by a hair.
  count(outcome, slow);
  if (config_.evaluate_on == EvaluateOn::Failure && !failed) return;
  const Reached reached = thresholds_reached(config_, *counts, required_);
  if (reached) [[unlikely]]
    act_on(reached, permit.generation_, now);
}

inline void Permit::record(Outcome outcome) {
  RECOVER_CHECK(breaker_ != nullptr);
  const bool needs_clock = probe_ || breaker_->recording_needs_clock() || !breaker_->lock_free_;
  record(outcome, needs_clock ? breaker_->read_clock() : acquired_at_);
}

inline void Permit::record(Outcome outcome, Instant now) {
  record(outcome, now - acquired_at_, now);
}

inline void Permit::record(Outcome outcome, Duration elapsed, Instant now) {
  RECOVER_CHECK(breaker_ != nullptr);
  std::exchange(breaker_, nullptr)->record(*this, outcome, elapsed, now);
}

inline void Permit::release() {
  RECOVER_CHECK(breaker_ != nullptr);
  std::exchange(breaker_, nullptr)->release(*this);
}

template <class T>
Outcome Permit::outcome_of_result(const Result<T>& result) const {
  RECOVER_CHECK(breaker_ != nullptr);
  const std::optional<Classification> failure = failure_of(result);
  return failure ? outcome_of(breaker_->config_, *failure) : Outcome::Success;
}

template <class T>
void Permit::record_result(const Result<T>& result) {
  record(outcome_of_result(result));
}

template <class T>
void Permit::record_result(const Result<T>& result, Instant now) {
  record(outcome_of_result(result), now);
}

template <class F>
requires Operation<std::remove_reference_t<F>>
auto CircuitBreaker::execute(F&& operation, const CallContext& context)
    -> OperationResult<std::remove_reference_t<F>> {
  if (context.stop.stop_requested()) return Unexpected(Error::cancelled());
  Result<Permit, Rejection> permit = try_acquire();
  if (!permit.has_value()) return Unexpected(Error(permit.error()));
  auto result = invoke_operation(operation, context);
  permit->record_result(result);
  return result;
}

}  // namespace recover::circuitbreaker

namespace recover {
using circuitbreaker::CircuitBreaker;
}
