#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include <recover/rate_limiter.h>

namespace recover::ratelimiter {
namespace {

using namespace std::chrono_literals;

constexpr int kThreads = 8;

TEST(RateLimiter, HasTheDefaultsOfResilience4j) {
  const RateLimiterConfig config;
  EXPECT_EQ(config.limit_for_period, 50U);
  EXPECT_EQ(config.limit_refresh_period, 500ns);
  EXPECT_EQ(config.timeout_duration, 5s);
  EXPECT_TRUE(config.validate().has_value());
}

TEST(RateLimiter, NamesTheBadField) {
  const auto refuses = [](const RateLimiterConfig& config, const char* field) {
    const auto result = config.validate();
    return !result.has_value() && result.error().message().find(field) != std::string::npos;
  };
  EXPECT_TRUE(refuses({.limit_for_period = 0}, "rate_limiter.limit_for_period"));
  EXPECT_TRUE(refuses({.limit_refresh_period = 0ns}, "rate_limiter.limit_refresh_period"));
  EXPECT_TRUE(refuses({.timeout_duration = -1ns}, "rate_limiter.timeout_duration"));
  EXPECT_TRUE(refuses({.burst = 3}, "rate_limiter.burst"));
}

TEST(RateLimiter, FillsInTheBurstOfEachAlgorithm) {
  EXPECT_EQ(RateLimiterConfig{.algorithm = Algorithm::TokenBucket}.quota().burst, 50U);
  EXPECT_EQ(RateLimiterConfig{.algorithm = Algorithm::Gcra}.quota().burst, 1U);
  EXPECT_EQ((RateLimiterConfig{.algorithm = Algorithm::Gcra, .burst = 7}.quota().burst), 7U);
}

// Each algorithm admits the limit from a full start, and says when the next one is due.
TEST(RateLimiter, RejectsWithTheTimeToComeBack) {
  struct Case {
    Algorithm algorithm;
    Duration retry_after;
  };
  for (const Case& c : {Case{Algorithm::FixedWindow, 700ms}, Case{Algorithm::TokenBucket, 200ms}}) {
    ManualClock clock;
    RateLimiter limiter(
        {.algorithm = c.algorithm, .limit_for_period = 5, .limit_refresh_period = 1s}, clock);
    clock.advance(300ms);
    for (int i = 0; i < 5; ++i) EXPECT_TRUE(limiter.try_acquire().has_value());
    const auto refused = limiter.try_acquire();
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().kind, ErrorKind::RequestNotPermitted);
    EXPECT_EQ(refused.error().retry_after, c.retry_after);
    clock.advance(c.retry_after);
    EXPECT_TRUE(limiter.try_acquire().has_value());
  }
}

TEST(RateLimiter, SaysNoTimeForMoreThanCanEverBeHadAtOnce) {
  ManualClock clock;
  RateLimiter limiter({.algorithm = Algorithm::Gcra, .limit_refresh_period = 1s, .burst = 4},
                      clock);
  const auto refused = limiter.try_acquire(5);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().retry_after, std::nullopt);
}

TEST(RateLimiter, ReservesUpToTheTimeoutAndTakesNothingBeyond) {
  ManualClock clock;
  RateLimiter limiter({.limit_for_period = 1, .limit_refresh_period = 1s, .timeout_duration = 2s},
                      clock);
  const Instant now = clock.now();
  EXPECT_EQ(*limiter.reserve(now), 0s);
  EXPECT_EQ(*limiter.reserve(now), 1s);
  EXPECT_FALSE(limiter.reserve(now, 1, 1s).has_value());
  EXPECT_EQ(*limiter.reserve(now), 2s);
  const auto refused = limiter.reserve(now);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().retry_after, 3s);
  EXPECT_EQ(limiter.available(now), -2);
  const RateLimiterMetrics metrics = limiter.metrics();
  EXPECT_EQ(metrics.granted, 3U);
  EXPECT_EQ(metrics.delayed, 2U);
  EXPECT_EQ(metrics.rejected, 2U);
}

TEST(RateLimiter, AcquireWaitsOnTheClock) {
  ManualClock clock;
  RateLimiter limiter({.limit_for_period = 1, .limit_refresh_period = 1s}, clock);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(limiter.acquire().has_value());
  EXPECT_EQ(clock.now(), Instant{} + 3s);
}

TEST(RateLimiter, AcquireDoesNotWaitPastTheCallersDeadline) {
  ManualClock clock;
  RateLimiter limiter({.limit_for_period = 1, .limit_refresh_period = 1s}, clock);
  ASSERT_TRUE(limiter.acquire().has_value());
  const auto late = limiter.acquire(CallContext{.deadline = clock.now() + 999ms});
  ASSERT_FALSE(late.has_value());
  EXPECT_EQ(late.error().kind(), ErrorKind::RequestNotPermitted);
  EXPECT_EQ(late.error().retry_after(), 1s);
  EXPECT_EQ(clock.now(), Instant{});
}

