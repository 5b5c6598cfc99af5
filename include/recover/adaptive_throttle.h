// Client-side adaptive throttling: a client whose calls are failing refuses a growing share of them
// itself, so that an overloaded dependency does not spend its last strength on saying no.
//
// Google, Site Reliability Engineering, ch. 21 "Handling Overload". With n calls and `ok` accepted
// ones in the window, a call is refused with probability max(0, (n - ok/threshold) / (n + 1)),
// never above max_rejection_rate, so some calls always find out whether the dependency is well
// again.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <stop_token>
#include <utility>

#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/result.h>
#include <recover/shared_random.h>
#include <recover/time.h>

namespace recover {
namespace throttle {

inline constexpr double kDefaultSuccessThreshold = 0.5;              // 1/K; the SRE book's K is 2.
inline constexpr double kDefaultMaxRejectionRate = 0.9;              // failsafe-go
inline constexpr Duration kDefaultWindow = std::chrono::minutes{2};  // The SRE book.
inline constexpr Duration kWindowMin = std::chrono::milliseconds{1};
inline constexpr std::size_t kWindowSlots = 16;

struct AdaptiveThrottleConfig {
  // The share of accepted calls below which refusing begins; in (0, 1]. Lower lets more through.
  double success_threshold = kDefaultSuccessThreshold;
  double max_rejection_rate = kDefaultMaxRejectionRate;  // In [0, 1).
  // What is remembered: the last window, forgotten a sixteenth at a time; >= kWindowMin.
  Duration window = kDefaultWindow;
  std::optional<std::uint64_t> seed = {};  // Of the lot a call draws; nullopt: from entropy.

  Result<void> validate() const;
};

// Calls in the window: all of them, ours refused included, and those the dependency accepted.
struct Tally {
  std::uint64_t requests = 0;
  std::uint64_t accepts = 0;

  friend bool operator==(Tally, Tally) = default;
};

// In [0, max_rejection_rate]. REQUIRES: accepts <= requests, a valid config. Pure.
constexpr double rejection_probability(Tally tally, double success_threshold,
                                       double max_rejection_rate) noexcept {
  const double excess =
      static_cast<double>(tally.requests) - static_cast<double>(tally.accepts) / success_threshold;
  const double probability = excess / (static_cast<double>(tally.requests) + 1.0);
  return std::min(max_rejection_rate, std::max(0.0, probability));
}

// Pure state machine. Not thread-safe; allocates nothing. `now` must not go backwards: an earlier
// one counts as the latest seen.
class ThrottleMachine {
 public:
  // REQUIRES: a valid config.
  ThrottleMachine(const AdaptiveThrottleConfig& config, Instant now) noexcept;

  // Whether the call may go ahead, `u` in [0, 1) being its lot. A refusal counts as a request.
  bool admit(Instant now, double u) noexcept;
  // An admitted call ended. Counted here, not on admission, so calls in flight weigh nothing.
  void record(bool accepted, Instant now) noexcept;

  double rejection_probability(Instant now) noexcept;
  Tally tally(Instant now) noexcept;

 private:
  void advance(Instant now) noexcept;

  AdaptiveThrottleConfig config_;
  Duration slot_width_;
  std::int64_t slot_;  // The latest slot of the time line; its tally is at slot_ % kWindowSlots.
  std::array<Tally, kWindowSlots> tallies_{};
};

struct AdaptiveThrottleEvent {
  enum class Type : std::uint8_t { ThrottlingStarted, ThrottlingStopped };
  Type type = Type::ThrottlingStarted;
  double rejection_probability = 0.0;
};

struct AdaptiveThrottleMetrics {
  std::uint64_t permitted_calls = 0;
  std::uint64_t rejected_calls = 0;
  std::uint64_t accepted_calls = 0;    // Success, or a failure that was no sign of overload.
  std::uint64_t unaccepted_calls = 0;  // Transient and throttled failures.
  Tally window = {};
};

// Any thread may call any member; none blocks or allocates. When a slot begins, calls that end in
// the same instant may still be counted in the slot before.
class AdaptiveThrottle {
 public:
  // REQUIRES: config.validate() (aborts otherwise); the clock outlives this.
  explicit AdaptiveThrottle(const AdaptiveThrottleConfig& config = {},
                            Clock& clock = SteadyClock::instance());

  const AdaptiveThrottleConfig& config() const noexcept { return config_; }

  // Refused with RequestNotPermitted. What is permitted must be followed by record(), unless it
  // was cancelled.
  Result<void, Rejection> try_acquire() noexcept { return try_acquire(clock_->now()); }
  Result<void, Rejection> try_acquire(Instant now) noexcept;
  void record(bool accepted) noexcept { record(accepted, clock_->now()); }
  void record(bool accepted, Instant now) noexcept;

  // Permanent failures count as accepted: the dependency did the work of saying so. Cancelled calls
  // are not counted.
  template <Operation F>
  OperationResult<F> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(operation, CallContext{.stop = stop});
  }
  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context) {
    return execute(operation, context, clock_->now());
  }
  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context, Instant now) {
    if (const auto admitted = try_acquire(now); !admitted) {
      return Unexpected(Error(admitted.error()));
    }
    OperationResult<F> result = invoke_operation(operation, context);
    const std::optional<Classification> failure = failure_of(result);
    if (!failure || failure->persistence != Persistence::Cancelled) {
      record(!failure || failure->persistence == Persistence::Permanent);
    }
    return result;
  }

  double rejection_probability(Instant now) noexcept;
  AdaptiveThrottleMetrics metrics() noexcept;
  Subscription on_event(Listeners<AdaptiveThrottleEvent>::Listener listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  enum class Counter : std::uint8_t { Permitted, Rejected, Accepted, Unaccepted, Count };

  // Both numbers in one word, so that one addition counts a call: requests above, accepts below.
  static constexpr std::uint64_t kRequest = std::uint64_t{1} << 32U;
  static constexpr std::uint64_t kAcceptedRequest = kRequest + 1;

  std::atomic<std::uint64_t>& current_slot(Instant now) noexcept;
  void begin_slot(std::int64_t slot) noexcept;
  Tally tally() const noexcept;
  void note_throttling(double probability) noexcept;

  AdaptiveThrottleConfig config_;
  Clock* clock_;
  Duration slot_width_;
  std::atomic<std::int64_t> slot_;
  std::atomic<bool> beginning_slot_{false};
  std::atomic<bool> throttling_{false};
  std::array<std::atomic<std::uint64_t>, kWindowSlots> slots_{};
  SharedRandom random_;
  Counters<Counter> counters_;
  Listeners<AdaptiveThrottleEvent> listeners_;
};

}  // namespace throttle

using throttle::AdaptiveThrottle;
using throttle::AdaptiveThrottleConfig;

}  // namespace recover
