#include <cstddef>
#include <string>

#include <recover/circuit_breaker_config.h>

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

struct Problem {
  bool present;
  const char* field;
  const char* rule;
};

Result<void> first_of(const Problem* problems, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (!problems[i].present) continue;
    return Unexpected(Error::invalid_config(std::string("circuit_breaker.") + problems[i].field +
                                            ": " + problems[i].rule));
  }
  return {};
}

template <std::size_t N>
Result<void> first_of(const Problem (&problems)[N]) {
  return first_of(problems, N);
}

Result<void> check_window(const SlidingWindow& window) {
  const bool timed = window.kind == WindowKind::Time;
  const bool divides =
      window.bucket > 0ns && window.duration > 0ns && window.duration % window.bucket == 0ns;
  return first_of({
      {window.kind == WindowKind::Count && (window.size < 1 || window.size > kWindowSizeMax),
       "sliding_window.size", "must be 1 to 8191 outcomes"},
      {timed && !divides, "sliding_window.bucket",
       "must be above 0 and divide sliding_window.duration"},
      {timed && divides && window.duration / window.bucket > kWindowBucketsMax,
       "sliding_window.bucket", "must divide sliding_window.duration into at most 1024 buckets"},
      {timed && window.duration > kWindowDurationMax, "sliding_window.duration",
       "must be at most 366 days"},
      {window.kind == WindowKind::Tumbling && window.duration <= 0ns, "sliding_window.duration",
       "must be above 0"},
  });
}

bool has_negative(const std::vector<Duration>& waits) {
  for (const Duration wait : waits) {
    if (wait < 0ns) return true;
  }
  return false;
}

Result<void> check_open_wait(const OpenWait& wait) {
  return first_of({
      {wait.initial < 0ns, "wait_in_open.initial", "must not be negative"},
      {!(wait.multiplier >= 1.0), "wait_in_open.multiplier", "must be at least 1"},
      {wait.multiplier > 1.0 && wait.max < wait.initial, "wait_in_open.max",
       "must not be below wait_in_open.initial"},
      {!(wait.jitter >= 0.0 && wait.jitter <= 1.0), "wait_in_open.jitter", "must be 0 to 1"},
      {has_negative(wait.table), "wait_in_open.table", "must not hold a negative wait"},
  });
}

// The probes that are enough whatever their outcomes are.
std::uint32_t outcomes_to_decide(const HalfOpenRule& rule) {
  switch (rule.kind) {
    case HalfOpenRule::Kind::Rate: return 1;  // Capped at the permits.
    case HalfOpenRule::Kind::ConsecutiveSuccesses: return rule.n;
    case HalfOpenRule::Kind::SuccessThreshold:
    case HalfOpenRule::Kind::FailureThreshold: return rule.of;
  }
  return 1;
}

Result<void> check_half_open(const CircuitBreakerConfig& config) {
  const HalfOpenRule& rule = config.half_open_rule;
  const bool of_rule = rule.kind == HalfOpenRule::Kind::SuccessThreshold ||
                       rule.kind == HalfOpenRule::Kind::FailureThreshold;
  return first_of({
      {config.permitted_calls_in_half_open < 1, "permitted_calls_in_half_open",
       "must be at least 1"},
      {rule.kind != HalfOpenRule::Kind::Rate && rule.n < 1, "half_open_rule.n",
       "must be at least 1"},
      {of_rule && rule.of < rule.n, "half_open_rule.of", "must not be below half_open_rule.n"},
      {config.half_open_permit_mode == PermitMode::Total &&
           outcomes_to_decide(rule) > config.permitted_calls_in_half_open,
       "permitted_calls_in_half_open", "must let enough probes pass for half_open_rule to decide"},
      {config.half_open_max_wait < 0ns, "half_open_max_wait", "must not be negative"},
      {config.half_open_max_wait_then != State::Open &&
           config.half_open_max_wait_then != State::Closed,
       "half_open_max_wait_then", "must be Open or Closed"},
  });
}

Result<void> check_thresholds(const CircuitBreakerConfig& config) {
  const auto outside = [](Percent percent) {
    return percent.ppm() < 1 || percent.ppm() > Percent::kWhole;
  };
  return first_of({
      {outside(config.failure_rate_threshold), "failure_rate_threshold",
       "must be above 0 and at most 100 percent"},
      {outside(config.slow_call_rate_threshold), "slow_call_rate_threshold",
       "must be above 0 and at most 100 percent"},
      {config.slow_call_duration_threshold < 0ns, "slow_call_duration_threshold",
       "must not be negative"},
  });
}

}  // namespace

Result<void> CircuitBreakerConfig::validate() const {
  for (const auto& checked : {check_window(sliding_window), check_thresholds(*this),
                              check_open_wait(wait_in_open), check_half_open(*this)}) {
    if (!checked.has_value()) return checked;
  }
  return {};
}

Outcome outcome_of(const CircuitBreakerConfig& config, const Classification& failure) {
  if (failure.persistence == Persistence::Cancelled) return Outcome::Cancelled;
  if (config.ignore_failure && config.ignore_failure(failure)) return Outcome::Ignored;
  if (config.record_failure && !config.record_failure(failure)) return Outcome::Success;
  return Outcome::Failure;
}

std::string_view to_string(State value) noexcept {
  switch (value) {
    case State::Closed: return "closed";
    case State::Open: return "open";
    case State::HalfOpen: return "half_open";
    case State::Disabled: return "disabled";
    case State::MetricsOnly: return "metrics_only";
    case State::ForcedOpen: return "forced_open";
  }
  return "invalid";
}

std::string_view to_string(Outcome value) noexcept {
  switch (value) {
    case Outcome::Success: return "success";
    case Outcome::Failure: return "failure";
    case Outcome::Ignored: return "ignored";
    case Outcome::Cancelled: return "cancelled";
  }
  return "invalid";
}

std::string_view to_string(Cause value) noexcept {
  switch (value) {
    case Cause::FailureRate: return "failure_rate";
    case Cause::SlowCallRate: return "slow_call_rate";
    case Cause::FailureCount: return "failure_count";
    case Cause::ConsecutiveFailures: return "consecutive_failures";
    case Cause::ProbesFailed: return "probes_failed";
    case Cause::ProbesSucceeded: return "probes_succeeded";
    case Cause::WaitElapsed: return "wait_elapsed";
    case Cause::HalfOpenTimedOut: return "half_open_timed_out";
    case Cause::Manual: return "manual";
    case Cause::Reset: return "reset";
  }
  return "invalid";
}

}  // namespace recover::circuitbreaker
