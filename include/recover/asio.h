// The third tier: a pipeline around an Asio coroutine, for any completion token, without blocking a
// thread. Needs Boost.Asio; no other header of the library knows of it.
//
// Each call is one coroutine on a strand of its own. Deadlines and the caller's cancellation
// interrupt it by Asio's cancellation; nothing abandons an operation: a call completes after its
// operation has. Invariant: it completes once, never inside async_execute(), and by then all its
// permits are back; they go back too when the execution context is destroyed first.
//
// One file, though a long one: no other public header may include Boost.
#pragma once

#include <boost/asio/any_completion_executor.hpp>
#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <concepts>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <system_error>
#include <type_traits>
#include <utility>

#include <recover/error.h>
#include <recover/operation.h>
#include <recover/pipeline.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover {

// Boost's codes are the standard's, and two more kinds: the end of a stream is a lost connection;
// a name that was not resolved has reached nobody.
template <>
struct ErrorTraits<boost::system::error_code> {
  static Classification classify(const boost::system::error_code& code) {
    return to_error(code).classification();
  }
  static Error to_error(const boost::system::error_code& code) {
    const auto& category = code.category();
    if (code == boost::asio::error::eof) {
      return Error(ErrorKind::OperationFailed, {.error_class = ErrorClass::Connection},
                   code.message());
    }
    if (category == boost::asio::error::get_netdb_category() ||
        category == boost::asio::error::get_addrinfo_category()) {
      return Error(ErrorKind::OperationFailed,
                   {.error_class = ErrorClass::Connection, .delivery = Delivery::NotSent},
                   code.message());
    }
    return Error::from_code(code);
  }
};

namespace async {

using Executor = boost::asio::any_io_executor;
using boost::asio::awaitable;
using pipeline::Admission;
using pipeline::WithFallback;

namespace detail {

template <class A>
struct Awaited;
template <class T>
struct Awaited<awaitable<T, Executor>> {
  using type = T;
};

template <class F>
decltype(auto) start(F& operation, const CallContext& context) {
  if constexpr (std::invocable<F&, const CallContext&>) {
    return operation(context);
  } else {
    return operation();
  }
}

template <class T, class E>
Result<T> with_error(Result<T, E> result) {
  return std::move(result).transform_error(
      [](E error) { return ErrorTraits<E>::to_error(std::move(error)); });
}

}  // namespace detail

// What the coroutine of an operation yields, and the Result<T> that makes of the call.
template <class F>
using Yield = typename detail::Awaited<std::remove_cvref_t<decltype(detail::start(
    std::declval<F&>(), std::declval<const CallContext&>()))>>::type;
template <class F>
using Outcome = typename recover::detail::Normalised<Yield<F>>::type;

// A callable of a CallContext, or of nothing, that returns an awaitable<void>, awaitable<T> or
// awaitable<Result<T, E>>. The context is valid until the coroutine ends; its stop token is empty:
// a coroutine is stopped by Asio's (terminal) cancellation.
template <class F>
concept Operation = requires {
  typename Yield<F>;
};

// An exception of Boost carries its code, others are classified as everywhere.
inline Error error_of(const std::exception_ptr& exception) {
  try {
    std::rethrow_exception(exception);
  } catch (const boost::system::system_error& thrown) {
    return ErrorTraits<boost::system::error_code>::to_error(thrown.code());
  } catch (...) {
    return Error::from_exception(exception);
  }
}

class Call;

// The deadline of a TimeLimiter, which interrupts the call when it passes. On the call's strand.
class Deadline {
 public:
  // `limiter` may be null. `outer` is the deadline around this one: when that has passed, so has
  // this.
  Deadline(const Executor& strand, TimeLimiter* limiter, const Deadline* outer = nullptr)
      : timer_(strand), limiter_(limiter), outer_(outer) {}

  TimeLimiter* limiter() const noexcept { return limiter_; }
  bool passed() const noexcept { return passed_ || (outer_ != nullptr && outer_->passed_); }

  void arm(std::shared_ptr<Call> call, Duration wait);
  // No interruption by this deadline begins after it returns.
  void disarm() {
    ++arming_;
    passed_ = false;
    timer_.cancel();
  }

