// What to answer when a call has failed: an ordered list of stand-ins, each for the failures its
// predicate names, each a value, a callable or the last good result.
//
// Degrading is never silent: it is counted, emitted, and told to the caller that asks. Refuses to
// cover up a cancelled call. Invariant: a successful call never touches a handler.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <vector>

#include <recover/cache.h>
#include <recover/check.h>
#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/result.h>

namespace recover::fallback {

inline constexpr std::size_t kHandlersMax = 8;

using Predicate = std::function<bool(const Error&)>;

// The default: every failure but a cancelled call.
bool unless_cancelled(const Error& error) noexcept;
Predicate on_class(std::initializer_list<ErrorClass> classes);
Predicate on_kind(std::initializer_list<ErrorKind> kinds);
Predicate on_persistence(std::initializer_list<Persistence> persistences);

// One stand-in. `applies` and `provide` are called on the caller's thread, concurrently for
// concurrent calls; an exception in `provide` is a failure of this handler, and the next is tried.
template <class T>
struct Handler {
  std::function<Result<T>(const Error&)> provide;  // Must not be empty.
  Predicate applies = unless_cancelled;            // Must not be empty.

  bool is_complete() const noexcept { return provide != nullptr && applies != nullptr; }
};

// Always this value.
template <class T>
Handler<T> use_value(T value, const Predicate& applies = unless_cancelled) {
  return {.provide = [value = std::move(value)](const Error&) -> Result<T> { return value; },
          .applies = applies};
}

namespace detail {

template <class F>
decltype(auto) call_with(const F& call, const Error& error) {
  if constexpr (std::invocable<const F&, const Error&>) {
    return call(error);
  } else {
    return call();
  }
}

}  // namespace detail

// The outcome of `call`: a callable of Error or of nothing that returns T, Result<T> or, for
// Handler<void>, void.
template <class T, class F>
Handler<T> use_call(F call, const Predicate& applies = unless_cancelled) {
  return {.provide = [call = std::move(call)](const Error& error) -> Result<T> {
            const auto bound = [&]() -> decltype(auto) { return detail::call_with(call, error); };
            return invoke_operation(bound, CallContext{});
          },
          .applies = applies};
}

// What the cache still holds; fails when that is expired. REQUIRES: cache outlives the handler.
template <class T>
Handler<T> use_last_good(LastGoodCache<T>& cache, const Predicate& applies = unless_cancelled) {
  return {.provide = [&cache](const Error& error) -> Result<T> {
            std::optional<cache::Lookup<T>> known = cache.find();
            if (!known) return Unexpected(error);
            return std::move(known->value);
          },
          .applies = applies};
}

// What stood in for a failed call.
template <class T>
struct Replacement {
  Result<T> outcome;  // Good.
  std::size_t level;  // The number of the handler, from 1.
};

// An answer that says how good it is.
template <class T>
struct Degraded {
  T value;
  std::size_t level = 0;                      // 0: the call's own; n: by the n-th handler.
  std::optional<Error> cause = std::nullopt;  // Why the call's own is missing.

  bool is_degraded() const noexcept { return level > 0; }
};
template <>
struct Degraded<void> {
  std::size_t level = 0;
  std::optional<Error> cause = std::nullopt;

  bool is_degraded() const noexcept { return level > 0; }
};

// Emitted on the caller's thread for every failed call. `level` 0: no handler could help.
struct Event {
  std::size_t level = 0;
  const Error* cause = nullptr;  // Valid during the call of the listener; never null.
};

struct Metrics {
  std::uint64_t primary = 0;    // Calls whose own answer was good.
  std::uint64_t degraded = 0;   // Calls answered by a handler.
  std::uint64_t unhandled = 0;  // Failed calls that no handler could answer.
};

namespace detail {

// The failure of an outcome as an Error, also when it is a value that means failure.
template <class T>
std::optional<Error> error_of(const Result<T>& outcome) {
  const std::optional<Classification> failure = failure_of(outcome);
  if (!failure) [[likely]]
    return std::nullopt;
  if (!outcome) return outcome.error();
  return Error(ErrorKind::OperationFailed, *failure);
}

template <class T>
Result<T> provide_from(const Handler<T>& handler, const Error& error) {
  const auto provide = [&] { return handler.provide(error); };
  return invoke_operation(provide, CallContext{});
}

}  // namespace detail

// Any thread; no lock, and no allocation when the call succeeds.
template <class T>
class Fallback {
 public:
  // The handlers in the order of preference. REQUIRES: 1 to kHandlersMax, none empty.
  explicit Fallback(std::vector<Handler<T>> handlers) : handlers_(std::move(handlers)) {
    RECOVER_CHECK(!handlers_.empty() && handlers_.size() <= kHandlersMax);
    RECOVER_CHECK(std::all_of(handlers_.begin(), handlers_.end(),
                              [](const Handler<T>& handler) { return handler.is_complete(); }));
  }

