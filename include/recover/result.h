// Result<T, E>: a value or the reason there is none, with the names of std::expected (C++23).
//
// An operating error is a value here, never an exception. Own type, because std::expected does not
// check; see docs/adr/0002-own-result.md.
#pragma once

#include <concepts>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include <recover/check.h>

namespace recover {

class Error;

// Marks a value as the error alternative: `return Unexpected(error);`.
template <class E>
class Unexpected {
 public:
  explicit constexpr Unexpected(E error) noexcept(std::is_nothrow_move_constructible_v<E>)
      : error_(std::move(error)) {}

  constexpr const E& error() const& noexcept { return error_; }
  constexpr E& error() & noexcept { return error_; }
  constexpr E&& error() && noexcept { return std::move(error_); }

 private:
  E error_;
};

template <class T, class E = Error>
class Result;

template <class T>
struct IsResult : std::false_type {};
template <class T, class E>
struct IsResult<Result<T, E>> : std::true_type {};
template <class T>
inline constexpr bool kIsResult = IsResult<std::remove_cvref_t<T>>::value;

template <class T>
struct IsUnexpected : std::false_type {};
template <class E>
struct IsUnexpected<Unexpected<E>> : std::true_type {};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic push
// GCC 12 at -O2 does not see that has_value_ guards the union.
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
// REQUIRES of value(), operator* and operator->: has_value(). REQUIRES of error(): !has_value().
// Breaking either is a bug and aborts. A moved-from Result keeps its alternative.
template <class T, class E>
class [[nodiscard]] Result {
 public:
  using value_type = T;
  using error_type = E;

  constexpr Result() requires std::default_initializable<T> : value_(), has_value_(true) {}

  template <class U = T>
  requires(std::constructible_from<T, U> && !std::same_as<std::remove_cvref_t<U>, Result> &&
           !kIsResult<U> && !IsUnexpected<std::remove_cvref_t<U>>::value)
      // `return value;` is the point, as in std::expected.
      // NOLINTNEXTLINE(google-explicit-constructor)
      constexpr explicit(!std::is_convertible_v<U, T>) Result(U&& value)
      : value_(std::forward<U>(value)), has_value_(true) {}

  template <class G>
  requires std::constructible_from<E, G>
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr Result(Unexpected<G> error) : error_(std::move(error).error()), has_value_(false) {}

  // Copies and moves are conditionally present, like those of T.
  constexpr Result(const Result& other) requires std::copy_constructible<T>
      : has_value_(other.has_value_) {
    if (has_value_) {
      std::construct_at(std::addressof(value_), other.value_);
    } else {
      std::construct_at(std::addressof(error_), other.error_);
    }
  }
  // Throws where T or E does.  NOLINTBEGIN(performance-noexcept-move-constructor)
  constexpr Result(Result&& other) noexcept(
      std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_constructible_v<E>)
      // NOLINTEND(performance-noexcept-move-constructor)
      : has_value_(other.has_value_) {
    if (has_value_) {
      std::construct_at(std::addressof(value_), std::move(other.value_));
    } else {
      std::construct_at(std::addressof(error_), std::move(other.error_));
    }
  }
  // Destroys, then constructs: only where neither can fail half-way.
  constexpr Result& operator=(Result other) noexcept
      requires(std::is_nothrow_move_constructible_v<T>&& std::is_nothrow_move_constructible_v<E>) {
    std::destroy_at(this);
    std::construct_at(this, std::move(other));
    return *this;
  }
  constexpr ~Result() {
    if (has_value_) {
      std::destroy_at(std::addressof(value_));
    } else {
      std::destroy_at(std::addressof(error_));
    }
  }

  [[nodiscard]] constexpr bool has_value() const noexcept { return has_value_; }
  explicit constexpr operator bool() const noexcept { return has_value_; }

  constexpr const T& value() const& { return checked(*this).value_; }
  constexpr T& value() & { return checked(*this).value_; }
  constexpr T&& value() && { return std::move(checked(*this).value_); }
  constexpr const T& operator*() const& { return checked(*this).value_; }
  constexpr T& operator*() & { return checked(*this).value_; }
  constexpr T&& operator*() && { return std::move(checked(*this).value_); }
  constexpr const T* operator->() const { return std::addressof(checked(*this).value_); }
  constexpr T* operator->() { return std::addressof(checked(*this).value_); }