TEST(RateLimiter, AStoppedCallerTakesNothing) {
  ManualClock clock;
  RateLimiter limiter({.limit_for_period = 1, .limit_refresh_period = 1s}, clock);
  std::stop_source source;
  source.request_stop();
  EXPECT_EQ(limiter.acquire(source.get_token()).error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(limiter.available(clock.now()), 1);
}

TEST(RateLimiter, ExecuteRunsWhatItAdmits) {
  ManualClock clock;
  RateLimiter limiter({.limit_for_period = 1, .limit_refresh_period = 1s, .timeout_duration = 0s},
                      clock);
  EXPECT_EQ(*limiter.execute([] { return 7; }), 7);
  const auto refused = limiter.execute([] { return 7; });
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().kind(), ErrorKind::RequestNotPermitted);
}

TEST(RateLimiter, ChangesItsLimitAndTellsOfIt) {
  ManualClock clock;
  RateLimiter limiter({.limit_for_period = 2, .limit_refresh_period = 1s}, clock);
  std::vector<std::uint32_t> heard;
  limiter.on_event([&](const RateLimiterEvent& event) { heard.push_back(event.permits); });
  ASSERT_TRUE(limiter.try_acquire(2).has_value());
  EXPECT_TRUE(limiter.change_limit(9).has_value());
  EXPECT_FALSE(limiter.try_acquire(3).has_value());
  clock.advance(1s);
  EXPECT_TRUE(limiter.try_acquire(9).has_value());
  EXPECT_FALSE(limiter.change_limit(0).has_value());
  EXPECT_EQ(heard, (std::vector<std::uint32_t>{9, 3}));
}

// Whole permits; the clock stands still, or moves until the limiter is full.
class SlowAccount {
 public:
  explicit SlowAccount(std::int64_t full) : full_(full), permits_(full) {}

  std::int64_t permits() const { return permits_; }
  void take(std::int64_t permits) { permits_ -= permits; }
  void fill() { permits_ = full_; }
  void change(std::int64_t full) {
    permits_ = permits_ == full_ ? full : std::min(permits_, full);
    full_ = full;
  }

 private:
  std::int64_t full_;
  std::int64_t permits_;
};

// Every change keeps what is available, however often and however far apart the limits are.
TEST(RateLimiter, AThousandChangesAtTheExtremesKeepWhatIsAvailable) {
  constexpr std::uint32_t kLimits[] = {~0U, 1};
  struct Case {
    Algorithm algorithm;
    std::uint32_t burst;
  };
  for (const Case& c : {Case{Algorithm::TokenBucket, 36}, Case{Algorithm::TokenBucket, 0},
                        Case{Algorithm::Gcra, 36}, Case{Algorithm::FixedWindow, 0}}) {
    RateLimiterConfig config{.algorithm = c.algorithm,
                             .limit_for_period = kLimits[0],
                             .limit_refresh_period = kRefreshPeriodMax,
                             .burst = c.burst};
    ManualClock clock;
    RateLimiter limiter(config, clock);
    SlowAccount model(config.quota().burst);
    for (unsigned change = 1; change <= 1000; ++change) {
      config.limit_for_period = kLimits[change % 2];
      ASSERT_TRUE(limiter.change_limit(config.limit_for_period).has_value());
      model.change(config.quota().burst);
      ASSERT_EQ(limiter.available(clock.now()), model.permits()) << "change " << change;
      if (change % 50 == 0) {  // 20 years in all.
        clock.advance(kRefreshPeriodMax);
        model.fill();
        ASSERT_EQ(limiter.available(clock.now()), model.permits()) << "change " << change;
      }
      // All of them, or but for a few.
      const std::int64_t left = change % 50 < 40 ? model.permits() / 3 : 0;
      const auto taken = static_cast<std::uint32_t>(model.permits() - left);
      ASSERT_TRUE(limiter.try_acquire(taken).has_value()) << "change " << change;
      model.take(taken);
      const auto too_many = static_cast<std::uint32_t>(model.permits() + 1);
      ASSERT_FALSE(limiter.try_acquire(too_many).has_value()) << "change " << change;
      ASSERT_EQ(limiter.available(clock.now()), model.permits()) << "change " << change;
    }
  }
}

// The vectors of Resilience4j's AtomicRateLimiterTest through the public API.
TEST(RateLimiter, VectorL02) {
  ManualClock clock;
  RateLimiter limiter(
      {.limit_for_period = 1, .limit_refresh_period = 250ms, .timeout_duration = 0s}, clock);
  for (const Instant now : {Instant{} + 250ms, Instant{} + 500ms}) {
    EXPECT_TRUE(limiter.try_acquire(now).has_value());
    EXPECT_EQ(limiter.wait_for(now), 250ms);
    EXPECT_FALSE(limiter.try_acquire(now).has_value());
  }
}

