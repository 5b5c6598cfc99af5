#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <vector>

#include <recover/error.h>
#include <recover/outlier_detector.h>

namespace recover::failover {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Instant at(int s) {
  return Instant{seconds{s}};
}

constexpr OutlierDetectorConfig kTenSeconds = {.interval = seconds{10},
                                               .base_ejection_time = seconds{10},
                                               .max_ejection_time = seconds{300},
                                               .max_ejection_percent = 100};

Detection eject(OutlierDetector& detector, Instant now, std::uint64_t random = 0) {
  Detection last = Detection::Tolerated;
  for (int i = 0; i < 5; ++i) last = detector.record_failure(0, now, random);
  return last;
}

TEST(OutlierDetectorConfig, DefaultsAreEnvoys) {
  const OutlierDetectorConfig config;
  EXPECT_EQ(config.consecutive_failures, 5U);
  EXPECT_EQ(config.interval, seconds{10});
  EXPECT_EQ(config.base_ejection_time, seconds{30});
  EXPECT_EQ(config.max_ejection_time, seconds{300});
  EXPECT_EQ(config.max_ejection_percent, 10U);
  EXPECT_TRUE(config.validate().has_value());
}

TEST(OutlierDetectorConfig, NamesTheBadField) {
  const auto message = [](const OutlierDetectorConfig& config) {
    return config.validate().error().message();
  };
  EXPECT_NE(message({.consecutive_failures = 0}).find("consecutive_failures"), std::string::npos);
  EXPECT_NE(message({.interval = Duration{1}}).find("interval"), std::string::npos);
  EXPECT_NE(message({.base_ejection_time = Duration{0}}).find("base_ejection_time"),
            std::string::npos);
  EXPECT_NE(message({.max_ejection_time = seconds{29}}).find("max_ejection_time"),
            std::string::npos);
  EXPECT_NE(message({.max_ejection_time_jitter = milliseconds{-1}}).find("jitter"),
            std::string::npos);
  EXPECT_NE(message({.max_ejection_percent = 101}).find("percent"), std::string::npos);
}

// Vector O02 (Envoy, EjectTimeBackoff).
TEST(OutlierDetector, EjectionTimeGrowsAndShrinks) {
  OutlierDetector detector(kTenSeconds, 1, at(0));
  const auto expect_ejection = [&](int from, int until, std::uint32_t backoff) {
    ASSERT_EQ(eject(detector, at(from)), Detection::Ejected);
    EXPECT_EQ(detector.backoff(0), backoff);
    EXPECT_EQ(detector.readmission(0), at(until));
    for (int t = from + 10; t < until; t += 10) {
      detector.catch_up(at(t));
      EXPECT_TRUE(detector.ejected(0)) << t;
    }
    detector.catch_up(at(until));
    EXPECT_FALSE(detector.ejected(0));
  };
  expect_ejection(0, 10, 1);
  expect_ejection(10, 30, 2);
  expect_ejection(30, 60, 3);
  detector.catch_up(at(70));
  EXPECT_EQ(detector.backoff(0), 2U);
  detector.catch_up(at(80));
  EXPECT_EQ(detector.backoff(0), 1U);
  expect_ejection(80, 100, 2);
  for (int t = 110; t <= 600; t += 10) detector.catch_up(at(t));
  EXPECT_EQ(detector.backoff(0), 0U);
  expect_ejection(610, 620, 1);
}

// Vector O03 (Envoy, MaxEjectTime).
TEST(OutlierDetector, EjectionTimeIsCapped) {
  OutlierDetector detector(kTenSeconds, 1, at(0));
  int now = 0;
  for (int i = 1; i <= 33; ++i) {
    ASSERT_EQ(eject(detector, at(now)), Detection::Ejected);
    EXPECT_EQ(detector.ejection_time(0), seconds{std::min(10 * i, 300)}) << i;
    now += std::min(10 * i, 300);
    detector.catch_up(at(now));
    ASSERT_FALSE(detector.ejected(0));
  }
  EXPECT_EQ(detector.backoff(0), 31U);
}

// Vector O07 (Envoy, EjectionTimeJitterIsInRange).
TEST(OutlierDetector, JitterIsDrawnAsEnvoyDoes) {
  EXPECT_EQ(ejection_jitter(123'456'789, milliseconds{10'000}), milliseconds{4'445});
  EXPECT_EQ(ejection_jitter(~std::uint64_t{0}, milliseconds{0}), milliseconds{0});
  OutlierDetectorConfig config = kTenSeconds;
  config.max_ejection_time_jitter = milliseconds{10'000};
  OutlierDetector detector(config, 1, at(0));
  eject(detector, at(0), 123'456'789);
  EXPECT_EQ(detector.ejection_time(0), seconds{10} + milliseconds{4'445});
  EXPECT_EQ(detector.readmission(0), at(20));
}

TEST(OutlierDetector, ASuccessBreaksTheRow) {
  OutlierDetector detector(kTenSeconds, 2, at(0));
  for (int i = 0; i < 4; ++i) detector.record_failure(0, at(0), 0);
  detector.record_success(0);
  EXPECT_EQ(detector.record_failure(0, at(0), 0), Detection::Tolerated);
  EXPECT_EQ(detector.consecutive_failures(0), 1U);
  EXPECT_EQ(detector.consecutive_failures(1), 0U);
}

TEST(OutlierDetector, NeverEjectsMoreThanItsShare) {
  OutlierDetectorConfig config = kTenSeconds;
  config.consecutive_failures = 1;
  config.max_ejection_percent = 66;
  OutlierDetector detector(config, 3, at(0));
  EXPECT_EQ(detector.record_failure(0, at(0), 0), Detection::Ejected);
  EXPECT_EQ(detector.record_failure(1, at(0), 0), Detection::Overflowed);
  config.max_ejection_percent = 10;
  config.always_eject_one_host = true;
  OutlierDetector exempt(config, 3, at(0));
  EXPECT_EQ(exempt.record_failure(2, at(0), 0), Detection::Ejected);
  EXPECT_EQ(exempt.record_failure(1, at(0), 0), Detection::Overflowed);
  EXPECT_EQ(exempt.ejected_count(), 1U);
}

TEST(OutlierDetector, ReadmissionStartsTheRowAnew) {
  OutlierDetector detector(kTenSeconds, 1, at(0));
  eject(detector, at(0));
  detector.record_failure(0, at(1), 0);  // In flight while it was ejected.
  detector.readmit(0, at(2));
  EXPECT_FALSE(detector.ejected(0));
  EXPECT_EQ(detector.consecutive_failures(0), 0U);
  EXPECT_EQ(detector.last_unejection(0), at(2));
}

// catch_up() in closed form equals one sweep() at each due instant.
RC_GTEST_PROP(OutlierDetector, CatchUpEqualsSweepBySweep,
              (const std::vector<std::uint16_t>& script)) {
  OutlierDetectorConfig config;
  config.interval = seconds{*rc::gen::inRange(1, 8)};
  config.base_ejection_time = seconds{*rc::gen::inRange(1, 12)};
  config.max_ejection_time = config.base_ejection_time * *rc::gen::inRange(1, 6);
  config.max_ejection_time_jitter = milliseconds{*rc::gen::inRange(0, 3'000)};
  config.consecutive_failures = 2;
  config.max_ejection_percent = 70;
  constexpr std::size_t kTargets = 3;
  OutlierDetector quick(config, kTargets, at(0));
  OutlierDetector model(config, kTargets, at(0));
  Instant now = at(0);
  Instant next_sweep = at(0) + config.interval;
  for (const std::uint16_t word : script) {
    const std::size_t target = word % kTargets;
    now += milliseconds{word / 16 % 2 == 0 ? 0 : word / 4};
    quick.catch_up(now);
    for (; next_sweep <= now; next_sweep += config.interval) model.sweep(next_sweep);
    if (word / 8 % 4 == 0) {
      quick.record_success(target);
      model.record_success(target);
    } else {
      RC_ASSERT(quick.record_failure(target, now, word) == model.record_failure(target, now, word));
    }
    for (std::size_t i = 0; i < kTargets; ++i) {
      RC_ASSERT(quick.ejected(i) == model.ejected(i));
      RC_ASSERT(quick.backoff(i) == model.backoff(i));
      RC_ASSERT(quick.last_unejection(i) == model.last_unejection(i));
    }
    RC_ASSERT(100U * quick.ejected_count() <= 70U * kTargets);
  }
}

}  // namespace
}  // namespace recover::failover
