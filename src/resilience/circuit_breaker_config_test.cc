#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include <recover/circuit_breaker_config.h>

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

TEST(CircuitBreakerConfigTest, DefaultsAreResilience4js) {
  const CircuitBreakerConfig config;
  EXPECT_TRUE(config.validate().has_value());
  EXPECT_EQ(config.sliding_window.size, 100U);
  EXPECT_EQ(config.minimum_calls, 100U);
  EXPECT_EQ(config.failure_rate_threshold.ppm(), 500'000U);
  EXPECT_EQ(config.slow_call_rate_threshold.ppm(), Percent::kWhole);
  EXPECT_EQ(config.slow_call_duration_threshold, 60s);
  EXPECT_EQ(config.wait_in_open.initial, 60s);
  EXPECT_EQ(config.permitted_calls_in_half_open, 10U);
  EXPECT_EQ(config.half_open_max_wait, 60s) << "finite, unlike theirs";
}

struct Invalid {
  const char* field;
  CircuitBreakerConfig config;
};

std::vector<Invalid> invalid_configs() {
  using Kind = HalfOpenRule::Kind;
  const auto window = [](SlidingWindow value) {
    return CircuitBreakerConfig{.sliding_window = value};
  };
  const auto wait = [](const OpenWait& value) {
    return CircuitBreakerConfig{.wait_in_open = value};
  };
  const auto rule = [](HalfOpenRule value) {
    return CircuitBreakerConfig{.half_open_rule = value};
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  return {
      {"sliding_window.size", window({.size = 0})},
      {"sliding_window.size", window({.size = kWindowSizeMax + 1})},
      {"sliding_window.bucket", window({.kind = WindowKind::Time, .bucket = 0s})},
      {"sliding_window.bucket", window({.kind = WindowKind::Time, .duration = 10s, .bucket = 3s})},
      {"sliding_window.bucket", window({.kind = WindowKind::Time, .duration = 0s})},
      {"sliding_window.bucket",
       window({.kind = WindowKind::Time, .duration = 1025s, .bucket = 1s})},
      {"sliding_window.duration", window({.kind = WindowKind::Tumbling, .duration = 0s})},
      {"sliding_window.duration",
       window({.kind = WindowKind::Time, .duration = Duration::max(), .bucket = Duration::max()})},
      {"failure_rate_threshold", {.failure_rate_threshold = 0}},
      {"failure_rate_threshold", {.failure_rate_threshold = 100.0001}},
      {"failure_rate_threshold", {.failure_rate_threshold = kNan}},
      {"failure_rate_threshold", {.failure_rate_threshold = 1e300}},
      {"slow_call_rate_threshold", {.slow_call_rate_threshold = -1}},
      {"slow_call_duration_threshold", {.slow_call_duration_threshold = -1ns}},
      {"wait_in_open.initial", wait({.initial = -1ns})},
      {"wait_in_open.multiplier", wait({.multiplier = 0.5})},
      {"wait_in_open.multiplier", wait({.multiplier = kNan})},
      {"wait_in_open.max", wait({.initial = 11min, .multiplier = 1.5})},
      {"wait_in_open.jitter", wait({.jitter = 1.5})},
      {"wait_in_open.jitter", wait({.jitter = kNan})},
      {"wait_in_open.table", wait({.table = {1s, -1s}})},
      {"permitted_calls_in_half_open", {.permitted_calls_in_half_open = 0}},
      {"permitted_calls_in_half_open", rule({.kind = Kind::ConsecutiveSuccesses, .n = 11})},
      {"permitted_calls_in_half_open", rule({.kind = Kind::SuccessThreshold, .n = 1, .of = 11})},
      {"half_open_rule.n", rule({.kind = Kind::ConsecutiveSuccesses, .n = 0})},
      {"half_open_rule.of", rule({.kind = Kind::FailureThreshold, .n = 3, .of = 2})},
      {"half_open_max_wait", {.half_open_max_wait = -1ns}},
      {"half_open_max_wait_then", {.half_open_max_wait_then = State::HalfOpen}},
  };
}

TEST(CircuitBreakerConfigTest, NamesTheFieldThatCannotWork) {
  for (const Invalid& invalid : invalid_configs()) {
    const Result<void> checked = invalid.config.validate();
    ASSERT_FALSE(checked.has_value()) << invalid.field;
    EXPECT_EQ(checked.error().kind(), ErrorKind::InvalidConfig);
    const std::string start = std::string("circuit_breaker.") + invalid.field + ": ";
    EXPECT_EQ(checked.error().message().substr(0, start.size()), start);
  }
}

TEST(CircuitBreakerConfigTest, ChecksOnlyWhatIsUsed) {
  EXPECT_TRUE(CircuitBreakerConfig{.wait_in_open = {.initial = 15min}}.validate().has_value());
  EXPECT_TRUE(CircuitBreakerConfig{.sliding_window = {.bucket = 0s}}.validate().has_value());
  EXPECT_TRUE((CircuitBreakerConfig{.sliding_window = {.kind = WindowKind::Time, .size = 0}})
                  .validate()
                  .has_value());
  EXPECT_TRUE((CircuitBreakerConfig{
                   .half_open_permit_mode = PermitMode::Concurrent,
                   .half_open_rule = {.kind = HalfOpenRule::Kind::ConsecutiveSuccesses, .n = 99}})
                  .validate()
                  .has_value());
}

TEST(PercentTest, ReachedIsExact) {
  static_assert(Percent(50).reached_by(1, 2));
  static_assert(!Percent(50.0001).reached_by(1, 2));
  static_assert(Percent(33.3333).reached_by(1, 3));
  static_assert(!Percent(33.3334).reached_by(1, 3));
  static_assert(Percent(0.1).ppm() == 1000);
  static_assert(Percent(-5).ppm() == 0);
  for (std::uint64_t whole = 1; whole <= 1000; ++whole) {
    const std::uint64_t half = (whole + 1) / 2;
    EXPECT_TRUE(Percent(50).reached_by(half, whole)) << whole;
    EXPECT_FALSE(Percent(50).reached_by(half - 1, whole)) << whole;
  }
}

TEST(OutcomeOfTest, AsksIgnoreThenRecord) {
  CircuitBreakerConfig config;
  const Classification failure{.error_class = ErrorClass::Timeout};
  EXPECT_EQ(outcome_of(config, failure), Outcome::Failure);
  EXPECT_EQ(outcome_of(config, {.persistence = Persistence::Cancelled}), Outcome::Cancelled);
  config.record_failure = [](const Classification&) { return false; };
  EXPECT_EQ(outcome_of(config, failure), Outcome::Success);
  config.ignore_failure = [](const Classification&) { return true; };
  EXPECT_EQ(outcome_of(config, failure), Outcome::Ignored);
  EXPECT_EQ(outcome_of(config, {.persistence = Persistence::Cancelled}), Outcome::Cancelled);
}

TEST(CircuitBreakerNames, ArePublished) {
  EXPECT_EQ(to_string(State::HalfOpen), "half_open");
  EXPECT_EQ(to_string(State::MetricsOnly), "metrics_only");
  EXPECT_EQ(to_string(Outcome::Cancelled), "cancelled");
  EXPECT_EQ(to_string(Cause::HalfOpenTimedOut), "half_open_timed_out");
}

}  // namespace
}  // namespace recover::circuitbreaker
