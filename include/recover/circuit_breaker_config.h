// The vocabulary and the knobs of the circuit breaker. Plain values, no behaviour.
//
// Terms and defaults are those of Resilience4j 2.x (CircuitBreakerConfig.java) unless a comment
// says otherwise. The compatibility knobs at the end reproduce Polly, gobreaker and Failsafe.
#pragma once

#include <algorithm>
#include <cstdint>
#include <functional>
#include <optional>
#include <string_view>
#include <vector>

#include <recover/error.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::circuitbreaker {

enum class State : std::uint8_t {
  Closed,       // Calls pass; outcomes are counted; a threshold opens.
  Open,         // Calls are refused until the wait is over.
  HalfOpen,     // A few probes pass; their outcomes decide.
  Disabled,     // Calls pass; nothing is counted.
  MetricsOnly,  // Calls pass; outcomes are counted; nothing opens.
  ForcedOpen,   // Calls are refused until an operator says otherwise (Polly: isolated).
};

enum class Outcome : std::uint8_t {
  Success,
  Failure,
  Ignored,    // Says nothing about the dependency: the permit goes back, nothing is counted.
  Cancelled,  // Our own side gave up: like Ignored, counted apart.
};

// Why a transition happened.
enum class Cause : std::uint8_t {
  FailureRate,
  SlowCallRate,
  FailureCount,
  ConsecutiveFailures,
  ProbesFailed,
  ProbesSucceeded,
  WaitElapsed,       // The open wait is over.
  HalfOpenTimedOut,  // half_open_max_wait is over and the probes have not decided.
  Manual,            // transition_to().
  Reset,             // reset().
};

// Published names: "half_open", "failure_rate", …
std::string_view to_string(State value) noexcept;
std::string_view to_string(Outcome value) noexcept;
std::string_view to_string(Cause value) noexcept;

// A share in parts per million, so that thresholds compare as integers and never round.
class Percent {
 public:
  static constexpr std::uint32_t kWhole = 1'000'000;

  // NOLINTNEXTLINE(google-explicit-constructor): `failure_rate_threshold = 50` reads as intended.
  constexpr Percent(double percent) noexcept
      : ppm_(percent > 0 ? static_cast<std::uint32_t>(std::min(percent, 1000.0) * 10'000 + 0.5)
                         : 0) {}

  constexpr std::uint32_t ppm() const noexcept { return ppm_; }
  // part / whole >= this, exactly. REQUIRES: part and whole below 2^43.
  constexpr bool reached_by(std::uint64_t part, std::uint64_t whole) const noexcept {
    return part * kWhole >= whole * ppm_;
  }

 private:
  std::uint32_t ppm_;
};

enum class WindowKind : std::uint8_t {
  Count,     // The last `size` outcomes.
  Time,      // The outcomes of the last `duration`, in buckets.
  Tumbling,  // The outcomes since the period began; the next call after `duration` begins another.
  None,      // The outcomes since the breaker closed.
};

enum class Alignment : std::uint8_t {
  Epoch,       // Bucket = floor(now / bucket): the current one and duration/bucket - 1 before it.
  StateEntry,  // The same, measured from the instant the state was entered.
  Event,       // A bucket opens at the first touch after the previous one ended (Polly).
};

struct SlidingWindow {
  WindowKind kind = WindowKind::Count;
  std::uint32_t size = 100;  // Count: 1..kWindowSizeMax outcomes.
  Duration duration =
      std::chrono::seconds{60};  // Time: whole buckets, to kWindowDurationMax. Tumbling: period.
  Duration bucket = std::chrono::seconds{1};  // Time: 1..kWindowBucketsMax of them.
  Alignment alignment = Alignment::Epoch;
};
inline constexpr std::uint32_t kWindowSizeMax = 8191;
inline constexpr std::uint32_t kWindowBucketsMax = 1024;
inline constexpr Duration kWindowDurationMax = std::chrono::hours{24 * 366};  // Of Time windows.

// How long Open lasts: initial * multiplier^(opens since the last close - 1), growing to at most
// `max`, then spread evenly over +-jitter of itself.
struct OpenWait {
  Duration initial = std::chrono::seconds{60};
  double multiplier = 1.0;                  // At least 1; 1 keeps the wait constant.
  Duration max = std::chrono::minutes{10};  // Of a wait that grows.
  double jitter = 0.0;                      // 0..1.
  // When not empty, replaces the formula: the wait by half-opens since the last close; the last
  // entry repeats.
  std::vector<Duration> table = {};
};

// When probes decide. n, of: see each kind.
struct HalfOpenRule {
  enum class Kind : std::uint8_t {
    Rate,                  // After min(n, permits) outcomes: the closed thresholds decide; the
                           // failure rate in place of a streak. Nothing but failures opens.
    ConsecutiveSuccesses,  // n successes in a row close; the first failure opens.
    SuccessThreshold,      // n successes of `of` close; more than of - n failures open.
    FailureThreshold,      // n failures of `of` open; more than of - n successes close.
  };
  Kind kind = Kind::Rate;
  std::uint32_t n = 0;  // 0 with Rate: minimum_calls.
  std::uint32_t of = 0;
};

enum class PermitMode : std::uint8_t {
  Total,       // Each permit admits one probe; one given back unused admits another.
  Concurrent,  // At most that many probes at a time.
};

enum class EvaluateOn : std::uint8_t { AnyOutcome, Failure, Tick };
enum class Boundary : std::uint8_t {
  Inclusive,  // The wait is over at opened + wait.
  Exclusive,  // … one tick later (Resilience4j, gobreaker).
};
enum class OpenTransition : std::uint8_t {
  OnAcquire,  // The first try_acquire() after the wait half-opens.
  OnAccess,   // So does reading the state through observe() (gobreaker).
  Timer,      // Any entry, tick() included, once the wait is over (automatic transition).
};
enum class LateOutcomes : std::uint8_t {
  Drop,          // An outcome admitted in an earlier state entry is counted apart, changes nothing.
  CurrentState,  // It is applied to whatever state the breaker is in (Resilience4j, Polly).
};

struct CircuitBreakerConfig {
  SlidingWindow sliding_window = {};
  // No threshold is looked at below this many outcomes; a count window caps it at its size.
  std::uint32_t minimum_calls = 100;
  Percent failure_rate_threshold = 50;  // Opens at this share or more.
  Percent slow_call_rate_threshold = 100;
  // A call is slow when it takes longer than this. 0 turns slow-call detection off and saves the
  // clock readings that it needs.
  Duration slow_call_duration_threshold = std::chrono::seconds{60};
  std::uint32_t failure_count_threshold = 0;  // 0: off. Replaces the failure rate.
  // 0: off. Replaces the failure rate; looked at from minimum_calls on, like every threshold.
  std::uint32_t consecutive_failures_threshold = 0;