 private:
  boost::asio::steady_timer timer_;
  TimeLimiter* limiter_;
  const Deadline* outer_;
  std::uint64_t arming_ = 0;  // Tells an expiry that was under way when it was disarmed.
  bool passed_ = false;
};

// What the coroutine of one call shares with its timers, the caller's cancellation and the
// bulkhead. Owned by them all. It never touches a policy after the coroutine has ended. On its
// strand, but for executor() and slot().
class Call : public std::enable_shared_from_this<Call> {
 public:
  Call(const Executor& executor, const Policies& policies)
      : strand_(boost::asio::make_strand(executor)),
        policies_(policies),
        timer_(strand_),
        total_(strand_, policies.total_timeout),
        attempt_(strand_, policies.attempt_timeout, &total_) {}

  const Executor& executor() const noexcept { return strand_; }
  const Policies& policies() const noexcept { return policies_; }
  Instant now() const noexcept { return policies_.clock->now(); }
  Deadline& total() noexcept { return total_; }
  Deadline& attempt() noexcept { return attempt_; }
  // Where the coroutine listens for interruptions.
  boost::asio::cancellation_slot slot() noexcept { return signal_.slot(); }

  // The caller gives up.
  void cancel() {
    cancelled_ = true;
    interrupt();
  }
  // Stops what the coroutine is waiting for.
  void interrupt() { signal_.emit(boost::asio::cancellation_type::terminal); }
  void wake() { timer_.cancel(); }

  bool cancelled() const noexcept { return cancelled_; }
  bool interrupted() const noexcept { return cancelled_ || attempt_.passed(); }
  // REQUIRES: interrupted().
  Error interruption() const { return cancelled_ ? Error::cancelled() : Error::timeout_exceeded(); }

  void expire_after(Duration wait) { timer_.expires_after(wait); }
  // True when the timer has expired; false when something woke or interrupted the coroutine.
  awaitable<bool> expiry() {
    const auto [error] =
        co_await timer_.async_wait(boost::asio::as_tuple(boost::asio::use_awaitable));
    co_return !error;
  }

 private:
  const Executor strand_;
  const Policies policies_;
  boost::asio::cancellation_signal signal_;
  boost::asio::steady_timer timer_;  // Of the waits between attempts and for the limiters.
  Deadline total_;
  Deadline attempt_;
  bool cancelled_ = false;
};

inline void Deadline::arm(std::shared_ptr<Call> call, Duration wait) {
  timer_.expires_after(wait);
  timer_.async_wait([this, call = std::move(call), arming = arming_](const auto& error) {
    if (error || arming != arming_) return;
    passed_ = true;
    call->interrupt();
  });
}

// Disarms at the end of a scope.
class ArmedDeadline {
 public:
  ArmedDeadline(Deadline& deadline, Call& call, Duration wait) : deadline_(deadline) {
    deadline.arm(call.shared_from_this(), wait);
  }
  ArmedDeadline(const ArmedDeadline&) = delete;
  ArmedDeadline& operator=(const ArmedDeadline&) = delete;
  // NOLINTNEXTLINE(bugprone-exception-escape): cancelling a timer fails in theory only.
  ~ArmedDeadline() { deadline_.disarm(); }

 private:
  Deadline& deadline_;
};

// A place in a bulkhead's queue; given up when dropped.
class QueuePlace final : public bulkhead::Waiter {
 public:
  QueuePlace(Call& call, Bulkhead& bulkhead) : call_(call), bulkhead_(bulkhead) {}
  QueuePlace(const QueuePlace&) = delete;
  QueuePlace& operator=(const QueuePlace&) = delete;
  ~QueuePlace() override { static_cast<void>(leave(false)); }

  // As Bulkhead::enqueue().
  Result<bulkhead::Permit, Rejection> enter() {
    auto permit = bulkhead_.enqueue(*this);
    queued_ = permit.has_value() && !permit->held();
    return permit;
  }
  bool has_permit() const {
    const std::lock_guard lock(mutex_);
    return permit_.held();
  }
  // The permit if one was given; otherwise the place is given up. Blocks for as long as another
  // thread needs to hand it over.
  bulkhead::Permit leave(bool expired) {
    if (!std::exchange(queued_, false)) return {};
    if (expired ? bulkhead_.expire(*this) : bulkhead_.cancel(*this)) return {};
    std::unique_lock lock(mutex_);
    given_.wait(lock, [this] { return permit_.held(); });
    return std::move(permit_);
  }