TEST(RateLimiter, VectorL04) {
  ManualClock clock;
  RateLimiter limiter(
      {.limit_for_period = 1, .limit_refresh_period = 250ms, .timeout_duration = 0s}, clock);
  EXPECT_EQ(*limiter.reserve(Instant{} + 250ms), 0ns);
  EXPECT_FALSE(limiter.reserve(Instant{} + 250ms).has_value());
  EXPECT_EQ(limiter.available(Instant{} + 499'999'999ns), 0);
  EXPECT_EQ(limiter.wait_for(Instant{} + 499'999'999ns), 1ns);
}

struct Tally {
  std::uint64_t granted = 0;
  std::uint64_t rejected = 0;
};

// Runs `attempt` (true: granted) `attempts` times on each of eight threads.
template <class Attempt>
Tally stress(int attempts, const Attempt& attempt) {
  std::vector<Tally> tallies(kThreads);
  std::vector<std::thread> threads;
  for (Tally& tally : tallies) {
    threads.emplace_back([&] {
      for (int i = 0; i < attempts; ++i) ++(attempt(i) ? tally.granted : tally.rejected);
    });
  }
  for (std::thread& thread : threads) thread.join();
  Tally total;
  for (const Tally& tally : tallies) {
    total.granted += tally.granted;
    total.rejected += tally.rejected;
  }
  return total;
}

TEST(RateLimiterStress, GrantsExactlyWhatAStoodStillClockAllows) {
  constexpr int kAttempts = 2000;
  for (const Algorithm algorithm : {Algorithm::FixedWindow, Algorithm::TokenBucket}) {
    ManualClock clock;
    RateLimiter limiter(
        {.algorithm = algorithm, .limit_for_period = 1003, .limit_refresh_period = 1s}, clock);
    const Tally tally = stress(kAttempts, [&](int) { return limiter.try_acquire().has_value(); });
    EXPECT_EQ(tally.granted, 1003U);
    EXPECT_EQ(tally.rejected, std::uint64_t{kThreads} * kAttempts - 1003U);
    EXPECT_EQ(limiter.metrics().granted, tally.granted);
    EXPECT_EQ(limiter.metrics().rejected, tally.rejected);
  }
}

TEST(RateLimiterStress, NeverGrantsMoreThanTimeAllows) {
  constexpr int kAttempts = 5000;
  for (const Algorithm algorithm :
       {Algorithm::FixedWindow, Algorithm::TokenBucket, Algorithm::Gcra}) {
    ManualClock clock;
    RateLimiter limiter(
        {.algorithm = algorithm, .limit_for_period = 7, .limit_refresh_period = 1us}, clock);
    const Tally tally = stress(kAttempts, [&](int) {
      clock.advance(11ns);
      return limiter.try_acquire().has_value();
    });
    // 11 ns an attempt; a whole number of periods, so every algorithm allows burst + rate * time.
    const std::uint64_t allowed = 7 + kThreads * kAttempts * 11 / 1000 * 7;
    EXPECT_EQ(tally.granted + tally.rejected, std::uint64_t{kThreads} * kAttempts);
    EXPECT_LE(tally.granted, allowed);
    EXPECT_GE(tally.granted, allowed / 2);
    EXPECT_EQ(limiter.metrics().granted, tally.granted);
  }
}

TEST(RateLimiterStress, EveryReservationHasItsOwnSlot) {
  constexpr int kAttempts = 500;
  ManualClock clock;
  RateLimiter limiter({.algorithm = Algorithm::Gcra,
                       .limit_for_period = 1,
                       .limit_refresh_period = 10ns,
                       .timeout_duration = 30us},
                      clock);
  std::vector<std::atomic<int>> slots(3001);
  const Tally tally = stress(kAttempts, [&](int) {
    const auto wait = limiter.reserve(Instant{});
    if (wait) slots[static_cast<std::size_t>(wait->count() / 10)].fetch_add(1);
    return wait.has_value();
  });
  EXPECT_EQ(tally.granted, 3001U);
  EXPECT_EQ(tally.rejected, std::uint64_t{kThreads} * kAttempts - 3001U);
  for (const auto& slot : slots) EXPECT_EQ(slot.load(), 1);
}

// Permits available survive a change, so with the clock standing still the sum stays exact however
// the changes interleave: no change may raise what is left, and none may lose a grant.
TEST(RateLimiterStress, ChangesOfTheLimitLoseNoGrantAndAddNone) {
  constexpr int kAttempts = 3000;
  ManualClock clock;
  RateLimiter limiter({.algorithm = Algorithm::TokenBucket,
                       .limit_for_period = 1000,
                       .limit_refresh_period = 1s,
                       .burst = 5000},
                      clock);
  ASSERT_TRUE(limiter.try_acquire().has_value());  // A bucket that is not full keeps its level.
  const Tally tally = stress(kAttempts, [&](int i) {
    if (i % 50 == 0) {
      EXPECT_TRUE(limiter.change_limit(i % 100 == 0 ? 500U : 1000U).has_value());
    }
    return limiter.try_acquire().has_value();
  });
  EXPECT_EQ(tally.granted, 4999U);
  EXPECT_EQ(tally.granted + tally.rejected, std::uint64_t{kThreads} * kAttempts);
}

}  // namespace
}  // namespace recover::ratelimiter
