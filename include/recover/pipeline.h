// Pipeline: the policies around one dependency, in the order that works.
//
//   fallback -> total timeout -> retry -> circuit breaker -> bulkhead -> adaptive limiter
//            -> rate limiter -> attempt timeout -> the operation
//
// Why this order: the total timeout bounds all attempts and the waits between them; each attempt
// asks the breaker anew and is counted by it; what the limiters refuse never counts against the
// dependency, nor does the time they make it wait; a slow attempt is cut off by its own timeout and
// counts as a failure. Another order is made by nesting: every policy has execute(). The pipeline
// owns nothing and decides nothing.
#pragma once

#include <algorithm>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <recover/adaptive_limiter.h>
#include <recover/bulkhead.h>
#include <recover/circuit_breaker.h>
#include <recover/error.h>
#include <recover/fallback.h>
#include <recover/operation.h>
#include <recover/rate_limiter.h>
#include <recover/result.h>
#include <recover/retry.h>
#include <recover/time.h>
#include <recover/time_limiter.h>

namespace recover {
namespace pipeline {

// Null: not part of the pipeline. REQUIRES: each outlives the pipeline and its calls; they share
// one time line with `clock`. Policies may be shared between pipelines, and usually are: one
// breaker and one set of limiters for each dependency.
struct Policies {
  TimeLimiter* total_timeout = nullptr;
  Retry* retry = nullptr;
  CircuitBreaker* circuit_breaker = nullptr;
  Bulkhead* bulkhead = nullptr;
  AdaptiveLimiter* adaptive_limiter = nullptr;
  RateLimiter* rate_limiter = nullptr;
  TimeLimiter* attempt_timeout = nullptr;
  Clock* clock = &SteadyClock::instance();
};

// The permits for one attempt: one of each policy that gives them. Dropping it gives them back
// without an outcome.
struct [[nodiscard]] Admission {
  std::optional<circuitbreaker::Permit> breaker_permit = std::nullopt;
  std::optional<bulkhead::Permit> bulkhead_permit = std::nullopt;
  std::optional<adaptive::Permit> adaptive_permit = std::nullopt;

  // The attempt begins at `now`, some time after the permits were given: a wait for a limiter makes
  // no call slow.
  void start_at(Instant now) noexcept;
  // The permits go back with what they are for: the breaker and the adaptive limiter learn the
  // outcome. At most once.
  template <class T>
  void record(const Result<T>& result);
};

template <class T>
class WithFallback;

// Any thread. A few pointers: copy it freely.
class Pipeline {
 public:
  explicit Pipeline(const Policies& policies) noexcept : policies_(policies) {}

  const Policies& policies() const noexcept { return policies_; }

  // The same with stand-ins for a failed call around it. `fallback` must outlive the result.
  template <class T>
  WithFallback<T> with(Fallback<T>& fallback) const noexcept;

  // Tier 1, for callers with a loop of their own: the permits for one attempt, or the first
  // refusal. Never waits. The timeouts and the retry are the caller's business.
  Result<Admission, Rejection> try_acquire() const { return try_acquire(policies_.clock->now()); }
  Result<Admission, Rejection> try_acquire(Instant now) const;

  // Tier 2: all of it, on this thread. Waits where a policy's config says so (retry delays,
  // bulkhead queue, rate limiter), never past the deadline, after which no attempt begins. The last
  // attempt's result, or the Error of the policy that ended the call.
  template <class F>
  requires Operation<std::remove_reference_t<F>>
  auto execute(F&& operation, const CallContext& context) const
      -> OperationResult<std::remove_reference_t<F>>;
  template <class F>
  requires Operation<std::remove_reference_t<F>>
  auto execute(F&& operation, const std::stop_token& stop = {}) const {
    return execute(std::forward<F>(operation), CallContext{.stop = stop});
  }

 private:
  struct Admitted {
    Admission admission;
    Instant at;  // When the attempt begins: later than asked for when a limiter made it wait.
  };

  // The permits in order; E is Rejection or Error. `enter` and `pass` say how the bulkhead and the
  // rate limiter are asked: whether to wait.
  template <class E, class Enter, class Pass>
  Result<Admission, E> acquire(Instant now, Enter enter, Pass pass) const;
  // As try_acquire(), but waits as the limiters' configs allow.
  Result<Admitted> admit(const CallContext& context, Instant now) const;
  // Waits for its turn. True: it took time.
  Result<bool> pass_rate_limiter(const CallContext& context, Instant now) const;