 private:
  // NOLINTNEXTLINE(bugprone-exception-escape): without memory for the post, there is no going on.
  void granted(bulkhead::Permit permit) noexcept override {
    // All under the lock: as soon as leave() gets it, this place and even the executor may be gone.
    const std::lock_guard lock(mutex_);
    permit_ = std::move(permit);
    boost::asio::post(call_.executor(), [call = call_.shared_from_this()] { call->wake(); });
    given_.notify_one();
  }

  Call& call_;
  Bulkhead& bulkhead_;
  bool queued_ = false;
  mutable std::mutex mutex_;
  std::condition_variable given_;
  bulkhead::Permit permit_;
};

// ---- The pieces of a call. Each runs on the call's strand and takes what outlives it by
// reference.

// True: the time has passed. False: the call was interrupted.
inline awaitable<bool> sleep(Call& call, Duration wait) {
  call.expire_after(wait);
  bool expired = false;
  while (!expired && !call.interrupted()) expired = co_await call.expiry();
  co_return expired && !call.interrupted();
}

inline awaitable<Result<bulkhead::Permit>> wait_in_queue(Call& call, Bulkhead& bulkhead,
                                                         Duration patience) {
  QueuePlace place(call, bulkhead);
  Result<bulkhead::Permit, Rejection> entry = place.enter();
  if (!entry.has_value()) co_return Unexpected(Error(entry.error()));
  if (entry->held()) co_return std::move(*entry);
  call.expire_after(patience);
  bool expired = false;
  while (!expired && !call.interrupted() && !place.has_permit()) expired = co_await call.expiry();
  bulkhead::Permit permit = place.leave(expired);
  if (permit.held()) co_return std::move(permit);
  if (call.interrupted()) co_return Unexpected(call.interruption());
  co_return Unexpected(Error(Rejection{.kind = ErrorKind::BulkheadFull}));
}

inline awaitable<Result<bulkhead::Permit>> enter(Call& call, Bulkhead& bulkhead, Instant deadline) {
  Duration patience = bulkhead.config().max_wait_duration;
  if (patience > Duration::zero()) patience = std::min(patience, deadline - call.now());
  if (patience > Duration::zero()) co_return co_await wait_in_queue(call, bulkhead, patience);
  Result<bulkhead::Permit, Rejection> permit = bulkhead.try_acquire();
  if (!permit.has_value()) co_return Unexpected(Error(permit.error()));
  co_return std::move(*permit);
}

// Waits for its turn.
inline awaitable<Result<void>> pass(Call& call, RateLimiter& limiter, Instant deadline) {
  const Instant now = call.now();
  const auto wait = limiter.reserve(now, 1, saturating_sub(deadline, now));
  if (!wait.has_value()) co_return Unexpected(Error(wait.error()));
  if (*wait == Duration::zero()) co_return Result<void>();
  const bool passed = co_await sleep(call, *wait);
  if (!passed) co_return Unexpected(call.interruption());
  co_return Result<void>();
}

// Takes the permit of a policy that never makes a call wait. The refusal, if any.
template <class Policy, class Permit>
std::optional<Rejection> take(Policy* policy, Instant now, std::optional<Permit>& into) {
  if (policy == nullptr) return std::nullopt;
  auto permit = policy->try_acquire(now);
  if (!permit.has_value()) return permit.error();
  into.emplace(*std::move(permit));
  return std::nullopt;
}

// The permits for one attempt, in the pipeline's order.
inline awaitable<Result<Admission>> admit(Call& call, Instant deadline) {
  const Policies& policies = call.policies();
  Admission admission;
  if (call.interrupted()) co_return Unexpected(call.interruption());
  const auto refused = take(policies.circuit_breaker, call.now(), admission.breaker_permit);
  if (refused) co_return Unexpected(Error(*refused));
  if (policies.bulkhead != nullptr) {
    Result<bulkhead::Permit> permit = co_await enter(call, *policies.bulkhead, deadline);
    if (!permit.has_value()) co_return Unexpected(std::move(permit).error());
    admission.bulkhead_permit.emplace(*std::move(permit));
  }
  const auto shed = take(policies.adaptive_limiter, call.now(), admission.adaptive_permit);
  if (shed) co_return Unexpected(Error(*shed));
  if (policies.rate_limiter != nullptr) {
    Result<void> passed = co_await pass(call, *policies.rate_limiter, deadline);
    if (!passed.has_value()) co_return Unexpected(std::move(passed).error());
  }
  if (call.interrupted()) co_return Unexpected(call.interruption());
  co_return std::move(admission);
}

// An operation, whatever its type, so that all that follows is compiled once for each T.
template <class T>
class Target {
 public:
  virtual ~Target() = default;
  // Its outcome as a Result; never throws. The context outlives the coroutine.
  virtual awaitable<Result<T>> call(const CallContext& context) = 0;
};

template <class F>
class TargetOf final : public Target<typename Outcome<F>::value_type> {
 public:
  explicit TargetOf(F operation) : operation_(std::move(operation)) {}

