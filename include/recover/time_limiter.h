// A bound on how long a call may take: a deadline for the operation, and a stop request when it
// passes.
//
// A thread cannot be killed in C++, so nothing here abandons a running operation: the operation is
// told its deadline, is asked to stop through its token, and its answer is discarded when it comes
// too late. Invariant: execute() returns only after the operation has returned.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/result.h>
#include <recover/time.h>
#include <recover/timer.h>

namespace recover::timelimiter {

// The default is that of Resilience4j's TimeLimiterConfig.
struct TimeLimiterConfig {
  Duration timeout_duration = std::chrono::seconds{1};  // More than 0.
  // True: an operation may keep its std::stop_token past its return, at the price of an allocation
  // a call. Such a token fires for its own call only; afterwards stop_possible() is false.
  bool retainable_tokens = false;

  // InvalidConfig naming the field.
  Result<void> validate() const;
};

// The earlier of the caller's own deadline and `now` + `timeout`. REQUIRES: timeout >= 0.
constexpr Instant deadline_for(Duration timeout, Instant now, Instant callers) noexcept {
  return std::min(saturating_add(now, timeout), callers);
}

enum class Verdict : std::uint8_t {
  InTime,     // The operation's own outcome stands.
  TimedOut,   // Finished after its deadline, or was stopped by it: the outcome is discarded.
  Cancelled,  // The caller gave up, and the operation failed or came too late.
};

// How a call ended.
struct Finish {
  Instant deadline;
  Instant finished_at;
  bool failed = false;          // The operation reported a failure.
  bool stop_fired = false;      // The deadline requested the stop.
  bool caller_stopped = false;  // The caller requested the stop.
};

// A call that finishes at its deadline is in time, unless the deadline's stop request reached it
// first. A call that succeeded in time stands even when the caller had given up.
constexpr Verdict judge(const Finish& finish) noexcept {
  const bool late = finish.stop_fired || finish.finished_at > finish.deadline;
  if (!late && !finish.failed) [[likely]]
    return Verdict::InTime;
  if (finish.caller_stopped) return Verdict::Cancelled;
  return late ? Verdict::TimedOut : Verdict::InTime;
}

// What to answer without calling at all; nothing when the call may start.
inline std::optional<Verdict> judge_start(Instant now, const CallContext& context) noexcept {
  if (context.stop.stop_requested()) return Verdict::Cancelled;
  if (context.deadline < now) return Verdict::TimedOut;
  return std::nullopt;
}

// Emitted for each call that timed out, on the caller's thread, after the operation has returned.
struct CallTimedOut {
  Instant at;
  Duration elapsed{};  // Since the call started; 0 when it was not even begun.
};

// Every finished call is in exactly one of these.
struct Metrics {
  std::uint64_t successful = 0;
  std::uint64_t failed = 0;
  std::uint64_t timed_out = 0;
  std::uint64_t cancelled = 0;
};

// Where the stop source of a call comes from.
enum class StopSource : std::uint8_t {
  Pooled,  // A small store of the thread, where it goes back to unless it was used up: a call which
           // finishes in time allocates nothing. std::stop_source cannot tell whether somebody
           // still holds a token of it, so nobody may.
  Fresh,   // Allocated for the call.
};

// Requests a stop at a deadline, and when the caller does; for one call.
class DeadlineStop final : private Timer::Entry {
 public:
  DeadlineStop(Timer& timer, Instant deadline, std::stop_token callers,
               StopSource from = StopSource::Pooled);
  DeadlineStop(const DeadlineStop&) = delete;
  DeadlineStop& operator=(const DeadlineStop&) = delete;
  ~DeadlineStop() override;

  // False: the timer is full and the deadline would go unnoticed.
  bool armed() const noexcept { return armed_; }
  std::stop_token token() const noexcept { return source_.get_token(); }
  // No stop request of this call begins after it returns. True: the deadline had requested one.
  bool disarm() noexcept;

 private:
  struct Forward {
    std::stop_source& source;
    void operator()() const noexcept { source.request_stop(); }
  };

  void expired() noexcept override { source_.request_stop(); }

