// What kind of failure an errno, error_code, exception or HTTP status is, and what to do about each
// class by default.
//
// Pure and total: every input has an answer, and one nobody foresaw is Unknown and Transient. A
// single error value seldom proves that nothing was sent, so Delivery::NotSent is kept for those
// that do; a caller that knows more (the failure was one of connect(), of name resolution) sets
// `delivery` itself.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <string_view>
#include <system_error>

#include <recover/backoff.h>
#include <recover/error.h>
#include <recover/time.h>

namespace recover {

// Every errno of Linux has a row in one table. EIO is permanent: after a failed fsync a second one
// may report success for pages that were dropped.
Classification classify_errno(int number) noexcept;

// The generic and system categories go by errno, others by their default_error_condition(), and
// what is still foreign is Unknown and Transient. REQUIRES: none; an empty code is Unknown too.
Classification classify(const std::error_code& code) noexcept;

// std::system_error and std::future_error go by their code, std::bad_alloc is resource exhaustion,
// a thrown Error is classified as itself; everything else is Unknown and Transient.
// REQUIRES: not null (aborts).
Classification classify(const std::exception_ptr& exception) noexcept;

// Meant for 400 and above; a lower status is Unknown and Permanent, one outside 100..599 is treated
// as 5xx (RFC 9110, 15). Delivery is always Unknown: an answer came, so the request was received.
// `retry_after` is passed on, and makes 413 and 503 Throttled; see parse_retry_after.
Classification classify_http_status(int status,
                                    std::optional<Duration> retry_after = std::nullopt) noexcept;

// The Retry-After header field (RFC 9110, 10.2.3): delay-seconds or an HTTP-date in IMF-fixdate
// form; the two obsolete date forms are refused. A date in the past is 0, a number too large for a
// Duration is Duration::max(). Anything else, a negative number included, is nullopt.
std::optional<Duration> parse_retry_after(std::string_view header,
                                          std::chrono::system_clock::time_point now) noexcept;

// One thing to do about a failure that repeats.
enum class Remedy : std::uint8_t {
  Retry,               // The same call again, after the backoff.
  ExtendTimeout,       // Allow the call more time.
  Failover,            // Go to another target.
  Restart,             // Restart the dependency.
  RefreshCredentials,  // Call the credentials hook.
  Escalate,            // A human decides.
  CleanUp,             // Free what is exhausted.
  AdjustLimits,        // Lower our use or raise the limit.
  Scale,               // Add capacity.
  Validate,            // Establish how far the damage goes.
  Restore,             // Go back to a good state.
};

inline constexpr std::size_t kRemediesMax = 3;

// Lower-case published names: "extend_timeout".
std::string_view to_string(Remedy value) noexcept;

// What to do by default about an error class, mildest remedy first.
struct Strategy {
  std::array<Remedy, kRemediesMax> remedies = {};
  std::size_t remedy_count = 0;
  bool retry = false;  // Calling again unchanged is among the remedies, with `backoff`.
  BackoffConfig backoff = {};

  constexpr std::span<const Remedy> steps() const noexcept {
    return std::span(remedies).first(remedy_count);
  }
};

namespace detail {

// 2^attempt * 500 ms, at most 30 s.
inline constexpr BackoffConfig kDoublingBackoff = {.kind = retry::BackoffKind::Exponential,
                                                   .initial_interval = std::chrono::seconds{1},
                                                   .multiplier = 2.0,
                                                   .max_interval = std::chrono::seconds{30},
                                                   .jitter = retry::Jitter::Full};

// In the order of ErrorClass.
inline constexpr std::array<Strategy, 7> kDefaultStrategies = {{
    {.remedies = {Remedy::Retry, Remedy::Failover},
     .remedy_count = 2,
     .retry = true,
     .backoff = kDoublingBackoff},
    {.remedies = {Remedy::ExtendTimeout, Remedy::Retry, Remedy::Restart},
     .remedy_count = 3,
     .retry = true,
     .backoff = kDoublingBackoff},
    {.remedies = {Remedy::RefreshCredentials, Remedy::Escalate}, .remedy_count = 2},
    {.remedies = {Remedy::Escalate}, .remedy_count = 1},
    {.remedies = {Remedy::CleanUp, Remedy::AdjustLimits, Remedy::Scale}, .remedy_count = 3},
    {.remedies = {Remedy::Validate, Remedy::Restore}, .remedy_count = 2},
    {.remedies = {Remedy::Retry, Remedy::Escalate},
     .remedy_count = 2,
     .retry = true,
     .backoff = kDoublingBackoff},
}};
static_assert(kDefaultStrategies.size() == static_cast<std::size_t>(ErrorClass::Unknown) + 1);

}  // namespace detail

// Advice for a planner. Retry itself goes by Persistence: a Throttled or Transient failure of any
// class may be tried again.
constexpr const Strategy& default_strategy(ErrorClass error_class) noexcept {
  return detail::kDefaultStrategies[static_cast<std::size_t>(error_class)];
}

}  // namespace recover
