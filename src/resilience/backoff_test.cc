#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cmath>
#include <limits>
#include <string>

#include <recover/backoff.h>
#include <recover/error.h>
#include <recover/random.h>

namespace recover::retry {
namespace {

using namespace std::chrono_literals;
using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr double kNearlyOne = 0x1.fffffffffffffp-1;

TEST(Backoff, DefaultsAreThoseOfResilience4j) {
  for (const unsigned attempt : {1U, 2U, 100U}) EXPECT_EQ(delay({}, attempt, 0.3), 500ms);
}

// Conformance vector B01.
TEST(Backoff, AwsFormulas) {
  BackoffConfig config{.kind = BackoffKind::Exponential,
                       .initial_interval = 10ms,  // base * 2^1
                       .multiplier = 2.0,
                       .max_interval = 2000ms};
  EXPECT_EQ(delay(config, 1), 10ms);
  EXPECT_EQ(delay(config, 4), 80ms);
  EXPECT_EQ(delay(config, 9), 2000ms);
  config.jitter = Jitter::Full;
  EXPECT_EQ(delay(config, 1, 0.0), 0ms);
  EXPECT_EQ(delay(config, 1, 0.5), 5ms);
  EXPECT_EQ(delay(config, 4, 0.5), 40ms);
  EXPECT_EQ(delay(config, 9, 0.25), 500ms);
  config.jitter = Jitter::Equal;
  EXPECT_EQ(delay(config, 1, 0.0), 5ms);
  EXPECT_EQ(delay(config, 1, 0.5), 7500us);
  EXPECT_EQ(delay(config, 4, 0.0), 40ms);
  EXPECT_EQ(delay(config, 4, 0.5), 60ms);
  EXPECT_EQ(delay(config, 9, 0.0), 1000ms);
}

// B05
TEST(Backoff, RetryAfterIsClamped) {
  EXPECT_EQ(clamp_retry_after(50ms, 1500ms, 5s), 1500ms);
  EXPECT_EQ(clamp_retry_after(50ms, 0ms, 5s), 50ms);
  EXPECT_EQ(clamp_retry_after(50ms, 10s, 5s), 5050ms);
  EXPECT_EQ(clamp_retry_after(50ms, std::nullopt, 5s), 50ms);
  EXPECT_EQ(clamp_retry_after(50ms, -100ms, 5s), 50ms);
  EXPECT_EQ(clamp_retry_after(1s, Duration::max(), Duration::max()), Duration::max());
}

// B06
TEST(Backoff, PollyConstantWithJitter) {
  const BackoffConfig config{
      .initial_interval = 1s, .jitter = Jitter::Proportional, .randomization_factor = 0.25};
  EXPECT_EQ(delay(config, 1, 0.0), 750ms);
  EXPECT_EQ(delay(config, 2, 0.4), 950ms);
  EXPECT_EQ(delay(config, 3, 0.6), 1050ms);
  EXPECT_EQ(delay(config, 4, 1.0), 1250ms);
}

// B08
TEST(Backoff, PollyWithoutJitter) {
  const BackoffConfig linear{.kind = BackoffKind::Linear, .initial_interval = 1s};
  const BackoffConfig exponential{
      .kind = BackoffKind::Exponential, .initial_interval = 1s, .multiplier = 2.0};
  for (unsigned attempt = 1; attempt <= 3; ++attempt) {
    EXPECT_EQ(delay(linear, attempt), seconds{attempt});
    EXPECT_EQ(delay(exponential, attempt), seconds{1 << (attempt - 1)});
  }
}

// B09, against the formula written out.
TEST(Backoff, DecorrelatedV2CarriesItsState) {
  const auto f = [](double t) { return std::pow(2.0, t) * std::tanh(std::sqrt(4.0 * t)); };
  const BackoffConfig config{
      .initial_interval = 1s, .max_interval = 6s, .jitter = Jitter::DecorrelatedV2};
  Backoff backoff(config);
  Random random(9);
  double previous = 0.0;
  for (int attempt = 0; attempt < 8; ++attempt) {
    const double u = random.unit();
    const double expected = std::min(6.0, (f(attempt + u) - previous) / 1.4);
    EXPECT_NEAR(std::chrono::duration<double>(backoff.next(u)).count(), expected, 1e-8);
    previous = f(attempt + u);  // Uncapped.
  }
}

// B10
TEST(Backoff, OverflowSaturates) {
  BackoffConfig config{
      .kind = BackoffKind::Exponential, .initial_interval = hours{24}, .multiplier = 2.0};
  EXPECT_EQ(delay(config, 1000), Duration::max());
  for (const Jitter jitter : {Jitter::None, Jitter::DecorrelatedV2}) {
    config.jitter = jitter;
    config.max_interval = kNoMaxInterval;
    Backoff unbounded(config);
    for (int i = 0; i < 2000; ++i) unbounded.next(0.5);
    EXPECT_EQ(unbounded.next(0.5), Duration::max());
    config.max_interval = hours{48};
    EXPECT_EQ(delay(config, 1000, 0.5), hours{48});
    EXPECT_EQ(delay(config, std::numeric_limits<unsigned>::max(), 0.5), hours{48});
  }
  for (const Jitter jitter : {Jitter::Full, Jitter::Equal, Jitter::Proportional}) {
    const BackoffConfig steep{.kind = BackoffKind::Exponential,
                              .initial_interval = 1s,
                              .multiplier = 1e300,
                              .max_interval = 3s,
                              .jitter = jitter,
                              .cap_after_jitter = true};
    EXPECT_EQ(delay(steep, 9, 0.5), 3s);
  }
  const BackoffConfig linear{.kind = BackoffKind::Linear, .initial_interval = Duration::max() / 2};
  EXPECT_EQ(delay(linear, 3), Duration::max());
}

// B11
TEST(Backoff, Resilience4jCappedExponential) {
  const BackoffConfig config{.kind = BackoffKind::Exponential,
                             .initial_interval = 100ms,
                             .multiplier = 2.0,
                             .max_interval = 100'000ms,
                             .cap_after_jitter = true,
                             .tick = 1ms};
  constexpr std::array<std::pair<unsigned, milliseconds>, 6> kCases = {
      {{1, 100ms}, {2, 200ms}, {10, 51'200ms}, {11, 100'000ms}, {12, 100'000ms}, {13, 100'000ms}}};
  for (const auto& [attempt, expected] : kCases) EXPECT_EQ(delay(config, attempt), expected);
  EXPECT_DEATH(delay(config, 0), "attempt >= 1");
}

// B11: (long)(min + random * (max - min + 1)), at least 1 ms, and then the cap.
TEST(Backoff, Resilience4jRandomised) {
  BackoffConfig config{.kind = BackoffKind::Exponential,
                       .initial_interval = 100ms,
                       .max_interval = 1000ms,
                       .jitter = Jitter::Proportional,
                       .randomization_factor = 0.5,
                       .cap_after_jitter = true,
                       .tick = 1ms};
  EXPECT_EQ(delay(config, 1, 0.0), 50ms);
  EXPECT_EQ(delay(config, 1, 0.5), 100ms);
  EXPECT_EQ(delay(config, 1, kNearlyOne), 150ms);  // The upper end is included.
  EXPECT_EQ(delay(config, 4, 0.0), 168ms);         // 100 150 225 337(.5), half of it: 168.5
  EXPECT_EQ(delay(config, 20, 0.0), 1000ms);       // Jittered first: no spread at the cap.
  config.initial_interval = 101ms;
  EXPECT_EQ(delay(config, 1, kNearlyOne), 152ms);  // [50.5, 152.5)
  config.initial_interval = 1ms;
  config.randomization_factor = 1.0;
  EXPECT_EQ(delay(config, 1, 0.0), 1ms);
}

// B12
TEST(Backoff, GrpcJitterMayExceedTheCap) {
  const BackoffConfig config{.kind = BackoffKind::Exponential,
                             .initial_interval = 1s,
                             .multiplier = 2.0,
                             .max_interval = 5s,
                             .jitter = Jitter::Proportional,
                             .randomization_factor = 0.2};
  constexpr std::array<milliseconds, 4> kLow = {800ms, 1600ms, 3200ms, 4000ms};
  constexpr std::array<milliseconds, 4> kHigh = {1200ms, 2400ms, 4800ms, 6000ms};
  for (unsigned n = 1; n <= 4; ++n) {
    EXPECT_EQ(delay(config, n, 0.0), kLow[n - 1]);
    EXPECT_EQ(delay(config, n, 1.0), kHigh[n - 1]);
  }
}

TEST(Backoff, DecorrelatedFollowsThePreviousDelay) {
  const BackoffConfig config{
      .initial_interval = 100ms, .max_interval = 1s, .jitter = Jitter::Decorrelated};
  Backoff backoff(config);
  EXPECT_EQ(backoff.next(0.5), 200ms);  // 100 + 0.5 * (300 - 100)
  EXPECT_EQ(backoff.next(1.0), 600ms);  // 3 * 200
  EXPECT_EQ(backoff.next(1.0), 1s);
  EXPECT_EQ(backoff.next(0.0), 100ms);
  backoff.reset();
  EXPECT_EQ(backoff.next(1.0), 300ms);
}

TEST(Backoff, ZeroIntervalNeverWaits) {
  for (int kind = 0; kind <= static_cast<int>(BackoffKind::Exponential); ++kind) {
    for (int jitter = 0; jitter <= static_cast<int>(Jitter::DecorrelatedV2); ++jitter) {
      const BackoffConfig config{.kind = static_cast<BackoffKind>(kind),
                                 .initial_interval = 0ms,
                                 .jitter = static_cast<Jitter>(jitter)};
      EXPECT_EQ(delay(config, 7, 0.9), 0ms);
    }
  }
}

TEST(BackoffConfig, NamesTheBadField) {
  const auto complaint = [](const BackoffConfig& config) {
    const Result<void> valid = config.validate();
    return valid ? std::string() : valid.error().message();
  };
  EXPECT_EQ(complaint({}), "");
  EXPECT_EQ(complaint({.initial_interval = -1ns}),
            "backoff.initial_interval: must be at least 0, got -1 ns");
  EXPECT_TRUE(complaint({.multiplier = 0.9}).starts_with("backoff.multiplier"));
  EXPECT_TRUE(complaint({.multiplier = std::nan("")}).starts_with("backoff.multiplier"));
  EXPECT_TRUE(complaint({.multiplier = HUGE_VAL}).starts_with("backoff.multiplier"));
  EXPECT_TRUE(complaint({.max_interval = -1s}).starts_with("backoff.max_interval"));
  EXPECT_TRUE(complaint({.randomization_factor = 1.1}).starts_with("backoff.randomization_factor"));
  EXPECT_TRUE(complaint({.tick = -1ms}).starts_with("backoff.tick"));
}

// The documented range of a delay, computed the slow way.
struct Range {
  double low;
  double high;
};

Range documented_range(const BackoffConfig& config, unsigned attempt, double previous) {
  const auto initial = static_cast<double>(config.initial_interval.count());
  const auto cap = static_cast<double>(config.max_interval.count());
  double v = initial;
  if (config.kind == BackoffKind::Linear) v = initial * attempt;
  if (config.kind == BackoffKind::Exponential)
    v = initial * std::pow(config.multiplier, attempt - 1);
  v = std::min(v, cap);
  const double r = config.randomization_factor;
  switch (config.jitter) {
    case Jitter::None: return {v, v};
    case Jitter::Full: return {0.0, v};
    case Jitter::Equal: return {v / 2.0, v};
    case Jitter::Proportional: return {v * (1.0 - r), v * (1.0 + r)};
    case Jitter::Decorrelated:
      return {std::min(cap, initial), std::min(cap, std::max(initial, 3.0 * previous))};
    case Jitter::DecorrelatedV2: return {0.0, cap};
  }
  return {0.0, 0.0};
}

RC_GTEST_PROP(BackoffProperty, DelaysStayInTheDocumentedRange, ()) {
  const BackoffConfig config{.kind = static_cast<BackoffKind>(*rc::gen::inRange(0, 3)),
                             .initial_interval = milliseconds{*rc::gen::inRange(1, 10'000)},
                             .multiplier = *rc::gen::inRange(100, 400) / 100.0,
                             .max_interval = milliseconds{*rc::gen::inRange(1, 100'000)},
                             .jitter = static_cast<Jitter>(*rc::gen::inRange(0, 6)),
                             .randomization_factor = *rc::gen::inRange(0, 101) / 100.0};
  Random random(*rc::gen::arbitrary<std::uint64_t>());
  Backoff backoff(config);
  auto previous = static_cast<double>(config.initial_interval.count());
  for (unsigned attempt = 1; attempt <= 40; ++attempt) {
    const Range range = documented_range(config, attempt, previous);
    const auto got = static_cast<double>(backoff.next(random.unit()).count());
    const double slack = 1.0 + range.high * 1e-9;
    RC_ASSERT(got >= range.low - slack && got <= range.high + slack);
    previous = got;
  }
}

}  // namespace
}  // namespace recover::retry