  constexpr const E& error() const& { return checked_error(*this).error_; }
  constexpr E& error() & { return checked_error(*this).error_; }
  constexpr E&& error() && { return std::move(checked_error(*this).error_); }

  template <class U>
  constexpr T value_or(U&& fallback) const& {
    return has_value_ ? value_ : static_cast<T>(std::forward<U>(fallback));
  }
  template <class U>
  constexpr T value_or(U&& fallback) && {
    return has_value_ ? std::move(value_) : static_cast<T>(std::forward<U>(fallback));
  }
  template <class G>
  constexpr E error_or(G&& fallback) const& {
    return has_value_ ? static_cast<E>(std::forward<G>(fallback)) : error_;
  }
  template <class G>
  constexpr E error_or(G&& fallback) && {
    return has_value_ ? static_cast<E>(std::forward<G>(fallback)) : std::move(error_);
  }

  // Destroys what is held, then constructs the value in place: only where that cannot fail.
  template <class... Args>
  requires std::is_nothrow_constructible_v<T, Args...>
  constexpr T& emplace(Args&&... args) noexcept {
    if (has_value_) {
      std::destroy_at(std::addressof(value_));
    } else {
      std::destroy_at(std::addressof(error_));
    }
    std::construct_at(std::addressof(value_), std::forward<Args>(args)...);
    has_value_ = true;
    return value_;
  }

  // f(T) -> Result<U, E>
  template <class F>
  constexpr auto and_then(F&& f) && {
    return and_then_of(std::move(*this), std::forward<F>(f));
  }
  template <class F>
  constexpr auto and_then(F&& f) const& {
    return and_then_of(*this, std::forward<F>(f));
  }
  // f(T) -> U
  template <class F>
  constexpr auto transform(F&& f) && {
    return transform_of(std::move(*this), std::forward<F>(f));
  }
  template <class F>
  constexpr auto transform(F&& f) const& {
    return transform_of(*this, std::forward<F>(f));
  }
  // f(E) -> Result<T, G>
  template <class F>
  constexpr auto or_else(F&& f) && {
    return or_else_of(std::move(*this), std::forward<F>(f));
  }
  template <class F>
  constexpr auto or_else(F&& f) const& {
    return or_else_of(*this, std::forward<F>(f));
  }
  // f(E) -> G
  template <class F>
  constexpr auto transform_error(F&& f) && {
    return transform_error_of(std::move(*this), std::forward<F>(f));
  }
  template <class F>
  constexpr auto transform_error(F&& f) const& {
    return transform_error_of(*this, std::forward<F>(f));
  }

  friend constexpr bool operator==(const Result& a, const Result& b) requires(
      std::equality_comparable<T>&& std::equality_comparable<E>) {
    if (a.has_value_ != b.has_value_) return false;
    return a.has_value_ ? a.value_ == b.value_ : a.error_ == b.error_;
  }

 private:
  template <class Self, class F>
  static constexpr auto and_then_of(Self&& self, F&& f) {
    using Next =
        std::remove_cvref_t<std::invoke_result_t<F, decltype((std::forward<Self>(self).value_))>>;
    return self.has_value_ ? std::invoke(std::forward<F>(f), std::forward<Self>(self).value_)
                           : Next(Unexpected<E>(std::forward<Self>(self).error_));
  }
  template <class Self, class F>
  static constexpr auto transform_of(Self&& self, F&& f) {
    using U =
        std::remove_cv_t<std::invoke_result_t<F, decltype((std::forward<Self>(self).value_))>>;
    if (!self.has_value_) return Result<U, E>(Unexpected<E>(std::forward<Self>(self).error_));
    if constexpr (std::is_void_v<U>) {
      std::invoke(std::forward<F>(f), std::forward<Self>(self).value_);
      return Result<void, E>();
    } else {
      return Result<U, E>(std::invoke(std::forward<F>(f), std::forward<Self>(self).value_));
    }
  }
  template <class Self, class F>
  static constexpr auto or_else_of(Self&& self, F&& f) {
    using Next =
        std::remove_cvref_t<std::invoke_result_t<F, decltype((std::forward<Self>(self).error_))>>;
    return self.has_value_ ? Next(std::forward<Self>(self).value_)
                           : std::invoke(std::forward<F>(f), std::forward<Self>(self).error_);
  }
  template <class Self, class F>
  static constexpr auto transform_error_of(Self&& self, F&& f) {
    using G =
        std::remove_cv_t<std::invoke_result_t<F, decltype((std::forward<Self>(self).error_))>>;
    return self.has_value_ ? Result<T, G>(std::forward<Self>(self).value_)
                           : Result<T, G>(Unexpected<G>(
                                 std::invoke(std::forward<F>(f), std::forward<Self>(self).error_)));
  }