  awaitable<Outcome<F>> call(const CallContext& context) override {
    using Y = Yield<F>;
    try {
      if constexpr (std::is_void_v<Y>) {
        co_await detail::start(operation_, context);
        co_return Outcome<F>();
      } else if constexpr (std::same_as<Y, Outcome<F>> || !kIsResult<Y>) {
        co_return co_await detail::start(operation_, context);
      } else {
        Y result = co_await detail::start(operation_, context);
        co_return detail::with_error(std::move(result));
      }
    } catch (...) {
      co_return Unexpected(error_of(std::current_exception()));
    }
  }

 private:
  F operation_;
};

// The operation, open to interruptions; the library's own steps look at interrupted() instead.
template <class T>
awaitable<Result<T>> invoke(Target<T>& target, const CallContext& context) {
  co_await boost::asio::this_coro::reset_cancellation_state();
  co_await boost::asio::this_coro::throw_if_cancelled(true);
  Result<T> result = co_await target.call(context);
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  co_return std::move(result);
}

// A failure in an interrupted call is the interruption.
template <class T>
Result<T> explained(const Call& call, Result<T> result) {
  if (!call.interrupted() || !ResultTraits<Result<T>>::is_failure(result)) return result;
  return Unexpected(call.interruption());
}

// body(context), within the deadline when that has a limiter; as TimeLimiter::execute().
template <class T, class Body>
awaitable<Result<T>> bounded(Call& call, Deadline& deadline, CallContext context, Body body) {
  TimeLimiter* const limiter = deadline.limiter();
  if (limiter == nullptr) {
    Result<T> result = co_await body(context);
    co_return explained(call, std::move(result));
  }
  const Instant begun = call.now();
  const Result<Instant> at = limiter->begin(context, begun);
  if (!at.has_value()) co_return Unexpected(at.error());
  context.deadline = *at;
  const ArmedDeadline armed(deadline, call, *at - begun);
  Result<T> result = co_await body(context);
  std::optional<Error> replaced =
      limiter->end({.deadline = *at,
                    .finished_at = call.now(),
                    .failed = ResultTraits<Result<T>>::is_failure(result),
                    .stop_fired = deadline.passed(),
                    .caller_stopped = call.cancelled()},
                   begun);
  if (replaced) co_return Unexpected(*std::move(replaced));
  co_return std::move(result);
}

// The deadline has passed by the clock, though its timer has perhaps not fired yet.
inline Unexpected<Error> too_late() {
  return Unexpected(Error::timeout_exceeded(Delivery::NotSent));
}

template <class T>
awaitable<Result<T>> attempt(Call& call, Target<T>& target, CallContext context) {
  if (call.now() > context.deadline) co_return too_late();
  Result<Admission> admission = co_await admit(call, context.deadline);
  if (!admission.has_value()) co_return Unexpected(std::move(admission).error());
  const Instant at = call.now();
  if (at > context.deadline) co_return too_late();
  admission->start_at(at);
  const auto body = [&target](const CallContext& inner) { return invoke(target, inner); };
  Result<T> result = co_await bounded<T>(call, call.attempt(), context, body);
  admission->record(result);
  co_return std::move(result);
}

template <class T>
awaitable<Result<T>> attempts(Call& call, Target<T>& target, CallContext outer) {
  Retry* const retry = call.policies().retry;
  if (retry == nullptr) co_return co_await attempt(call, target, outer);
  retry::Schedule schedule = retry->begin(outer.deadline, call.now());
  while (!call.interrupted()) {
    const CallContext context{.attempt = schedule.attempt(), .deadline = schedule.deadline()};
    Result<T> result = co_await attempt(call, target, context);
    const std::optional<Classification> failure = failure_of(result);
    if (!failure) {
      retry->record_success(schedule);
      co_return std::move(result);
    }
    const retry::Decision decision = retry->record_failure(schedule, *failure, call.now());
    if (decision.verdict == retry::Decision::Verdict::GiveUp) co_return std::move(result);
    const bool slept = co_await sleep(call, decision.delay);
    if (!slept) break;
    if (!retry->may_begin(schedule, call.now())) co_return std::move(result);
  }
  retry->record_cancelled(schedule);
  co_return Unexpected(call.interruption());
}

// A whole call. The optional is never empty: it makes the outcome default-constructible, as
// co_spawn() asks.
template <class T>
awaitable<std::optional<Result<T>>> run(std::shared_ptr<Call> call,
                                        std::unique_ptr<Target<T>> target, Fallback<T>* fallback) {
  co_await boost::asio::post(boost::asio::use_awaitable);  // Leave the initiating function.
  co_await boost::asio::this_coro::throw_if_cancelled(false);
  const auto body = [&](const CallContext& context) { return attempts(*call, *target, context); };
  Result<T> result = co_await bounded<T>(*call, call->total(), CallContext{}, body);
  if (fallback != nullptr) result = fallback->execute([&] { return std::move(result); });
  co_return std::move(result);
}

// ---- From the initiating function to the completion handler.

// The caller's handler, whatever its type. Called once.
template <class T>
class Receiver {
 public:
  virtual ~Receiver() = default;
  virtual void receive(Result<T> result) = 0;
};

template <class T, class Handler>
class ReceiverOf final : public Receiver<T> {
 public:
  explicit ReceiverOf(Handler handler) : handler_(std::move(handler)) {}

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push  // As in result.h, for a handler that is inlined here.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
  void receive(Result<T> result) override {
    auto slot = boost::asio::get_associated_cancellation_slot(handler_);
    if (slot.is_connected()) slot.clear();
    std::move(handler_)(std::move(result));
  }
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

