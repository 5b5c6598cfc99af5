#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include <recover/concurrency_limit.h>
#include <recover/error.h>

namespace recover::adaptive {
namespace {

using namespace std::chrono_literals;

AdaptiveLimiterConfig starting_at(Algorithm algorithm, std::uint32_t limit) {
  return {.algorithm = algorithm, .initial_limit = limit};
}

// The first four cases are the facts of concurrency-limits' AIMDLimitTest.
TEST(Aimd, StartsAtItsInitialLimit) {
  EXPECT_EQ(Aimd(starting_at(Algorithm::Aimd, 10)).limit(), 10U);
}

TEST(Aimd, GrowsByOneOnASuccess) {
  Aimd aimd(starting_at(Algorithm::Aimd, 20));
  EXPECT_EQ(aimd.update({.rtt = 1ms, .in_flight = 10}), 21U);
}

TEST(Aimd, ShrinksByItsRatioOnADrop) {
  Aimd aimd(starting_at(Algorithm::Aimd, 30));
  EXPECT_EQ(aimd.update({.rtt = 0ns, .in_flight = 0, .dropped = true}), 27U);
}

TEST(Aimd, StaysAtItsMaximum) {
  Aimd aimd({.algorithm = Algorithm::Aimd, .initial_limit = 21, .limit_max = 21});
  EXPECT_EQ(aimd.update({.rtt = 1ms, .in_flight = 11}), 21U);
}

TEST(Aimd, TakesASlowCallForADropAndIgnoresOneThatDidNotUseTheLimit) {
  Aimd aimd({.algorithm = Algorithm::Aimd, .initial_limit = 20, .timeout = 1s});
  EXPECT_EQ(aimd.update({.rtt = 1s, .in_flight = 9}), 20U);
  EXPECT_EQ(aimd.update({.rtt = 1s + 1ns, .in_flight = 9}), 18U);
}

// Cases as in concurrency-limits' VegasLimitTest: from 10, where alpha is 3 and beta is 6.
struct VegasCase {
  Duration second_rtt;
  std::uint32_t limit;
};

TEST(Vegas, MovesWithTheQueueItEstimates) {
  for (const VegasCase& c : {VegasCase{10ms, 16},    // No queue: up by beta.
                             VegasCase{12ms, 11},    // Queue of 2: up by one.
                             VegasCase{14ms, 10},    // Queue of 3, between alpha and beta: stays.
                             VegasCase{50ms, 9}}) {  // Queue of 8: down by one.
    Vegas vegas(starting_at(Algorithm::Vegas, 10));
    EXPECT_EQ(vegas.update({.rtt = 10ms, .in_flight = 10}), 10U);
    EXPECT_EQ(vegas.update({.rtt = c.second_rtt, .in_flight = 10}), c.limit);
  }
}

TEST(Vegas, ShrinksOnADropAndIgnoresACallThatDidNotUseTheLimit) {
  Vegas vegas(starting_at(Algorithm::Vegas, 10));
  EXPECT_EQ(vegas.update({.rtt = 10ms, .in_flight = 10}), 10U);
  EXPECT_EQ(vegas.update({.rtt = 10ms, .in_flight = 4}), 10U);
  EXPECT_EQ(vegas.update({.rtt = 1ns, .in_flight = 1, .dropped = true}), 9U);
  EXPECT_EQ(vegas.update({.rtt = 0ns, .in_flight = 9}), 9U);
}

TEST(Vegas, MeasuresAfreshAfterItsProbeInterval) {
  Vegas vegas({.algorithm = Algorithm::Vegas, .initial_limit = 10, .probe_multiplier = 1});
  EXPECT_EQ(vegas.update({.rtt = 10ms, .in_flight = 1}), 10U);
  for (int i = 0; i < 8; ++i) vegas.update({.rtt = 100ms, .in_flight = 1});
  EXPECT_EQ(vegas.update({.rtt = 100ms, .in_flight = 1}), 10U);   // The tenth: the probe.
  EXPECT_EQ(vegas.update({.rtt = 100ms, .in_flight = 10}), 16U);  // 100 ms is the shortest now.
}

TEST(Gradient2, GrowsByAShareOfItsQueueWhileLatencyIsStable) {
  Gradient2 gradient(starting_at(Algorithm::Gradient2, 20));
  EXPECT_EQ(gradient.update({.rtt = 10ms, .in_flight = 20}), 20U);  // 20 + 0.2 * 4 = 20.8
  EXPECT_EQ(gradient.update({.rtt = 10ms, .in_flight = 20}), 21U);  // 21.6
}

TEST(Gradient2, ShrinksWhenLatencyLeavesItsAverage) {
  Gradient2 gradient(starting_at(Algorithm::Gradient2, 100));
  for (int i = 0; i < 10; ++i) gradient.update({.rtt = 10ms, .in_flight = 1});
  // Gradient 0.5: 100 * 0.8 + (50 + 4) * 0.2 = 90.8
  EXPECT_EQ(gradient.update({.rtt = 100ms, .in_flight = 100}), 90U);
}

TEST(Gradient2, ShrinksOnADropHoweverFast) {
  Gradient2 gradient(starting_at(Algorithm::Gradient2, 100));
  gradient.update({.rtt = 10ms, .in_flight = 1});
  EXPECT_EQ(gradient.update({.rtt = 1ns, .in_flight = 1, .dropped = true}), 90U);
}

TEST(Gradient2, KeepsItsLimitForACallThatDidNotUseIt) {
  Gradient2 gradient(starting_at(Algorithm::Gradient2, 20));
  EXPECT_EQ(gradient.update({.rtt = 10ms, .in_flight = 9}), 20U);
  EXPECT_EQ(gradient.update({.rtt = 0ns, .in_flight = 20}), 20U);
}

// A dependency with room for `capacity` calls: beyond it, calls queue and latency grows.
std::uint32_t settle(Algorithm algorithm, double capacity) {
  constexpr std::uint32_t kNever = 1'000'000;
  ConcurrencyLimit machine({.algorithm = algorithm, .timeout = 25ms, .probe_multiplier = kNever});
  for (int i = 0; i < 20'000; ++i) {
    const std::uint32_t in_flight = machine.limit();
    const double load = std::max(1.0, in_flight / capacity);
    machine.update({.rtt = std::chrono::duration_cast<Duration>(10ms * load),
                    .in_flight = in_flight,
                    .unit = 0.5});
  }
  return machine.limit();
}

TEST(ConcurrencyLimit, SettlesAboveTheCapacityAndWellBelowItsMaximum) {
  EXPECT_GE(settle(Algorithm::Aimd, 40), 80U);  // Reacts to calls beyond 25 ms only.
  EXPECT_LE(settle(Algorithm::Aimd, 40), 101U);
  EXPECT_GE(settle(Algorithm::Vegas, 40), 42U);  // A queue of alpha to beta calls.
  EXPECT_LE(settle(Algorithm::Vegas, 40), 46U);
}

RC_GTEST_PROP(ConcurrencyLimit, StaysWithinItsBounds, ()) {
  const auto limit_min = *rc::gen::inRange(1U, 30U);
  const auto limit_max = *rc::gen::inRange(limit_min, 60U);
  const AdaptiveLimiterConfig config{
      .algorithm = *rc::gen::element(Algorithm::Aimd, Algorithm::Vegas, Algorithm::Gradient2),
      .initial_limit = *rc::gen::inRange(limit_min, limit_max + 1),
      .limit_min = limit_min,
      .limit_max = limit_max};
  RC_ASSERT(config.validate().has_value());
  ConcurrencyLimit machine(config);
  const auto sample = rc::gen::construct<Sample>(
      rc::gen::map(rc::gen::inRange<std::int64_t>(-1, 10'000'000'000),
                   [](std::int64_t rtt) { return Duration{rtt}; }),
      rc::gen::inRange(0U, 100U), rc::gen::arbitrary<bool>(), rc::gen::just(0.25));
  for (const Sample& s : *rc::gen::container<std::vector<Sample>>(sample)) {
    const std::uint32_t limit = machine.update(s);
    RC_ASSERT(limit >= limit_min && limit <= limit_max);
    RC_ASSERT(limit == machine.limit());
  }
}

TEST(AdaptiveLimiterConfig, NamesTheBadField) {
  const auto refuses = [](const AdaptiveLimiterConfig& config, const char* field) {
    const auto result = config.validate();
    return !result.has_value() && result.error().message().find(field) != std::string::npos;
  };
  EXPECT_TRUE(AdaptiveLimiterConfig{}.validate().has_value());
  EXPECT_TRUE(refuses({.limit_min = 0}, ".limit_min"));
  EXPECT_TRUE(refuses({.limit_min = 9, .limit_max = 8}, ".limit_max"));
  EXPECT_TRUE(refuses({.initial_limit = 201}, ".initial_limit"));
  EXPECT_TRUE(refuses({.backoff_ratio = 1.0}, ".backoff_ratio"));
  EXPECT_TRUE(refuses({.timeout = 0ns}, ".timeout"));
  EXPECT_TRUE(refuses({.probe_multiplier = 0}, ".probe_multiplier"));
  EXPECT_TRUE(refuses({.long_window = 0}, ".long_window"));
  EXPECT_TRUE(refuses({.rtt_tolerance = 0.9}, ".rtt_tolerance"));
  EXPECT_TRUE(refuses({.smoothing = 0.0}, ".smoothing"));
}

}  // namespace
}  // namespace recover::adaptive
