#include <algorithm>
#include <array>
#include <cstddef>

#include <recover/circuit_breaker.h>
#include <recover/shared_random.h>

namespace recover::circuitbreaker {
namespace {

bool keeps_window_lock_free(const CircuitBreakerConfig& config) {
  const SlidingWindow& window = config.sliding_window;
  const bool count = window.kind == WindowKind::Count;
  const bool time = window.kind == WindowKind::Time && window.alignment != Alignment::Event;
  return (count || time) && config.consecutive_failures_threshold == 0 &&
         config.evaluate_on != EvaluateOn::Tick && config.late_outcomes == LateOutcomes::Drop &&
         config.open_transition != OpenTransition::OnAccess;
}

CircuitBreakerConfig with_seed(CircuitBreakerConfig config) {
  if (config.wait_in_open.jitter > 0 && !config.seed) config.seed = entropy_seed();
  return config;
}

}  // namespace

// Events of one operation, kept while the mutex is held.
class CircuitBreaker::EventBuffer {
 public:
  // Timers that may fire in one operation. A breaker with a Timer and no calls owes one for each
  // open and half-open stay; the last two fire as of now, after which none is due.
  static constexpr std::size_t kTimersMax = 8;

  void push(const Event& event) { events_[size_++] = event; }
  void push(const Events& events) {
    for (const Event& event : events) push(event);
  }
  bool takes_timer() const { return size_ < kTimersMax; }
  bool catches_up() const { return size_ + 2 >= kTimersMax; }
  void emit(const Listeners<Event>& listeners) const {
    for (std::size_t i = 0; i < size_; ++i) listeners.emit(events_[i]);
  }

