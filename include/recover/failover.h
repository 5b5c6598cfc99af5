// An ordered chain of targets for the same operation: primary, secondary, tertiary, … Calls go to
// the active one; a call that fails there moves on, a target that keeps failing is taken out of
// use, and traffic returns to a better target once that has proved itself on one real call.
//
// Refuses to repeat an operation that may have had an effect, unless it is declared idempotent.
// Invariant: at most one return probe is out at a time, and a lost one blocks nothing for longer
// than probe_max_wait.
#pragma once

#include <array>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/outlier_detector.h>
#include <recover/random.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::failover {

struct FailoverConfig {
  std::size_t targets = 2;  // 1 to kTargetsMax; target 0 is the primary.
  // When a target is out of use, and for how long. Envoy's defaults, but for the share: a chain is
  // small, and 10 % of it would be nothing.
  OutlierDetectorConfig outlier = {.max_ejection_percent = 100};
  // How long a better target must have been back, and without a failure, before one call probes it.
  Duration return_to_primary_after = std::chrono::seconds{30};
  // A return probe that has not reported by then no longer holds back the next one. More than 0.
  Duration probe_max_wait = std::chrono::seconds{60};
  // Whether a call may go to a second target although the first may have acted on it.
  bool idempotent = false;
  // With every target ejected, try them in order all the same instead of refusing the call.
  bool last_resort = true;
  // Failures that speak against the target. Empty: is_failover_worthy.
  std::function<bool(const Classification&)> failover_on = {};
  std::optional<std::uint64_t> seed = {};  // Of the ejection jitter; nullopt: from entropy.

  // InvalidConfig naming the field.
  Result<void> validate() const;
};

// Transient or throttled: the target could not answer. A permanent failure is an answer.
constexpr bool is_failover_worthy(const Classification& failure) noexcept {
  return failure.persistence == Persistence::Transient ||
         failure.persistence == Persistence::Throttled;
}

// The targets a call has been to.
class TargetSet {
 public:
  constexpr bool empty() const noexcept { return bits_ == 0; }
  constexpr bool contains(std::size_t target) const noexcept {
    return ((bits_ >> target) & 1U) != 0;
  }
  constexpr void insert(std::size_t target) noexcept { bits_ |= std::uint32_t{1} << target; }
  friend constexpr bool operator==(TargetSet, TargetSet) = default;

 private:
  std::uint32_t bits_ = 0;
  static_assert(kTargetsMax <= 32);
};

enum class Outcome : std::uint8_t {
  Success,  // The target answered; a permanent error is an answer, too.
  Failure,  // Speaks against the target.
  Ignored,  // Says nothing about it: cancelled, or never sent.
};

// Where a call goes, and why there.
struct Choice {
  std::uint8_t target = 0;
  bool last_resort = false;  // Every target was ejected.
  std::uint32_t probe = 0;   // Not 0: the number of the return probe that this call is.

  friend bool operator==(const Choice&, const Choice&) = default;
};

// The health memory and the routing of a chain. Pure: no clock, no lock, no allocation; not
// thread-safe. `now` must not go backwards.
class Chain {
 public:
  struct Status {
    std::size_t active = 0;
    TargetSet ejected = {};
    friend bool operator==(const Status&, const Status&) = default;
  };

  // REQUIRES: config valid.
  Chain(const FailoverConfig& config, Instant now);

  // The next target for a call that has been to `tried`; nothing when no more is worth trying.
  // A choice with a probe number must be reported, be it as Ignored.
  std::optional<Choice> select(Instant now, TargetSet tried = {}) noexcept;

  // How the chosen call ended. `random`: 64 uniform bits for the jitter of an ejection.
  void record(const Choice& choice, Outcome outcome, Instant now, std::uint64_t random) noexcept;

  // From now until a target is let back in; nothing while one is in use.
  std::optional<Duration> retry_after(Instant now) const noexcept;

  Status status() const noexcept;
  // The primary is active and has nothing held against it: a success there would change nothing.
  bool undisturbed() const noexcept;

 private:
  std::optional<Choice> return_probe(Instant now) noexcept;
  void settle_active() noexcept;

  OutlierDetector detector_;
  Duration return_after_;
  Duration probe_max_wait_;
  bool last_resort_;
  std::size_t active_ = 0;
  std::uint32_t probe_ = 0;               // The number of the latest probe.
  Instant probe_until_ = Instant::min();  // It is out until then; Instant::min() when none is.
  std::array<Instant, kTargetsMax> last_failure_;
};

enum class EventKind : std::uint8_t {
  FailedOver,        // `to` is active now, worse than `from`.
  Returned,          // `to` is active now, better than `from`.
  TargetEjected,     // `to` is out of use.
  TargetReadmitted,  // `to` may be used again; noticed at the next call that looks.
};

// Emitted on the thread whose call caused or noticed it.
struct Event {
  EventKind kind = EventKind::FailedOver;
  std::size_t from = 0;
  std::size_t to = 0;
  Instant at;
};

struct Metrics {
  std::uint64_t successful = 0;  // Attempts at a target, by outcome.
  std::uint64_t failed = 0;
  std::uint64_t moved_on = 0;   // Attempts at a further target of the same call.
  std::uint64_t exhausted = 0;  // Calls refused because every target was out.
  std::uint64_t failovers = 0;
  std::uint64_t returns = 0;
  std::uint64_t ejections = 0;
  std::uint64_t readmissions = 0;
  std::size_t active_target = 0;
};

// The operation of a chain with its target filled in.
template <class F>
struct OnTarget {
  F& operation;
  std::size_t target;