 private:
  Handler handler_;
};

// What co_spawn() completes with, for the receiver.
template <class T>
struct Completion {
  std::unique_ptr<Receiver<T>> receiver;

  void operator()(const std::exception_ptr& failure, std::optional<Result<T>> result) {
    if (!result) result.emplace(Unexpected(error_of(failure)));
    receiver->receive(*std::move(result));
  }
};

// In the caller's cancellation slot. Weak, because the caller's signal may outlive the execution
// context that the call belongs to.
class CallerCancellation {
 public:
  explicit CallerCancellation(const std::shared_ptr<Call>& call) noexcept : call_(call) {}

  void operator()(boost::asio::cancellation_type /*any*/) const {
    std::shared_ptr<Call> call = call_.lock();
    if (!call) return;
    const Executor& executor = call->executor();
    boost::asio::dispatch(executor, [call = std::move(call)] { call->cancel(); });
  }

 private:
  std::weak_ptr<Call> call_;
};

// Where the operation runs.
struct OnExecutor {
  Executor executor;

  template <class Handler>
  const Executor& of(const Handler& /*has its own*/) const noexcept {
    return executor;
  }
};
struct OnHandlersExecutor {
  template <class Handler>
  Executor of(const Handler& handler) const {
    return boost::asio::get_associated_executor(handler);
  }
};

template <class T>
void spawn(const std::shared_ptr<Call>& call, std::unique_ptr<Target<T>> target,
           Fallback<T>* fallback, std::unique_ptr<Receiver<T>> receiver,
           boost::asio::any_completion_executor completes_on) {
  // The function lives as long as the spawned coroutine, and keeps the slot in `call` alive.
  auto coroutine = [call, target = std::move(target), fallback]() mutable {
    return run<T>(call, std::move(target), fallback);
  };
  auto completion =
      boost::asio::bind_executor(std::move(completes_on), Completion<T>{std::move(receiver)});
  boost::asio::co_spawn(call->executor(), std::move(coroutine),
                        boost::asio::bind_cancellation_slot(call->slot(), std::move(completion)));
}

template <class T, class Where>
class Initiation {
 public:
  Initiation(const Pipeline& pipeline, Fallback<T>* fallback, Where where)
      : pipeline_(pipeline), fallback_(fallback), where_(std::move(where)) {}

