#include <algorithm>
#include <cmath>
#include <string>

#include <recover/backoff.h>
#include <recover/check.h>
#include <recover/error.h>

namespace recover::retry {
namespace {

// Delays are computed in nanoseconds as doubles: exact below 2^53 ns (104 days), and overflow is an
// infinity that saturates at the end instead of wrapping on the way.
constexpr double kTicksMax = 0x1p63;

double nanos(Duration duration) noexcept {
  return static_cast<double>(duration.count());
}

Duration to_duration(double value) noexcept {
  if (!(value < kTicksMax)) return Duration::max();
  return Duration{std::llround(value)};
}

double truncate(double value, Duration tick) noexcept {
  if (tick == Duration::zero() || !std::isfinite(value)) return value;
  return std::floor(value / nanos(tick)) * nanos(tick);
}

// By repeated multiplication, so that truncation to ticks happens at every step, as it does in
// Resilience4j. Ends at the first value that overflows or no longer grows: for the usual
// multipliers that is after at most a few dozen steps, however large `attempt` is.
double exponential(const BackoffConfig& config, unsigned attempt) noexcept {
  double value = nanos(config.initial_interval);
  for (unsigned n = 1; n < attempt; ++n) {
    const double next = truncate(value * config.multiplier, config.tick);
    if (next == value || next >= kTicksMax) return std::min(next, kTicksMax);
    value = next;
  }
  return value;
}

double unjittered(const BackoffConfig& config, unsigned attempt) noexcept {
  switch (config.kind) {
    case BackoffKind::Constant: return nanos(config.initial_interval);
    case BackoffKind::Linear: return nanos(config.initial_interval) * attempt;
    case BackoffKind::Exponential: return exponential(config, attempt);
  }
  return 0.0;
}

double cap(const BackoffConfig& config, double value) noexcept {
  return config.max_interval == kNoMaxInterval ? value
                                               : std::min(value, nanos(config.max_interval));
}

// Resilience4j: min + random * (max - min + 1), in milliseconds, not below 1 ms.
double proportional(const BackoffConfig& config, double value, double u) noexcept {
  const double tick = nanos(config.tick);
  const double spread = config.randomization_factor * value;
  const double end = std::nextafter(value + spread + tick, 0.0);  // Rounding must not reach it.
  const double drawn = std::min(end, value - spread + u * (2.0 * spread + tick));
  return std::max(tick, truncate(drawn, config.tick));
}

double jittered(const BackoffConfig& config, double value, double u) noexcept {
  switch (config.jitter) {
    case Jitter::None: return value;
    case Jitter::Full: return truncate(u * value, config.tick);
    case Jitter::Equal: return truncate(value / 2.0 + u * value / 2.0, config.tick);
    case Jitter::Proportional: return proportional(config, value, u);
    case Jitter::Decorrelated:
    case Jitter::DecorrelatedV2: break;  // Not functions of the unjittered delay.
  }
  return value;
}

// What is remembered is the capped delay; nothing (0) stands for the initial interval.
BackoffStep decorrelated(const BackoffConfig& config, double u, BackoffMemory memory) noexcept {
  const double initial = nanos(config.initial_interval);
  const double previous = memory.value > 0.0 ? memory.value : initial;
  const double range = std::max(0.0, 3.0 * previous - initial);
  const double drawn = truncate(initial + u * range, config.tick);
  const double value = std::min(cap(config, drawn), kTicksMax);
  return {to_duration(value), {value}};
}

// What is remembered is f(t), uncapped.
BackoffStep decorrelated_v2(const BackoffConfig& config, unsigned attempt, double u,
                            BackoffMemory memory) noexcept {
  const double initial = nanos(config.initial_interval);
  if (initial == 0.0) return {Duration::zero(), memory};
  const double t = static_cast<double>(attempt - 1) + u;
  const double f = std::exp2(t) * std::tanh(std::sqrt(4.0 * t));
  const double value = std::isinf(f) ? f : initial / 1.4 * (f - memory.value);
  const double capped = cap(config, truncate(std::max(0.0, value), config.tick));
  return {to_duration(capped), {f}};
}

Result<void> invalid(const char* field, const char* rule, const std::string& got) {
  return Unexpected(Error::invalid_config(std::string("backoff.") + field + ": must be " + rule +
                                          ", got " + got));
}

}  // namespace

Result<void> BackoffConfig::validate() const {
  const auto ns = [](Duration value) { return std::to_string(value.count()) + " ns"; };
  if (initial_interval < Duration::zero()) {
    return invalid("initial_interval", "at least 0", ns(initial_interval));
  }
  if (!(multiplier >= 1.0) || std::isinf(multiplier)) {
    return invalid("multiplier", "a finite number of at least 1", std::to_string(multiplier));
  }
  if (max_interval < Duration::zero()) {
    return invalid("max_interval", "at least 0", ns(max_interval));
  }
  if (!(randomization_factor >= 0.0 && randomization_factor <= 1.0)) {
    return invalid("randomization_factor", "in [0, 1]", std::to_string(randomization_factor));
  }
  if (tick < Duration::zero()) return invalid("tick", "at least 0", ns(tick));
  return {};
}

BackoffStep next_step(const BackoffConfig& config, unsigned attempt, double u,
                      BackoffMemory memory) noexcept {
  RECOVER_CHECK(attempt >= 1);
  if (config.jitter == Jitter::Decorrelated) return decorrelated(config, u, memory);
  if (config.jitter == Jitter::DecorrelatedV2) return decorrelated_v2(config, attempt, u, memory);
  const double value = unjittered(config, attempt);
  const double delay = config.cap_after_jitter ? cap(config, jittered(config, value, u))
                                               : jittered(config, cap(config, value), u);
  return {to_duration(delay), memory};
}

Duration clamp_retry_after(Duration delay, std::optional<Duration> hint,
                           Duration extra_max) noexcept {
  if (!hint || *hint <= delay) return delay;
  return delay + std::min(*hint - delay, extra_max);
}

}  // namespace recover::retry
