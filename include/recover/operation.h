// How every policy calls the user's operation and reads its outcome: one place for all of them.
//
// An operation is any callable. It may take nothing, a CallContext, a std::stop_token, or a
// CallContext and a std::stop_token; it may return void, a value, or a Result; it may throw. The
// policies see a Result<T> and, when it failed, a Classification.
#pragma once

#include <concepts>
#include <exception>
#include <functional>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>

#include <recover/error.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover {

// What one attempt may know about the call it is part of.
struct CallContext {
  unsigned attempt = 1;       // 1 for the first try.
  Instant deadline = kNever;  // When the result stops being of use.
  std::stop_token stop = {};  // The caller's wish to give up.
};

// Traits point for errors of the user's own: specialise with
//   static Classification classify(const E&) and, if there is more to say, static Error
//   to_error(E).
template <class E>
struct ErrorTraits;

template <>
struct ErrorTraits<Error> {
  static const Classification& classify(const Error& error) { return error.classification(); }
  static Error to_error(Error error) { return error; }
};

template <>
struct ErrorTraits<Rejection> {
  static Classification classify(const Rejection& rejection) {
    return Error(rejection).classification();
  }
  static Error to_error(const Rejection& rejection) { return rejection; }
};

template <>
struct ErrorTraits<std::error_code> {
  static Classification classify(const std::error_code& code) {
    return Error::from_code(code).classification();
  }
  static Error to_error(const std::error_code& code) { return Error::from_code(code); }
};

// Traits point for values of the user's own that can mean failure, such as an HTTP response with
// status 503. A value that is_failure is retried and counted as a failure; when it is still the
// last one, the caller gets that value, not an Error.
template <class T>
struct ResultTraits {
  static constexpr bool is_failure(const T&) noexcept { return false; }
  static Classification classify(const T&) { return {}; }
};

template <class T, class E>
struct ResultTraits<Result<T, E>> {
  static bool is_failure(const Result<T, E>& result) {
    if (!result.has_value()) return true;
    if constexpr (std::is_void_v<T>) {
      return false;
    } else {
      return ResultTraits<T>::is_failure(*result);
    }
  }
  // REQUIRES: is_failure(result).
  static Classification classify(const Result<T, E>& result) {
    if (!result.has_value()) return ErrorTraits<E>::classify(result.error());
    if constexpr (std::is_void_v<T>) {
      return {};
    } else {
      return ResultTraits<T>::classify(*result);
    }
  }
};

namespace detail {

template <class R>
struct Normalised {
  using type = Result<R>;
};
template <class T, class E>
struct Normalised<Result<T, E>> {
  using type = Result<T>;
};

// The operation wants a token that fires at the deadline.
template <class F>
inline constexpr bool kWantsStopToken = std::invocable<F, const CallContext&, std::stop_token> ||
                                        (std::invocable<F, std::stop_token> &&
                                         !std::invocable<F, const CallContext&>);

template <class F>
decltype(auto) invoke_raw(F& operation, const CallContext& context) {
  if constexpr (std::invocable<F&, const CallContext&, std::stop_token>) {
    return std::invoke(operation, context, context.stop);
  } else if constexpr (std::invocable<F&, const CallContext&>) {
    return std::invoke(operation, context);
  } else if constexpr (std::invocable<F&, std::stop_token>) {
    return std::invoke(operation, context.stop);
  } else {
    return std::invoke(operation);
  }
}

}  // namespace detail

// A callable in one of the four forms.
template <class F>
concept Operation = std::invocable<F&> || std::invocable<F&, const CallContext&> ||
    std::invocable<F&, std::stop_token> || std::invocable<F&, const CallContext&, std::stop_token>;

// What the operation's result becomes: void and T -> Result<void>, Result<T>; Result<T, E> ->
// Result<T>.
template <Operation F>
using OperationResult = typename detail::Normalised<std::remove_cvref_t<decltype(detail::invoke_raw(
    std::declval<F&>(), std::declval<const CallContext&>()))>>::type;

namespace detail {

// Exceptions pass.
template <class F>
OperationResult<F> invoke_normalised(F& operation, const CallContext& context) {
  using Raw = std::remove_cvref_t<decltype(invoke_raw(operation, context))>;
  if constexpr (std::is_void_v<Raw>) {
    invoke_raw(operation, context);
    return {};
  } else if constexpr (kIsResult<Raw> && !std::same_as<Raw, OperationResult<F>>) {
    using E = typename Raw::error_type;
    return invoke_raw(operation, context).transform_error([](E error) {
      return ErrorTraits<E>::to_error(std::move(error));
    });
  } else {
    return invoke_raw(operation, context);
  }
}

}  // namespace detail

// An operation whose result becomes Result<T>.
template <class F, class T>
concept OperationReturning = Operation<F> && std::same_as<OperationResult<F>, Result<T>>;

// Calls the operation once. Exceptions and foreign error types come back as an Error.
template <Operation F>
OperationResult<F> invoke_operation(F& operation, const CallContext& context) {
  try {
    return detail::invoke_normalised(operation, context);
  } catch (...) {
    std::exception_ptr exception = std::current_exception();
    if (exception == nullptr) throw;  // No exception: the thread is being ended (pthread_exit).
    return Unexpected(Error::from_exception(std::move(exception)));
  }
}

// The failure in a finished call, or nothing when it succeeded.
template <class T>
std::optional<Classification> failure_of(const Result<T>& result) {
  if (!ResultTraits<Result<T>>::is_failure(result)) [[likely]]
    return std::nullopt;
  return ResultTraits<Result<T>>::classify(result);
}

}  // namespace recover