  template <class Self>
  static constexpr Self& checked(Self& self) {
    RECOVER_CHECK(self.has_value_);
    return self;
  }
  template <class Self>
  static constexpr Self& checked_error(Self& self) {
    RECOVER_CHECK(!self.has_value_);
    return self;
  }

  union {
    T value_;
    E error_;
  };
  bool has_value_;
};

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif

// Success without a value.
template <class E>
class [[nodiscard]] Result<void, E> {
 public:
  using value_type = void;
  using error_type = E;

  constexpr Result() noexcept = default;
  template <class G>
  requires std::constructible_from<E, G>
  // NOLINTNEXTLINE(google-explicit-constructor)
  constexpr Result(Unexpected<G> error) : status_(std::move(error)) {}

  [[nodiscard]] constexpr bool has_value() const noexcept { return status_.has_value(); }
  explicit constexpr operator bool() const noexcept { return has_value(); }
  constexpr void value() const { RECOVER_CHECK(has_value()); }
  constexpr void operator*() const { value(); }

  constexpr const E& error() const& { return status_.error(); }
  constexpr E& error() & { return status_.error(); }
  constexpr E&& error() && { return std::move(status_).error(); }
  template <class G>
  constexpr E error_or(G&& fallback) const& {
    return status_.error_or(std::forward<G>(fallback));
  }
  template <class G>
  constexpr E error_or(G&& fallback) && {
    return std::move(status_).error_or(std::forward<G>(fallback));
  }

  // Success, whatever it was.
  constexpr void emplace() noexcept { status_.emplace(); }

  // f() -> Result<U, E>
  template <class F>
  constexpr auto and_then(F&& f) const& {
    return Result(*this).and_then(std::forward<F>(f));
  }
  template <class F>
  constexpr auto and_then(F&& f) && {
    using Next = std::remove_cvref_t<std::invoke_result_t<F>>;
    return has_value() ? std::invoke(std::forward<F>(f))
                       : Next(Unexpected<E>(std::move(status_).error()));
  }
  // f() -> U
  template <class F>
  constexpr auto transform(F&& f) const& {
    return Result(*this).transform(std::forward<F>(f));
  }
  template <class F>
  constexpr auto transform(F&& f) && {
    using U = std::remove_cv_t<std::invoke_result_t<F>>;
    if (!has_value()) return Result<U, E>(Unexpected<E>(std::move(status_).error()));
    if constexpr (std::is_void_v<U>) {
      std::invoke(std::forward<F>(f));
      return Result<void, E>();
    } else {
      return Result<U, E>(std::invoke(std::forward<F>(f)));
    }
  }
  // f(E) -> Result<void, G>
  template <class F>
  constexpr auto or_else(F&& f) const& {
    return Result(*this).or_else(std::forward<F>(f));
  }
  template <class F>
  constexpr auto or_else(F&& f) && {
    using Next = std::remove_cvref_t<std::invoke_result_t<F, E&&>>;
    return has_value() ? Next() : std::invoke(std::forward<F>(f), std::move(status_).error());
  }
  // f(E) -> G
  template <class F>
  constexpr auto transform_error(F&& f) const& {
    return Result(*this).transform_error(std::forward<F>(f));
  }
  template <class F>
  constexpr auto transform_error(F&& f) && {
    using G = std::remove_cv_t<std::invoke_result_t<F, E&&>>;
    return has_value() ? Result<void, G>()
                       : Result<void, G>(Unexpected<G>(
                             std::invoke(std::forward<F>(f), std::move(status_).error())));
  }

  friend constexpr bool operator==(const Result& a,
                                   const Result& b) requires std::equality_comparable<E> {
    return a.status_ == b.status_;
  }

 private:
  struct Done {
    friend constexpr bool operator==(Done, Done) = default;
  };
  Result<Done, E> status_;
};

}  // namespace recover
