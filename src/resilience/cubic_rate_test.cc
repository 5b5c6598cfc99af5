#include <gtest/gtest.h>

#include <recover/cubic_rate.h>
#include <recover/error.h>

namespace recover::adaptive {
namespace {

using namespace std::chrono_literals;

Instant after(double seconds) {
  return Instant{} + std::chrono::duration_cast<Duration>(std::chrono::duration<double>(seconds));
}

// The facts of botocore's tests/unit/retries/test_throttling.py, vector T06.
TEST(CubicRate, VectorT06StartsWithItsRecoveryTime) {
  const CubicRate rate({.rate_max = 10}, Instant{});
  EXPECT_DOUBLE_EQ(rate.recovery_time(), 1.9574338205844317);
}

TEST(CubicRate, VectorT06IsBelowTheMaximumUntilItsRecoveryTimeAndAboveAfter) {
  const CubicRate rate({.rate_max = 10}, Instant{});
  const double k = rate.recovery_time();
  for (const double divisor : {3.0, 2.0, 1.1}) EXPECT_LT(rate.rate_at(after(k / divisor)), 10.0);
  EXPECT_NEAR(rate.rate_at(after(k)), 10.0, 1e-12);
  for (const double factor : {1.1, 2.0}) EXPECT_GT(rate.rate_at(after(k * factor)), 10.0);
}

TEST(CubicRate, VectorT06AThrottleCutsTheRateByBeta) {
  CubicRate rate({.rate_max = 10, .beta = 0.7}, Instant{});
  EXPECT_DOUBLE_EQ(rate.throttled(8.0, Instant{} + 1s), 5.6);
  EXPECT_EQ(rate.rate_max(), 8.0);
  EXPECT_DOUBLE_EQ(rate.recovery_time(), 1.8171205928321397);
  EXPECT_EQ(rate.last_throttle(), Instant{} + 1s);
}

TEST(CubicRate, VectorT06GoesOnFromTheRateThatAThrottleLeft) {
  CubicRate rate({.rate_max = 10, .beta = 0.6}, Instant{});
  EXPECT_DOUBLE_EQ(rate.throttled(10.0, Instant{} + 1s), 6.0);
  EXPECT_DOUBLE_EQ(rate.rate_at(Instant{} + 1s), 6.0);
}

TEST(CubicRate, NamesTheBadField) {
  const auto refuses = [](const CubicRateConfig& config, const char* field) {
    const auto result = config.validate();
    return !result.has_value() && result.error().message().find(field) != std::string::npos;
  };
  EXPECT_TRUE(CubicRateConfig{}.validate().has_value());
  EXPECT_TRUE(refuses({.rate_max = -1}, "cubic_rate.rate_max"));
  EXPECT_TRUE(refuses({.beta = 1.0}, "cubic_rate.beta"));
  EXPECT_TRUE(refuses({.scale = 0.0}, "cubic_rate.scale"));
}

}  // namespace
}  // namespace recover::adaptive
