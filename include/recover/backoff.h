// How long to wait before the next attempt: constant, linear or exponential delays with jitter.
//
// Pure arithmetic on values: no clock, no random source, no allocation. Overflow saturates at
// Duration::max(); a delay is never negative.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>

#include <recover/result.h>
#include <recover/time.h>

namespace recover {
namespace retry {

// Resilience4j IntervalFunction.DEFAULT_INITIAL_INTERVAL, DEFAULT_MULTIPLIER and
// DEFAULT_RANDOMIZATION_FACTOR.
inline constexpr Duration kDefaultInitialInterval = std::chrono::milliseconds{500};
inline constexpr double kDefaultMultiplier = 1.5;
inline constexpr double kDefaultRandomizationFactor = 0.5;
inline constexpr Duration kNoMaxInterval = Duration::max();

// The delay before jitter for attempt n = 1, 2, 3, ...
enum class BackoffKind : std::uint8_t {
  Constant,     // initial_interval
  Linear,       // initial_interval * n
  Exponential,  // initial_interval * multiplier^(n-1)
};

// What becomes of the delay v, with u uniform in [0, 1).
enum class Jitter : std::uint8_t {
  None,          // v
  Full,          // u*v                            (AWS Architecture Blog, "Exponential Backoff And
  Equal,         // v/2 + u*v/2                     Jitter", M. Brooker, 2015)
  Decorrelated,  // initial + u*(3*previous - initial); same source. Ignores kind and multiplier.
  Proportional,  // v*(1 - r + 2*r*u), r = randomization_factor (gRPC 0.2, Polly 0.25, R4j 0.5).
  // f(t) = 2^t * tanh(sqrt(4*t)), t = n-1+u; initial/1.4 * (f(t) - f(previous t)). Ignores kind and
  // multiplier. Polly's exponential backoff with jitter, by G. Polevoy (Polly issue 530).
  DecorrelatedV2,
};

struct BackoffConfig {
  BackoffKind kind = BackoffKind::Constant;
  Duration initial_interval = kDefaultInitialInterval;  // >= 0
  double multiplier = kDefaultMultiplier;               // Exponential only; >= 1.
  Duration max_interval = kNoMaxInterval;               // The cap; >= 0.
  Jitter jitter = Jitter::None;
  double randomization_factor = kDefaultRandomizationFactor;  // Proportional only; in [0, 1].
  // False: v is capped and then jittered, so that callers at the cap stay spread out; Proportional
  // may then exceed the cap (gRPC A6). True: only the jittered delay is capped (Resilience4j).
  // The two decorrelated jitters always cap the delay they return.
  bool cap_after_jitter = false;
  // Above 0: arithmetic in whole ticks, as Resilience4j's in milliseconds. Every step is truncated
  // to a tick, a Proportional range includes its upper end, and a delay it draws is >= one tick.
  Duration tick = Duration::zero();

  // InvalidConfig naming the field that is out of range.
  Result<void> validate() const;

  friend bool operator==(const BackoffConfig&, const BackoffConfig&) = default;
};

// What the decorrelated jitters remember of the attempt before; the others leave it alone.
struct BackoffMemory {
  double value = 0.0;

  friend bool operator==(BackoffMemory, BackoffMemory) = default;
};

struct BackoffStep {
  Duration delay = Duration::zero();
  BackoffMemory memory = {};  // For the next step.
};

// The wait after failed attempt number `attempt`, counted from 1. REQUIRES: attempt >= 1 (aborts
// otherwise), a valid config, u in [0, 1]. Pure; any thread.
BackoffStep next_step(const BackoffConfig& config, unsigned attempt, double u,
                      BackoffMemory memory) noexcept;

// The same for jitters without memory, and for the first step of the others.
inline Duration delay(const BackoffConfig& config, unsigned attempt, double u = 0.0) noexcept {
  return next_step(config, attempt, u, {}).delay;
}

// `delay` raised to the other side's hint, by no more than `extra_max`; no hint, no change. So the
// result lies in [delay, delay + extra_max]. REQUIRES: none of them negative.
Duration clamp_retry_after(Duration delay, std::optional<Duration> hint,
                           Duration extra_max) noexcept;

// The sequence of delays of one call. Not thread-safe; a few words, free to copy.
class Backoff {
 public:
  // REQUIRES: config is valid and outlives this.
  explicit constexpr Backoff(const BackoffConfig& config) noexcept : config_(&config) {}

  Duration next(double u) noexcept {
    const BackoffStep step = next_step(*config_, ++attempt_, u, memory_);
    memory_ = step.memory;
    return step.delay;
  }

  // Begins again with the first delay (gRPC A6 does so after a server pushback).
  constexpr void reset() noexcept {
    attempt_ = 0;
    memory_ = {};
  }

 private:
  const BackoffConfig* config_;
  unsigned attempt_ = 0;
  BackoffMemory memory_;
};

}  // namespace retry

using retry::BackoffConfig;

}  // namespace recover