  Timer& timer_;
  const StopSource from_;
  std::stop_source source_;
  std::optional<std::stop_callback<Forward>> callers_;
  bool armed_;
  bool waiting_;
};

// Bounds every call that goes through execute(). Any thread; no lock and no allocation for an
// operation that takes no token, one short lock of the timer each way for one that does.
class TimeLimiter {
 public:
  // REQUIRES: config valid; clock and timer outlive the limiter and share a time line.
  explicit TimeLimiter(const TimeLimiterConfig& config = {}, Clock& clock = SteadyClock::instance(),
                       Timer& timer = ThreadTimer::instance());

  // Calls `operation` with CallContext::deadline set. Errors: the operation's own,
  // TimeoutExceeded, Cancelled, and BulkheadFull when the timer has no room for a token's deadline.
  // An operation that takes a std::stop_token must not keep it, or a stop callback on it, past its
  // return, unless retainable_tokens is set: a later call of the thread may use the same one, and
  // the kept one then fires when that call times out or is cancelled. It never harms the later
  // call. A token that has fired is not used again. Stop callbacks run on the timer's thread.
  template <Operation F>
  OperationResult<F> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(operation, CallContext{.stop = stop}, clock_.now());
  }
  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context) {
    return execute(operation, context, clock_.now());
  }
  // `now` is the caller's own reading of this limiter's clock.
  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context, Instant now);

  // The same without blocking, for those who watch the deadline in their own way: begin(), then
  // end() with how the call ended. Both count and emit as execute() does.
  // The deadline of a call begun at `now`, or the Error to answer without calling at all.
  Result<Instant> begin(const CallContext& context, Instant now);
  // The Error that replaces the outcome; nothing when that stands.
  std::optional<Error> end(const Finish& finish, Instant started_at);

  Duration timeout_duration() const noexcept { return timeout_duration_; }
  Metrics metrics() const noexcept;
  Subscription on_event(std::function<void(const CallTimedOut&)> listener);

 private:
  enum class Counter : std::uint8_t { Successful, Failed, TimedOut, Cancelled, Count };

  // Counts and emits a call whose outcome does not stand. REQUIRES: verdict is not InTime.
  Error refuse(Verdict verdict, Instant started_at, Instant at);
  Error give_up(Verdict verdict, Instant started_at, Instant at);
  void count(Verdict verdict, Instant started_at, Instant at);

  Duration timeout_duration_;
  StopSource stop_source_;
  Clock& clock_;
  Timer& timer_;
  Counters<Counter> counters_;
  Listeners<CallTimedOut> listeners_;
};

template <Operation F>
OperationResult<F> TimeLimiter::execute(F&& operation, const CallContext& context, Instant now) {
  if (const std::optional<Verdict> verdict = judge_start(now, context)) [[unlikely]] {
    return Unexpected(refuse(*verdict, now, now));
  }
  CallContext inner = context;
  inner.deadline = deadline_for(timeout_duration_, now, context.deadline);
  bool stop_fired = false;
  const auto call = [&]() -> OperationResult<F> {
    if constexpr (!detail::kWantsStopToken<F&>) {
      return invoke_operation(operation, inner);
    } else {
      DeadlineStop stop(timer_, inner.deadline, context.stop, stop_source_);
      if (!stop.armed()) return Unexpected(Error(Rejection{.kind = ErrorKind::BulkheadFull}));
      inner.stop = stop.token();
      OperationResult<F> result = invoke_operation(operation, inner);
      inner.stop = {};
      stop_fired = stop.disarm();
      return result;
    }
  };
  OperationResult<F> result = call();
  const Instant end = clock_.now();
  const bool failed = ResultTraits<OperationResult<F>>::is_failure(result);
  const Verdict verdict = judge({.deadline = inner.deadline,
                                 .finished_at = end,
                                 .failed = failed,
                                 .stop_fired = stop_fired,
                                 .caller_stopped = context.stop.stop_requested()});
  if (verdict != Verdict::InTime) [[unlikely]]
    return Unexpected(give_up(verdict, now, end));
  counters_.add(failed ? Counter::Failed : Counter::Successful);
  return result;
}

}  // namespace recover::timelimiter

namespace recover {
using timelimiter::TimeLimiter;
using timelimiter::TimeLimiterConfig;
}  // namespace recover