  // `callers`: the context that the pipeline was called with.
  template <class F>
  OperationResult<F> attempt(F& operation, const CallContext& context, const CallContext& callers,
                             Instant now) const;
  template <class T>
  bool was_cut_off(const Result<T>& result, const CallContext& context,
                   const CallContext& callers) const;

  Policies policies_;
};

// An inner layer, which asks for a stop token exactly when the operation does: only then does a
// timeout around it have to arm a timer.
template <class F, class Body>
class Layer {
 public:
  explicit Layer(Body body) : body_(std::move(body)) {}

  auto operator()(const CallContext& context) requires(!detail::kWantsStopToken<F&>) {
    return body_(context);
  }
  auto operator()(const CallContext& context,
                  const std::stop_token& /*in context*/) requires detail::kWantsStopToken<F&> {
    return body_(context);
  }

 private:
  Body body_;
};

template <class F, class Body>
Layer<F, Body> layer(Body body) {
  return Layer<F, Body>(std::move(body));
}

template <class E, class Enter, class Pass>
Result<Admission, E> Pipeline::acquire(Instant now, Enter enter, Pass pass) const {
  Admission admission;
  if (policies_.circuit_breaker != nullptr) {
    auto permit = policies_.circuit_breaker->try_acquire(now);
    if (!permit.has_value()) [[unlikely]]
      return Unexpected(E(permit.error()));
    admission.breaker_permit.emplace(*std::move(permit));
  }
  if (policies_.bulkhead != nullptr) {
    auto permit = enter(*policies_.bulkhead);
    if (!permit.has_value()) [[unlikely]]
      return Unexpected(E(permit.error()));
    admission.bulkhead_permit.emplace(*std::move(permit));
  }
  if (policies_.adaptive_limiter != nullptr) {
    auto permit = policies_.adaptive_limiter->try_acquire(now);
    if (!permit.has_value()) [[unlikely]]
      return Unexpected(E(permit.error()));
    admission.adaptive_permit.emplace(*std::move(permit));
  }
  if (policies_.rate_limiter != nullptr) {
    const auto permit = pass(*policies_.rate_limiter);
    if (!permit.has_value()) [[unlikely]]
      return Unexpected(E(permit.error()));
  }
  return admission;
}

inline Result<Admission, Rejection> Pipeline::try_acquire(Instant now) const {
  return acquire<Rejection>(
      now, [](Bulkhead& bulkhead) { return bulkhead.try_acquire(); },
      [now](RateLimiter& limiter) { return limiter.try_acquire(now); });
}

inline Result<Pipeline::Admitted> Pipeline::admit(const CallContext& context, Instant now) const {
  bool waited = false;
  const auto enter = [&](Bulkhead& bulkhead) -> Result<bulkhead::Permit> {
    if (bulkhead.config().max_queued > 0) {
      waited = true;  // Perhaps; then the clock is worth reading again.
      return bulkhead.acquire(context);
    }
    auto permit = bulkhead.try_acquire();
    if (!permit.has_value()) [[unlikely]]
      return Unexpected(Error(permit.error()));
    return *std::move(permit);
  };
  const auto pass = [&](RateLimiter&) {
    Result<bool> passed = pass_rate_limiter(context, waited ? policies_.clock->now() : now);
    waited = waited || (passed.has_value() && *passed);
    return passed;
  };
  Result<Admission, Error> admission = acquire<Error>(now, enter, pass);
  if (!admission.has_value()) [[unlikely]]
    return Unexpected(std::move(admission).error());
  if (!waited) [[likely]]
    return Admitted{*std::move(admission), now};
  const Instant at = policies_.clock->now();
  admission->start_at(at);
  return Admitted{*std::move(admission), at};
}

inline Result<bool> Pipeline::pass_rate_limiter(const CallContext& context, Instant now) const {
  const Duration patience = saturating_sub(context.deadline, now);
  const auto wait = policies_.rate_limiter->reserve(now, 1, patience);
  if (!wait.has_value()) [[unlikely]]
    return Unexpected(Error(wait.error()));
  if (*wait == Duration::zero()) [[likely]]
    return false;
  if (!policies_.clock->wait_until(now + *wait, context.stop)) {
    return Unexpected(Error::cancelled());
  }
  return true;
}

inline void Admission::start_at(Instant now) noexcept {
  if (breaker_permit) breaker_permit->start_at(now);
  if (adaptive_permit) adaptive_permit->start_at(now);
}

template <class T>
void Admission::record(const Result<T>& result) {
  if (breaker_permit) breaker_permit->record_result(result);
  if (adaptive_permit) adaptive_permit->record_result(result);
  breaker_permit.reset();
  adaptive_permit.reset();
  bulkhead_permit.reset();
}

template <class F>
OperationResult<F> Pipeline::attempt(F& operation, const CallContext& context,
                                     const CallContext& callers, Instant now) const {
  const auto too_late = [] { return Unexpected(Error::timeout_exceeded(Delivery::NotSent)); };
  if (now > context.deadline) [[unlikely]]
    return too_late();
  Result<Admitted> admitted = admit(context, now);
  if (!admitted.has_value()) [[unlikely]]
    return Unexpected(std::move(admitted).error());
  if (admitted->at > context.deadline) [[unlikely]]
    return too_late();  // The limiters took too long; that is no outcome of the dependency's.
  OperationResult<F> result =
      policies_.attempt_timeout != nullptr
          ? policies_.attempt_timeout->execute(operation, context, admitted->at)
          : invoke_operation(operation, context);
  if (was_cut_off(result, context, callers)) [[unlikely]] {
    result = Unexpected(Error::timeout_exceeded());
  }
  admitted->admission.record(result);
  return result;
}

// To the attempt, the stop request of the total timeout looks like a caller who gave up. The
// breaker must know better: the dependency was too slow. A caller who did give up, before the
// deadline of its own if it has one, is believed even when the operation notices late.
template <class T>
bool Pipeline::was_cut_off(const Result<T>& result, const CallContext& context,
                           const CallContext& callers) const {
  const std::optional<Classification> failure = failure_of(result);
  const bool stopped =
      failure && failure->persistence == Persistence::Cancelled && context.stop.stop_requested();
  if (!stopped) [[likely]]
    return false;
  const Instant now = policies_.clock->now();
  const bool gave_up = callers.stop.stop_requested() && now < callers.deadline;
  return now >= context.deadline && !gave_up;
}

template <class F>
requires Operation<std::remove_reference_t<F>>
auto Pipeline::execute(F&& operation, const CallContext& context) const
    -> OperationResult<std::remove_reference_t<F>> {
  using Op = std::remove_reference_t<F>;
  if (context.stop.stop_requested()) return Unexpected(Error::cancelled());
  const Instant begun = policies_.clock->now();
  auto once = layer<Op>([&](const CallContext& inner) {
    return attempt(operation, inner, context, inner.attempt == 1 ? begun : policies_.clock->now());
  });
  auto retried = layer<Op>([&](const CallContext& inner) {
    return policies_.retry != nullptr ? policies_.retry->execute(once, inner, begun)
                                      : invoke_operation(once, inner);
  });
  return policies_.total_timeout != nullptr
             ? policies_.total_timeout->execute(retried, context, begun)
             : invoke_operation(retried, context);
}

// For operations that return T or Result<T>. Any thread; a few pointers, as the pipeline.
template <class T>
class WithFallback {
 public:
  WithFallback(const Pipeline& pipeline, Fallback<T>& fallback) noexcept
      : pipeline_(pipeline), fallback_(&fallback) {}

  const Pipeline& pipeline() const noexcept { return pipeline_; }
  Fallback<T>& fallback() const noexcept { return *fallback_; }

  // The pipeline's result, or that of the first stand-in that applies and succeeds.
  template <class F>
  requires Operation<std::remove_reference_t<F>> Result<T> execute(F&& operation,
                                                                   const CallContext& context)
  const {
    auto guarded = layer<std::remove_reference_t<F>>(
        [&](const CallContext& inner) { return pipeline_.execute(operation, inner); });
    return fallback_->execute(guarded, context);
  }
  template <class F>
  requires Operation<std::remove_reference_t<F>> Result<T> execute(F&& operation,
                                                                   const std::stop_token& stop = {})
  const { return execute(std::forward<F>(operation), CallContext{.stop = stop}); }

 private:
  Pipeline pipeline_;
  Fallback<T>* fallback_;
};

template <class T>
WithFallback<T> Pipeline::with(Fallback<T>& fallback) const noexcept {
  return {*this, fallback};
}

}  // namespace pipeline

using pipeline::Pipeline;
using pipeline::Policies;

}  // namespace recover
