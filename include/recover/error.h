// What can go wrong with a call, as values: the class of a failure, whether it will pass, whether
// the request can have reached the other side, and the Error that carries them.
//
// The mapping from errno, error_code, exceptions and HTTP status lives in classification.h.
#pragma once

#include <cstdint>
#include <exception>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>
#include <utility>

#include <recover/time.h>

namespace recover {

// The six error classes of a recovery plan, and Unknown for what none of them fits.
enum class ErrorClass : std::uint8_t {
  Connection,
  Timeout,
  Authentication,
  Permission,
  ResourceExhaustion,
  DataIntegrity,
  Unknown,
};

// Whether trying again can help.
enum class Persistence : std::uint8_t {
  Transient,  // May pass by itself: try again.
  Permanent,  // Will be the same next time.
  Throttled,  // The other side asked for less: wait at least retry_after.
  Cancelled,  // Our own side gave up; says nothing about the dependency.
};

// Whether the request can have had an effect. Decides if a call that is not idempotent may be
// retried.
enum class Delivery : std::uint8_t {
  NotSent,  // Known not to have reached the other side.
  Unknown,  // It may have.
};

struct Classification {
  ErrorClass error_class = ErrorClass::Unknown;
  Persistence persistence = Persistence::Transient;
  Delivery delivery = Delivery::Unknown;
  // A refusal of our own that no wait will end, only somebody's decision: a breaker forced open.
  // Another target may be asked, this one need not be asked again.
  bool indefinite = false;
  std::optional<Duration> retry_after = std::nullopt;  // The other side's own hint.

  friend bool operator==(const Classification&, const Classification&) = default;
};

// A policy of our own said no, so nothing was sent: see Rejection.
constexpr bool is_refusal(const Classification& failure) noexcept {
  return failure.persistence == Persistence::Throttled && failure.delivery == Delivery::NotSent;
}

// Which part of the machinery says no. A closed set; callers switch on it.
enum class ErrorKind : std::uint8_t {
  OperationFailed,      // The operation itself reported or threw the error.
  Cancelled,            // A stop was requested before the operation finished.
  TimeoutExceeded,      // TimeLimiter: the deadline passed.
  CallNotPermitted,     // CircuitBreaker: open, or out of half-open permits. Without a retry_after:
                        // forced open, until somebody says otherwise.
  BulkheadFull,         // Bulkhead or AdaptiveLimiter: no permit, and the queue full or timed out.
  RequestNotPermitted,  // RateLimiter: no permit within the timeout.
  NoHealthyTarget,      // FailoverChain: every target is ejected or failed.
  PoolExhausted,        // Pool: nothing to borrow within the timeout.
  InvalidConfig,        // A configuration that cannot work; the message names the field.
};

// Lower-case published names: "resource_exhaustion", "transient", "not_sent", "call_not_permitted".
std::string_view to_string(ErrorClass value) noexcept;
std::string_view to_string(Persistence value) noexcept;
std::string_view to_string(Delivery value) noexcept;
std::string_view to_string(ErrorKind value) noexcept;

// Why a policy did not let a call through. Trivially copyable: refusing costs no allocation.
struct Rejection {
  ErrorKind kind = ErrorKind::CallNotPermitted;
  MaybeDuration retry_after = {};  // From now; none: no telling when.

  friend bool operator==(const Rejection&, const Rejection&) = default;
};

// An operating error with its context. A plain value: copy, move, compare by fields.
class Error {
 public:
  explicit Error(ErrorKind kind, Classification classification, std::string message = {})
      : kind_(kind), classification_(classification), message_(std::move(message)) {}

  // Throttled; never sent, so it is always safe to try again after retry_after. Indefinite when a
  // breaker gives none.
  // NOLINTNEXTLINE(google-explicit-constructor): a Rejection is an Error without context.
  Error(const Rejection& rejection)
      : kind_(rejection.kind),
        classification_{.error_class = ErrorClass::ResourceExhaustion,
                        .persistence = Persistence::Throttled,
                        .delivery = Delivery::NotSent,
                        .indefinite = rejection.kind == ErrorKind::CallNotPermitted &&
                                      !rejection.retry_after.has_value(),
                        .retry_after = rejection.retry_after} {}

  // Classified by classification.h's rules.
  static Error from_code(std::error_code code, std::string message = {});
  static Error from_exception(std::exception_ptr exception);
  static Error cancelled();
  // `delivery`: NotSent when the deadline had passed before the call began.
  static Error timeout_exceeded(Delivery delivery = Delivery::Unknown);
  static Error invalid_config(std::string message);

  ErrorKind kind() const noexcept { return kind_; }
  const Classification& classification() const noexcept { return classification_; }
  std::optional<Duration> retry_after() const noexcept { return classification_.retry_after; }
  const std::error_code& code() const noexcept { return code_; }  // Empty when unknown.
  const std::exception_ptr& exception() const noexcept { return exception_; }  // Null when none.
  const std::string& message() const noexcept { return message_; }  // For people; may be empty.

  // Kind, class, message, code and retry_after in one line, for logs.
  std::string to_string() const;

 private:
  ErrorKind kind_;
  Classification classification_;
  std::error_code code_;
  std::string message_;
  std::exception_ptr exception_;
};

}  // namespace recover