  template <class Handler, class F>
  void operator()(Handler&& handler, F operation) const {
    using H = std::decay_t<Handler>;
    auto call = std::make_shared<Call>(where_.of(handler), pipeline_.policies());
    auto slot = boost::asio::get_associated_cancellation_slot(handler);
    if (slot.is_connected()) slot.template emplace<CallerCancellation>(call);
    boost::asio::any_completion_executor completes_on(
        boost::asio::get_associated_executor(handler, call->executor()));
    spawn<T>(call, std::make_unique<TargetOf<F>>(std::move(operation)), fallback_,
             std::make_unique<ReceiverOf<T, H>>(std::forward<Handler>(handler)),
             std::move(completes_on));
  }

 private:
  Pipeline pipeline_;
  Fallback<T>* fallback_;
  Where where_;
};

// What may guard a call: a pipeline, one with a fallback, or a single policy.
inline Pipeline pipeline_of(const Pipeline& pipeline) {
  return pipeline;
}
template <class T>
Pipeline pipeline_of(const WithFallback<T>& guarded) {
  return guarded.pipeline();
}
inline Pipeline pipeline_of(TimeLimiter& policy) {
  return Pipeline({.attempt_timeout = &policy});
}
inline Pipeline pipeline_of(Retry& policy) {
  return Pipeline({.retry = &policy});
}
inline Pipeline pipeline_of(CircuitBreaker& policy) {
  return Pipeline({.circuit_breaker = &policy});
}
inline Pipeline pipeline_of(Bulkhead& policy) {
  return Pipeline({.bulkhead = &policy});
}
inline Pipeline pipeline_of(AdaptiveLimiter& policy) {
  return Pipeline({.adaptive_limiter = &policy});
}
inline Pipeline pipeline_of(RateLimiter& policy) {
  return Pipeline({.rate_limiter = &policy});
}

template <class T>
Fallback<T>* fallback_of(const WithFallback<T>& guarded) {
  return &guarded.fallback();
}
template <class T, class Policy>
Fallback<T>* fallback_of(const Policy& /*none*/) {
  return nullptr;
}

template <class P>
concept Guard = requires(P& policy) {
  pipeline_of(policy);
};

inline Executor executor_of(const Executor& executor) {
  return executor;
}
template <class Context>
requires std::derived_from<Context, boost::asio::execution_context> Executor
executor_of(Context& context) {
  return context.get_executor();
}

template <class F, class Where, class Policy, class Token>
auto initiate(Where where, Policy& policy, F&& operation, Token& token) {
  using Result = Outcome<std::decay_t<F>>;
  using T = typename Result::value_type;
  return boost::asio::async_initiate<Token, void(Result)>(
      Initiation<T, Where>(pipeline_of(policy), fallback_of<T>(policy), std::move(where)), token,
      std::forward<F>(operation));
}

}  // namespace async

// Calls `operation` through `policy`, a Pipeline, Pipeline::with(fallback) or a single policy;
// completes with a Result<T> on the token's associated executor. What the operation throws is an
// Error. Any cancellation through the token's slot makes it Error::cancelled(), unless the
// operation succeeds in spite of it. The operation runs on `executor`, an executor or an
// io_context; without it, on the token's associated executor, which for a token without one is
// Asio's system executor. Waits last their real time, whatever the policies' clock says. Policies
// must outlive the call, and the execution context when that is destroyed with the call pending.
// Any thread.
template <class Policy, async::Operation F, class Token>
requires async::Guard<std::remove_reference_t<Policy>>
auto async_execute(Policy&& policy, F&& operation, Token&& token) {
  return async::initiate(async::OnHandlersExecutor{}, policy, std::forward<F>(operation), token);
}
template <class E, class Policy, async::Operation F, class Token>
requires async::Guard<std::remove_reference_t<Policy>>
auto async_execute(E&& executor, Policy&& policy, F&& operation, Token&& token) {
  return async::initiate(async::OnExecutor{async::executor_of(executor)}, policy,
                         std::forward<F>(operation), token);
}

}  // namespace recover