  OpenWait wait_in_open = {};
  std::uint32_t permitted_calls_in_half_open = 10;
  PermitMode half_open_permit_mode = PermitMode::Total;
  HalfOpenRule half_open_rule = {};
  // Half-open ends after this long whatever the probes do, so a lost probe never wedges it.
  // Resilience4j waits for ever by default; 0 means that here too.
  Duration half_open_max_wait = std::chrono::seconds{60};
  State half_open_max_wait_then = State::Open;  // Open or Closed.
  // Of the jitter. Without one CircuitBreaker takes it from the system's entropy, so that clients
  // started together do not come back together; a bare StateMachine takes 0.
  std::optional<std::uint64_t> seed = {};

  // What a failed call means: ignore first, then record; a failure that neither ignores nor
  // records counts as a success. Empty: nothing but cancellation is ignored, all is recorded.
  std::function<bool(const Classification&)> ignore_failure = {};
  std::function<bool(const Classification&)> record_failure = {};

  // Compatibility. With anything but these defaults, or a Tumbling, None or Event-aligned window,
  // recording takes a mutex.
  EvaluateOn evaluate_on = EvaluateOn::AnyOutcome;
  Boundary boundary = Boundary::Inclusive;
  OpenTransition open_transition = OpenTransition::OnAcquire;
  LateOutcomes late_outcomes = LateOutcomes::Drop;

  // ErrorKind::InvalidConfig, naming the first field that cannot work.
  Result<void> validate() const;
};

// What the breaker makes of a failed call, by the predicates of the config.
Outcome outcome_of(const CircuitBreakerConfig& config, const Classification& failure);

// Outcomes in a window. failed and slow overlap in slow_failed.
struct Counts {
  std::uint64_t total = 0;
  std::uint64_t failed = 0;
  std::uint64_t slow = 0;
  std::uint64_t slow_failed = 0;

  friend constexpr Counts operator+(const Counts& a, const Counts& b) noexcept {
    return {a.total + b.total, a.failed + b.failed, a.slow + b.slow, a.slow_failed + b.slow_failed};
  }
  friend constexpr Counts operator-(const Counts& a, const Counts& b) noexcept {
    return {a.total - b.total, a.failed - b.failed, a.slow - b.slow, a.slow_failed - b.slow_failed};
  }
  friend bool operator==(const Counts&, const Counts&) = default;
};

constexpr Counts single(bool failed, bool slow) noexcept {
  return {1, failed ? 1U : 0U, slow ? 1U : 0U, failed && slow ? 1U : 0U};
}

struct Event {
  enum class Kind : std::uint8_t {
    StateTransition,       // from -> to.
    FailureRateExceeded,   // MetricsOnly: would have opened. Once per stay.
    SlowCallRateExceeded,  // The same for slow calls.
    Reset,                 // reset() was called.
  };
  Kind kind = Kind::StateTransition;
  State from = State::Closed;
  State to = State::Closed;
  Cause cause = Cause::Manual;
  std::uint64_t generation = 0;  // Of `to`; rises by one with each state entry.
  Instant at = {};
  Duration open_wait = {};  // With to == Open: how long from `at`.

  friend bool operator==(const Event&, const Event&) = default;
};

}  // namespace recover::circuitbreaker

namespace recover {
using circuitbreaker::CircuitBreakerConfig;
}
