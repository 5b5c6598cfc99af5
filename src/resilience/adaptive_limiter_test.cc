#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <vector>

#include <recover/adaptive_limiter.h>

namespace recover::adaptive {
namespace {

using namespace std::chrono_literals;

constexpr AdaptiveLimiterConfig kTwo{
    .algorithm = Algorithm::Aimd, .initial_limit = 2, .limit_min = 1, .limit_max = 4};

TEST(AdaptiveLimiter, RefusesAboveItsLimit) {
  ManualClock clock;
  AdaptiveLimiter limiter(kTwo, clock);
  const auto first = limiter.try_acquire();
  auto second = limiter.try_acquire();
  ASSERT_TRUE(first.has_value() && second.has_value());
  const auto third = limiter.try_acquire();
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().kind, ErrorKind::BulkheadFull);
  second->ignore();
  EXPECT_TRUE(limiter.try_acquire().has_value());
}

TEST(AdaptiveLimiter, LearnsFromSuccessesAndDrops) {
  ManualClock clock;
  AdaptiveLimiter limiter(kTwo, clock);
  std::vector<std::uint32_t> heard;
  limiter.on_event([&](const AdaptiveLimiterEvent& event) { heard.push_back(event.limit); });
  limiter.try_acquire().value().success();
  EXPECT_EQ(limiter.limit(), 3U);
  limiter.try_acquire().value().success();  // One of three: did not use the limit.
  EXPECT_EQ(limiter.limit(), 3U);
  limiter.try_acquire().value().dropped();
  EXPECT_EQ(limiter.limit(), 2U);
  EXPECT_EQ(heard, (std::vector<std::uint32_t>{3, 2}));
}

TEST(AdaptiveLimiter, MeasuresFromTheAcquisitionToTheEnd) {
  ManualClock clock;
  AdaptiveLimiter limiter({.algorithm = Algorithm::Aimd, .initial_limit = 2, .timeout = 1s}, clock);
  auto permit = limiter.try_acquire();
  clock.advance(1s + 1ns);
  permit->success();
  EXPECT_EQ(limiter.limit(), 1U);
}

// When Vegas measures afresh shows in the limits that follow.
std::vector<std::uint32_t> limits_of(std::optional<std::uint64_t> seed) {
  ManualClock clock;
  AdaptiveLimiter limiter({.algorithm = Algorithm::Vegas,
                           .initial_limit = 20,
                           .limit_min = 16,
                           .limit_max = 24,
                           .probe_multiplier = 1,
                           .seed = seed},
                          clock);
  std::vector<Permit> held;  // So that no call finds less than half of the limit in use.
  for (int i = 0; i < 14; ++i) held.push_back(*limiter.try_acquire());
  std::vector<std::uint32_t> limits;
  Random times(1);
  for (int i = 0; i < 5'000; ++i) {
    auto permit = limiter.try_acquire();
    permit->success(clock.now() + 1ms * static_cast<int>(1 + times.next() % 100));
    limits.push_back(limiter.limit());
  }
  return limits;
}

TEST(AdaptiveLimiter, VegasProbesDifferBetweenLimitersUnlessSeeded) {
  EXPECT_NE(limits_of({}), limits_of({}));
  EXPECT_NE(limits_of(0), limits_of(1));
  EXPECT_EQ(limits_of(0), limits_of(0));
}

TEST(AdaptiveLimiter, APermitEndsOnce) {
  ManualClock clock;
  AdaptiveLimiter limiter(kTwo, clock);
  {
    Permit permit = limiter.try_acquire().value();
    permit.success();
    permit.dropped();
    permit.ignore();
    Permit other = limiter.try_acquire().value();
    permit = std::move(other);
    EXPECT_EQ(limiter.metrics().in_flight, 1U);
  }
  const AdaptiveLimiterMetrics metrics = limiter.metrics();
  EXPECT_EQ(metrics.in_flight, 0U);
  EXPECT_EQ(metrics.succeeded, 1U);
  EXPECT_EQ(metrics.dropped, 0U);
  EXPECT_EQ(metrics.ignored, 1U);
}

TEST(AdaptiveLimiter, ExecuteTellsOverloadFromOtherFailures) {
  ManualClock clock;
  AdaptiveLimiter limiter(kTwo, clock);
  EXPECT_EQ(*limiter.execute([] { return 7; }), 7);
  const auto fail = [&](const Classification& failure) {
    return limiter.execute(
        [&]() -> Result<int> { return Unexpected(Error(ErrorKind::OperationFailed, failure)); });
  };
  EXPECT_FALSE(fail({.error_class = ErrorClass::Timeout}).has_value());
  EXPECT_FALSE(fail({.persistence = Persistence::Throttled}).has_value());
  EXPECT_FALSE(fail({.error_class = ErrorClass::Permission}).has_value());
  EXPECT_FALSE(fail({.error_class = ErrorClass::Timeout, .persistence = Persistence::Cancelled})
                   .has_value());
  const AdaptiveLimiterMetrics metrics = limiter.metrics();
  EXPECT_EQ(metrics.succeeded, 1U);
  EXPECT_EQ(metrics.dropped, 2U);
  EXPECT_EQ(metrics.ignored, 2U);
}

TEST(AdaptiveLimiter, ExecuteDoesNotStartWhenStoppedOrFull) {
  ManualClock clock;
  AdaptiveLimiter limiter({.algorithm = Algorithm::Aimd, .initial_limit = 1}, clock);
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(limiter.execute([] {}, source.get_token()).error().kind(), ErrorKind::Cancelled);
  const auto permit = limiter.try_acquire();
  EXPECT_EQ(limiter.execute([] {}).error().kind(), ErrorKind::BulkheadFull);
}

constexpr std::uint32_t kMost = 5;

struct Watch {
  std::atomic<std::uint32_t> inside{0};
  std::atomic<bool> exceeded{false};
  std::atomic<std::uint64_t> granted{0};
};

// One call, ended in one of three ways.
void attempt(AdaptiveLimiter& limiter, Watch& watch, std::uint64_t number) {
  auto permit = limiter.try_acquire();
  if (!permit) return;
  ++watch.granted;
  if (watch.inside.fetch_add(1) >= kMost) watch.exceeded = true;
  if (number % 8 == 0) std::this_thread::yield();
  watch.inside.fetch_sub(1);
  switch (number % 16) {
    case 1: permit->dropped(); break;
    case 2: permit->ignore(); break;
    default: permit->success(); break;
  }
}

void stress(Algorithm algorithm) {
  constexpr std::uint64_t kThreads = 8;
  constexpr std::uint64_t kAttempts = 4000;
  ManualClock clock;
  AdaptiveLimiter limiter({.algorithm = algorithm, .initial_limit = 4, .limit_max = kMost}, clock);
  Watch watch;
  const auto work = [&] {
    for (std::uint64_t i = 0; i < kAttempts; ++i) {
      clock.advance(1us);
      attempt(limiter, watch, i);
    }
  };
  std::vector<std::thread> threads;
  for (std::uint64_t i = 0; i < kThreads; ++i) threads.emplace_back(work);
  for (std::thread& thread : threads) thread.join();
  const AdaptiveLimiterMetrics metrics = limiter.metrics();
  EXPECT_FALSE(watch.exceeded);
  EXPECT_EQ(metrics.in_flight, 0U);
  EXPECT_EQ(metrics.succeeded + metrics.dropped + metrics.ignored, watch.granted);
  EXPECT_EQ(watch.granted + metrics.rejected, kThreads * kAttempts);
  EXPECT_LE(metrics.limit, kMost);
}

TEST(AdaptiveLimiterStress, AimdCountsAddUpAndTheMaximumIsNeverExceeded) {
  stress(Algorithm::Aimd);
}

TEST(AdaptiveLimiterStress, VegasCountsAddUpAndTheMaximumIsNeverExceeded) {
  stress(Algorithm::Vegas);
}

TEST(AdaptiveLimiterStress, Gradient2CountsAddUpAndTheMaximumIsNeverExceeded) {
  stress(Algorithm::Gradient2);
}

}  // namespace
}  // namespace recover::adaptive