  // The operation's outcome, or that of the first handler that applies and succeeds; when none
  // does, the operation's own failure.
  template <OperationReturning<T> F>
  Result<T> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(operation, CallContext{.stop = stop});
  }
  template <OperationReturning<T> F>
  Result<T> execute(F&& operation, const CallContext& context) {
    Result<T> outcome = invoke_unless_stopped(operation, context);
    const std::optional<Error> cause = detail::error_of(outcome);
    if (!cause) [[likely]] {
      counters_.add(Counter::Primary);
      return outcome;
    }
    std::optional<Replacement<T>> replaced = replace(*cause);
    return replaced ? std::move(replaced->outcome) : std::move(outcome);
  }

  // The same, with the level of the answer and the cause.
  template <OperationReturning<T> F>
  Result<Degraded<T>> execute_detailed(F&& operation, const std::stop_token& stop) {
    return execute_detailed(operation, CallContext{.stop = stop});
  }
  template <OperationReturning<T> F>
  Result<Degraded<T>> execute_detailed(F&& operation, const CallContext& context = {}) {
    Result<T> outcome = invoke_unless_stopped(operation, context);
    std::optional<Error> cause = detail::error_of(outcome);
    if (!cause) {
      counters_.add(Counter::Primary);
      return graded(std::move(outcome), 0, std::nullopt);
    }
    std::optional<Replacement<T>> replaced = replace(*cause);
    if (replaced) return graded(std::move(replaced->outcome), replaced->level, std::move(cause));
    if (!outcome) return Unexpected(std::move(outcome).error());
    return graded(std::move(outcome), 0, std::move(cause));
  }

  // The stand-in for a failure that happened elsewhere, such as in asynchronous code; nothing when
  // no handler can help. Counted and emitted like any other.
  std::optional<Replacement<T>> replace(const Error& cause);

  Metrics metrics() const noexcept {
    return {.primary = counters_.value(Counter::Primary),
            .degraded = counters_.value(Counter::Degraded),
            .unhandled = counters_.value(Counter::Unhandled)};
  }
  Subscription on_event(std::function<void(const Event&)> listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  template <class F>
  static Result<T> invoke_unless_stopped(F& operation, const CallContext& context) {
    if (context.stop.stop_requested()) return Unexpected(Error::cancelled());
    return invoke_operation(operation, context);
  }

  enum class Counter : std::uint8_t { Primary, Degraded, Unhandled, Count };

  // REQUIRES: outcome.has_value().
  static Degraded<T> graded(Result<T>&& outcome, std::size_t level, std::optional<Error>&& cause) {
    if constexpr (std::is_void_v<T>) {
      outcome.value();
      return {.level = level, .cause = std::move(cause)};
    } else {
      return {.value = std::move(*outcome), .level = level, .cause = std::move(cause)};
    }
  }

  const std::vector<Handler<T>> handlers_;
  Counters<Counter> counters_;
  Listeners<Event> listeners_;
};

template <class T>
std::optional<Replacement<T>> Fallback<T>::replace(const Error& cause) {
  for (std::size_t i = 0; i < handlers_.size(); ++i) {
    if (!handlers_[i].applies(cause)) continue;
    Result<T> provided = detail::provide_from(handlers_[i], cause);
    if (failure_of(provided)) continue;
    counters_.add(Counter::Degraded);
    listeners_.emit({.level = i + 1, .cause = &cause});
    return Replacement<T>{.outcome = std::move(provided), .level = i + 1};
  }
  counters_.add(Counter::Unhandled);
  listeners_.emit({.level = 0, .cause = &cause});
  return std::nullopt;
}

}  // namespace recover::fallback

namespace recover {

using fallback::Degraded;
using fallback::Fallback;

// One call with its stand-ins, without metrics or events: with_fallback(f, handler, handler, …).
template <Operation F, class... Handlers>
OperationResult<F> with_fallback(F&& operation, const Handlers&... handlers) {
  static_assert(sizeof...(Handlers) >= 1 && sizeof...(Handlers) <= fallback::kHandlersMax);
  OperationResult<F> outcome = invoke_operation(operation, CallContext{});
  const std::optional<Error> cause = fallback::detail::error_of(outcome);
  if (!cause) [[likely]]
    return outcome;
  const auto try_one = [&](const auto& handler) {
    if (!handler.applies(*cause)) return false;
    OperationResult<F> provided = fallback::detail::provide_from(handler, *cause);
    if (failure_of(provided)) return false;
    outcome = std::move(provided);
    return true;
  };
  static_cast<void>((try_one(handlers) || ...));
  return outcome;
}

}  // namespace recover