  template <class... Args>
  requires std::invocable<F&, std::size_t, Args...>
  decltype(auto) operator()(Args&&... args) const {
    return std::invoke(operation, target, std::forward<Args>(args)...);
  }
};

template <class F>
concept TargetOperation = Operation<OnTarget<F>>;

// Any thread. While the primary is active and well a call takes no lock and reads no clock;
// otherwise two short locks.
class FailoverChain {
 public:
  // One attempt at one target. Dropped without a record: Ignored. Any one thread at a time.
  class Attempt {
   public:
    Attempt(Attempt&& other) noexcept
        : chain_(std::exchange(other.chain_, nullptr)), choice_(other.choice_) {}
    Attempt& operator=(Attempt&& other) noexcept {
      if (this == &other) return *this;
      report(Outcome::Ignored);
      chain_ = std::exchange(other.chain_, nullptr);
      choice_ = other.choice_;
      return *this;
    }
    ~Attempt() { report(Outcome::Ignored); }

    std::size_t target() const noexcept { return choice_.target; }
    bool is_probe() const noexcept { return choice_.probe != 0; }
    // At most once.
    void record(Outcome outcome) noexcept { report(outcome); }

   private:
    friend class FailoverChain;
    Attempt(FailoverChain& chain, const Choice& choice) noexcept
        : chain_(&chain), choice_(choice) {}
    void report(Outcome outcome) noexcept {
      if (chain_ != nullptr) std::exchange(chain_, nullptr)->record(choice_, outcome);
    }

    FailoverChain* chain_;
    Choice choice_;
  };

  // REQUIRES: config valid; clock outlives the chain, which outlives its attempts.
  explicit FailoverChain(const FailoverConfig& config, Clock& clock = SteadyClock::instance());

  // The next target for a call that has been to `tried`. Rejection: NoHealthyTarget.
  Result<Attempt, Rejection> try_acquire(TargetSet tried = {}) {
    if (tried.empty() && undisturbed_.load(std::memory_order_acquire)) [[likely]] {
      return Attempt(*this, Choice{});
    }
    return select(clock_.now(), tried);
  }
  Result<Attempt, Rejection> try_acquire(Instant now, TargetSet tried = {}) {
    if (tried.empty() && undisturbed_.load(std::memory_order_acquire)) [[likely]] {
      return Attempt(*this, Choice{});
    }
    return select(now, tried);
  }

  // Calls operation(target), operation(target, context) or either with a std::stop_token at the
  // end, moving on as the config allows. The outcome is that of the last target tried;
  // NoHealthyTarget when none was.
  template <TargetOperation F>
  OperationResult<OnTarget<F>> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(operation, CallContext{.stop = stop});
  }
  template <TargetOperation F>
  OperationResult<OnTarget<F>> execute(F&& operation, const CallContext& context);

  // What a failure means for the target it came from.
  Outcome outcome_of(const std::optional<Classification>& failure) const;
  // Whether a failed call may go to a further target.
  bool may_move_on(const Classification& failure, const CallContext& context) const;

  // A snapshot, exact only while no call is running. No lock.
  Metrics metrics() const noexcept;
  Subscription on_event(std::function<void(const Event&)> listener);

 private:
  enum class Counter : std::uint8_t {
    Successful,
    Failed,
    MovedOn,
    Exhausted,
    FailedOver,
    Returned,
    Ejected,
    Readmitted,
    Count,
  };

  Result<Attempt, Rejection> select(Instant now, TargetSet tried);
  void record(const Choice& choice, Outcome outcome) noexcept {
    if (outcome == Outcome::Success) [[likely]] {
      counters_.add(Counter::Successful);
      const bool on_primary = choice.target == 0 && choice.probe == 0 && !choice.last_resort;
      if (on_primary && undisturbed_.load(std::memory_order_acquire)) return;
    }
    record_disturbed(choice, outcome);
  }
  void record_disturbed(const Choice& choice, Outcome outcome) noexcept;
  void announce(const Chain::Status& before, const Chain::Status& after, Instant now);
  void publish() noexcept;

  const FailoverConfig config_;
  Clock& clock_;
  std::atomic<bool> undisturbed_{true};
  std::atomic<std::size_t> active_{0};
  std::mutex mutex_;  // Guards the two below.
  Chain chain_;
  Random random_;
  Counters<Counter> counters_;
  Listeners<Event> listeners_;
};

template <TargetOperation F>
OperationResult<OnTarget<F>> FailoverChain::execute(F&& operation, const CallContext& context) {
  if (context.stop.stop_requested()) return Unexpected(Error::cancelled());
  if (context.deadline != kNever && clock_.now() > context.deadline) {
    return Unexpected(Error::timeout_exceeded(Delivery::NotSent));
  }
  TargetSet tried;
  Result<Attempt, Rejection> attempt = try_acquire(tried);
  if (!attempt) return Unexpected(Error(attempt.error()));
  for (;;) {
    OnTarget<F> on_target{operation, attempt->target()};
    OperationResult<OnTarget<F>> result = invoke_operation(on_target, context);
    const std::optional<Classification> failure = failure_of(result);
    attempt->record(outcome_of(failure));
    if (!failure || !may_move_on(*failure, context)) return result;
    tried.insert(attempt->target());
    Result<Attempt, Rejection> next = try_acquire(tried);
    if (!next) return result;
    counters_.add(Counter::MovedOn);
    attempt = std::move(next);
  }
}

}  // namespace recover::failover

namespace recover {
using failover::FailoverChain;
using failover::FailoverConfig;
}  // namespace recover