 private:
  std::array<Event, kTimersMax + 2 * Events::kMax> events_;
  std::size_t size_ = 0;
};

CircuitBreaker::CircuitBreaker(CircuitBreakerConfig config, Clock& clock)
    : config_(with_seed(std::move(config))),
      clock_(clock),
      coarse_(&clock == &CoarseClock::instance()),
      slow_after_(config_.slow_call_duration_threshold),
      required_(required_calls(config_)),
      lock_free_(keeps_window_lock_free(config_)),
      timed_(config_.sliding_window.kind == WindowKind::Time),
      machine_(config_, clock.now()),
      latest_(clock.now()) {
  if (lock_free_ && timed_) {
    time_window_ = std::make_unique<AtomicTimeWindow>(config_.sliding_window, latest_);
  } else if (lock_free_) {
    count_window_ = std::make_unique<AtomicCountWindow>(config_.sliding_window.size);
  }
  publish(latest_);
}

template <class Step>
auto CircuitBreaker::with_machine(Instant now, Step step) {
  EventBuffer events;
  std::unique_lock lock(mutex_);
  latest_ = std::max(latest_, now);  // Clock readings of different threads arrive in any order.
  while (events.takes_timer()) {
    const std::optional<Event> event =
        machine_.fire_due_timer(latest_, events.catches_up() ? latest_ : Instant::min());
    if (!event) break;
    events.push(*event);
    publish(latest_);
  }
  auto done = step(machine_, latest_, events);
  publish(latest_);
  lock.unlock();
  events.emit(listeners_);
  return done;
}

Counts CircuitBreaker::window_counts(Instant now) const {
  if (time_window_) return time_window_->counts(now);
  return count_window_ ? count_window_->counts() : Counts{};
}

// REQUIRES: mutex_ held (or construction). The word goes last: who reads it finds the rest.
void CircuitBreaker::publish(Instant now) {
  const std::uint64_t generation = machine_.generation();
  if (lock_free_ && generation != published_generation_) {
    const State before = state_of(word_.load(std::memory_order_relaxed));
    const bool windowed = before == State::Closed || before == State::MetricsOnly;
    if (machine_.state() == State::Open && windowed) machine_.hold(window_counts(now));
    if (time_window_) time_window_->restart(generation, machine_.entered_at());
    if (count_window_) count_window_->restart(generation);
    announced_.store(0, std::memory_order_relaxed);
  }
  if (generation != published_generation_) {
    refused_before_ = counters_.value(Count::NotPermitted);
  }
  published_generation_ = generation;
  const bool half_open = machine_.state() == State::HalfOpen;
  if (half_open || machine_.state() == State::Open) {
    // Left alone by the other states: a thread that has just read Open still refuses by these.
    retry_at_.store(machine_.retry_at(), std::memory_order_release);
    refuse_until_.store(half_open ? machine_.half_open_until() : machine_.retry_at(),
                        std::memory_order_release);
  }
  probes_available_.store(machine_.probes_available(), std::memory_order_release);
  word_.store(generation << 3U | static_cast<std::uint64_t>(machine_.state()),
              std::memory_order_release);
}

Result<Permit, Rejection> CircuitBreaker::acquire_slowly(Instant now) {
  return with_machine(
      now,
      [this](StateMachine& machine, Instant at, EventBuffer& events) -> Result<Permit, Rejection> {
        const Admission admission = machine.try_acquire(at);
        events.push(admission.events);
        if (admission.permitted) {
          return Permit(*this, admission.generation, at, machine.state() == State::HalfOpen);
        }
        counters_.add(Count::NotPermitted);
        return Unexpected(
            Rejection{.kind = ErrorKind::CallNotPermitted, .retry_after = admission.retry_after});
      });
}

void CircuitBreaker::record_slowly(const Permit& permit, Outcome outcome, Duration elapsed,
                                   Instant now) {
  const auto step = [&](StateMachine& machine, Instant at, EventBuffer& events) {
    const Recorded recorded = machine.record(permit.generation_, outcome, elapsed, at);
    events.push(recorded.events);
    return recorded.late && config_.late_outcomes == LateOutcomes::Drop;
  };
  // Late and dropped for sure: the generation only rises.
  const bool stale =
      lock_free_ && generation_of(word_.load(std::memory_order_acquire)) != permit.generation_;
  if (stale || with_machine(now, step)) return counters_.add(Count::Late);
  switch (outcome) {
    case Outcome::Success:
    case Outcome::Failure:
      return count(outcome, slow_after_ > Duration{0} && elapsed > slow_after_);
    case Outcome::Ignored: return counters_.add(Count::Ignored);
    case Outcome::Cancelled: return counters_.add(Count::Cancelled);
  }
}

void CircuitBreaker::release(const Permit& permit) {
  counters_.add(Count::Released);
  if (lock_free_ && !permit.probe_) return;  // The closed circuit keeps no account of permits.
  with_machine(read_clock(), [&](StateMachine& machine, Instant at, EventBuffer& events) {
    events.push(machine.release(permit.generation_, at).events);
    return 0;
  });
}

// An outcome of `generation` has reached a threshold. The first to get here opens.
void CircuitBreaker::act_on(Reached reached, std::uint64_t generation, Instant now) {
  const std::uint8_t bits =
      static_cast<std::uint8_t>((reached.failures ? 1U : 0U) | (reached.slow_calls ? 2U : 0U));
  if ((bits & ~announced_.load(std::memory_order_relaxed)) == 0) return;
  // Without a clock reading of its own, `now` is when the call began.
  if (!recording_needs_clock()) now = std::max(now, read_clock());
  with_machine(now, [&](StateMachine& machine, Instant at, EventBuffer& events) {
    if (machine.generation() != generation) return 0;
    if (machine.state() == State::MetricsOnly) {
      announced_.fetch_or(bits, std::memory_order_relaxed);
      events.push(machine.announce(reached, at));
    } else {
      events.push(machine.trip(cause_of(config_, reached), at));
    }
    return 0;
  });
}

State CircuitBreaker::state() {
  if (config_.open_transition != OpenTransition::OnAccess) {
    return state_of(word_.load(std::memory_order_acquire));
  }
  return with_machine(read_clock(), [](StateMachine& machine, Instant at, EventBuffer& events) {
    events.push(machine.observe(at));
    return machine.state();
  });
}

Snapshot CircuitBreaker::snapshot() {
  const Instant now = read_clock();
  const std::lock_guard lock(mutex_);
  latest_ = std::max(latest_, now);
  Snapshot snapshot = machine_.snapshot(latest_);
  snapshot.not_permitted = counters_.value(Count::NotPermitted) - refused_before_;
  publish(latest_);  // A tumbling period may have ended.
  const bool windowed = snapshot.state == State::Closed || snapshot.state == State::MetricsOnly;
  if (lock_free_ && windowed) snapshot.counts = window_counts(latest_);
  return snapshot;
}

CircuitBreakerMetrics CircuitBreaker::metrics() const noexcept {
  return {.state = state_of(word_.load(std::memory_order_acquire)),
          .successful = counters_.value(Count::Successful),
          .failed = counters_.value(Count::Failed),
          .slow = counters_.value(Count::Slow),
          .ignored = counters_.value(Count::Ignored),
          .cancelled = counters_.value(Count::Cancelled),
          .released = counters_.value(Count::Released),
          .late = counters_.value(Count::Late),
          .not_permitted = counters_.value(Count::NotPermitted)};
}

Tally CircuitBreaker::tally() {
  const std::lock_guard lock(mutex_);
  return machine_.tally();
}

void CircuitBreaker::tick() {
  with_machine(read_clock(), [](StateMachine& machine, Instant at, EventBuffer& events) {
    events.push(machine.evaluate(at));
    return 0;
  });
}

Instant CircuitBreaker::next_timer() {
  const std::lock_guard lock(mutex_);
  return machine_.next_timer();
}

void CircuitBreaker::transition_to(State to, std::optional<Duration> wait) {
  with_machine(read_clock(), [&](StateMachine& machine, Instant at, EventBuffer& events) {
    events.push(machine.transition_to(to, at, wait));
    return 0;
  });
}

void CircuitBreaker::reset() {
  with_machine(read_clock(), [](StateMachine& machine, Instant at, EventBuffer& events) {
    events.push(machine.reset(at));
    return 0;
  });
}

}  // namespace recover::circuitbreaker
