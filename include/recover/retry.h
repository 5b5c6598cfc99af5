// Retry: calls an operation again when its failure may pass, with a wait in between.
//
// Decides nothing itself: the rules are those of retry::Schedule, the waits those of its Clock.
// Every call ends in exactly one of the counts of RetryMetrics.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>

#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/result.h>
#include <recover/retry_schedule.h>
#include <recover/shared_random.h>
#include <recover/time.h>

namespace recover {
namespace retry {

struct RetryEvent {
  enum class Type : std::uint8_t { RetryScheduled, SucceededAfterRetry, GaveUp };
  Type type = Type::RetryScheduled;
  unsigned attempt = 1;  // The one that just ended; the next, when the call ended before it began.
  Duration delay = Duration::zero();                  // RetryScheduled
  std::optional<Classification> failure = {};         // Of that attempt, when it failed.
  std::optional<GiveUpReason> reason = std::nullopt;  // GaveUp
};

// Calls by outcome, named as in Resilience4j's Retry.Metrics; a cancelled call is in
// `cancelled_calls` alone. `retries` counts the decisions to retry, those whose wait was then cut
// short included.
struct RetryMetrics {
  std::uint64_t successful_calls_without_retry_attempt = 0;
  std::uint64_t successful_calls_with_retry_attempt = 0;
  std::uint64_t failed_calls_without_retry_attempt = 0;
  std::uint64_t failed_calls_with_retry_attempt = 0;
  std::uint64_t cancelled_calls = 0;
  std::uint64_t retries = 0;
};

// Any thread may call any member. A first attempt that succeeds allocates nothing, and reads the
// clock only when max_duration or a deadline is set.
class Retry {
 public:
  // REQUIRES: config.validate() (aborts otherwise); the clock outlives this.
  explicit Retry(RetryConfig config, Clock& clock = SteadyClock::instance());

  const RetryConfig& config() const noexcept { return config_; }

  // Blocks for the attempts and the waits between them. Returns the last result unchanged, or
  // Error::cancelled() when `stop` fires before an attempt; it interrupts a wait at once.
  template <Operation F>
  OperationResult<F> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(operation, CallContext{.stop = stop});
  }

  // The same within the context's deadline, if that is sooner than max_duration. The operation sees
  // the sooner deadline and the number of its attempt. No attempt begins after the deadline: a call
  // that comes too late is TimeoutExceeded, one whose wait took too long ends with its last result.
  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context) {
    if (context.deadline == kNever && config_.max_duration == kNoMaxDuration) [[likely]]
      return run(operation, context, begin(), Instant::min());
    return execute(operation, context, clock_->now());
  }

  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context, Instant now) {
    return run(operation, context, begin(context.deadline, now), now);
  }

  // The same without blocking, for those who wait in their own way: begin(), may_begin() before and
  // one of the three others after every attempt; each updates the metrics, the budget and the
  // listeners.
  Schedule begin(Instant deadline = kNever) noexcept {
    return config_.max_duration == kNoMaxDuration ? Schedule(config_, deadline)
                                                  : begin(deadline, clock_->now());
  }
  Schedule begin(Instant deadline, Instant now) noexcept {
    return Schedule(config_, std::min(deadline, saturating_add(now, config_.max_duration)));
  }
  // Whether the attempt is still within the deadline; false ends the call as a failed one.
  bool may_begin(const Schedule& schedule, Instant now) {
    if (now <= schedule.deadline()) [[likely]]
      return true;
    record_late(schedule);
    return false;
  }
  void record_success(const Schedule& schedule) noexcept {
    if (schedule.attempt() == 1) [[likely]] {
      counters_.add(Counter::SucceededAtOnce);
    } else {
      record_late_success(schedule);
    }
    if (config_.budget) config_.budget->on_success();
  }
  Decision record_failure(Schedule& schedule, const Classification& failure, Instant now);
  // The caller gave up while it waited, or before the first attempt.
  void record_cancelled(const Schedule& schedule);

  RetryMetrics metrics() const noexcept;
  Subscription on_event(Listeners<RetryEvent>::Listener listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  enum class Counter : std::uint8_t {
    SucceededAtOnce,
    SucceededAfterRetry,
    FailedAtOnce,
    FailedAfterRetry,
    Cancelled,
    Retries,
    Count
  };

  template <Operation F>
  OperationResult<F> run(F& operation, const CallContext& outer, Schedule schedule, Instant begun) {
    std::optional<CallContext> own;  // The outer one serves until something in it differs.
    while (!outer.stop.stop_requested()) {
      if (schedule.attempt() == 1 && !may_begin(schedule, begun)) {
        return Unexpected(Error::timeout_exceeded(Delivery::NotSent));
      }
      if (schedule.attempt() != outer.attempt || schedule.deadline() != outer.deadline) {
        own = {schedule.attempt(), schedule.deadline(), outer.stop};
      }
      OperationResult<F> result = invoke_operation(operation, own ? *own : outer);
      const std::optional<Instant> again = judge(schedule, result);
      if (!again) [[likely]]
        return result;
      if (!clock_->wait_until(*again, outer.stop)) break;
      if (!may_begin(schedule, clock_->now())) return result;
    }
    record_cancelled(schedule);
    return Unexpected(Error::cancelled());
  }

  // When to try again; none: `result` is final. A call whose judges (traits, retry_on) throw has
  // failed.
  template <class R>
  std::optional<Instant> judge(Schedule& schedule, const R& result) {
    const unsigned attempt = schedule.attempt();
    try {
      if (const std::optional<Classification> failure = failure_of(result)) {
        const Instant now = clock_->now();
        const Decision decision = record_failure(schedule, *failure, now);
        if (decision.verdict == Decision::Verdict::GiveUp) return std::nullopt;
        return saturating_add(now, decision.delay);
      }
    } catch (...) {
      record_give_up(GiveUpReason::NotRetryable, attempt);
      throw;
    }
    record_success(schedule);
    return std::nullopt;
  }

  void record_late_success(const Schedule& schedule) noexcept;
  void record_late(const Schedule& schedule);
  void record_give_up(GiveUpReason reason, unsigned attempt);

  RetryConfig config_;
  Clock* clock_;
  SharedRandom random_;
  Counters<Counter> counters_;
  Listeners<RetryEvent> listeners_;
};

}  // namespace retry

using retry::Retry;

}  // namespace recover
