// The pure rate limiting machines against slow, obvious models.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <vector>

#include <recover/fixed_window.h>
#include <recover/gcra.h>
#include <recover/token_bucket.h>

namespace recover::ratelimiter {
namespace {

using namespace std::chrono_literals;

__extension__ using Wide = __int128;

Instant at(std::int64_t nanoseconds) {
  return Instant{Duration{nanoseconds}};
}

struct Ask {
  Duration after;  // The ask before.
  std::uint32_t permits;
  Duration wait_max;
};

struct Scenario {
  Quota quota;
  std::vector<Ask> asks;
};

// Asks come about as often as permits do, so that both answers are common.
Scenario any_scenario(bool whole_interval) {
  const auto limit = *rc::gen::inRange<std::uint32_t>(1, 20);
  auto period = *rc::gen::inRange<std::int64_t>(limit, 2000);
  if (whole_interval) period *= limit;
  const auto burst = *rc::gen::inRange<std::uint32_t>(1, 12);
  const std::int64_t interval = period / limit + 1;
  const auto ask = rc::gen::construct<Ask>(
      rc::gen::map(rc::gen::inRange<std::int64_t>(0, 3 * interval),
                   [](std::int64_t n) { return Duration{n}; }),
      rc::gen::inRange<std::uint32_t>(1, 4),
      rc::gen::map(rc::gen::inRange<std::int64_t>(-4 * interval, 4 * interval),
                   [](std::int64_t n) { return Duration{std::max<std::int64_t>(n, 0)}; }));
  return {.quota = {.limit = limit, .period = Duration{period}, .burst = burst},
          .asks = *rc::gen::container<std::vector<Ask>>(ask)};
}

// The textbook bucket for a whole emission interval: a level in nanoseconds of refill.
class SlowBucket {
 public:
  explicit SlowBucket(const Quota& quota)
      : interval_(quota.period.count() / quota.limit),
        full_(interval_ * quota.burst),
        level_(full_) {}

  std::optional<Duration> reserve(Instant now, std::uint32_t permits, Duration wait_max) {
    const std::int64_t elapsed = now.time_since_epoch().count() - filled_at_;
    level_ = std::min(full_, level_ + elapsed);
    filled_at_ += elapsed;
    const std::int64_t left = level_ - interval_ * permits;
    const Duration wait{std::max<std::int64_t>(-left, 0)};
    if (wait > wait_max) return std::nullopt;
    level_ = left;
    return wait;
  }

 private:
  std::int64_t interval_;
  std::int64_t full_;
  std::int64_t level_;
  std::int64_t filled_at_ = 0;
};

// Resilience4j's own two words: the active cycle and the permissions left in it.
class SlowCycles {
 public:
  explicit SlowCycles(const Quota& quota)
      : limit_(quota.limit), period_(quota.period.count()), permissions_(limit_) {}

  std::optional<Duration> reserve(Instant instant, std::int64_t permits, Duration wait_max) {
    const std::int64_t now = instant.time_since_epoch().count();
    for (; cycle_ < now / period_; ++cycle_) {
      permissions_ = std::min(permissions_ + limit_, limit_);
    }
    std::int64_t wait = 0;
    std::int64_t then = permissions_;
    for (std::int64_t cycle = cycle_ + 1; then < permits; ++cycle) {
      then += limit_;
      wait = cycle * period_ - now;
    }
    if (Duration{wait} > wait_max) return std::nullopt;
    permissions_ -= permits;
    return Duration{wait};
  }

 private:
  std::int64_t limit_;
  std::int64_t period_;
  std::int64_t permissions_;
  std::int64_t cycle_ = 0;
};

template <class Left, class Right>
void expect_same_answers(Left& left, Right& right, const std::vector<Ask>& asks) {
  Instant now{};
  for (const Ask& ask : asks) {
    now += ask.after;
    RC_ASSERT(left.reserve(now, ask.permits, ask.wait_max) ==
              right.reserve(now, ask.permits, ask.wait_max));
  }
}

RC_GTEST_PROP(Gcra, AdmitsWhatTheTextbookBucketAdmitsForWholeIntervals, ()) {
  const Scenario scenario = any_scenario(true);
  Gcra gcra(scenario.quota, Instant{});
  SlowBucket model(scenario.quota);
  expect_same_answers(gcra, model, scenario.asks);
}

RC_GTEST_PROP(Gcra, AdmitsWhatTokenBucketAdmitsForEveryRate, ()) {
  const Scenario scenario = any_scenario(false);
  Gcra gcra(scenario.quota, Instant{});
  TokenBucket bucket(scenario.quota, Instant{});
  expect_same_answers(gcra, bucket, scenario.asks);
}

RC_GTEST_PROP(FixedWindow, AnswersLikeCyclesOfPermissions, ()) {
  const Scenario scenario = any_scenario(false);
  FixedWindow window(scenario.quota, Instant{});
  SlowCycles model(scenario.quota);
  expect_same_answers(window, model, scenario.asks);
}

// permits <= burst + rate * (window + one mark), and a mark is less than 2 ns; exactly
// burst + rate * window when the interval is whole.
RC_GTEST_PROP(Gcra, NeverExceedsBurstPlusRateInAnySlidingWindow, ()) {
  const bool whole_interval = *rc::gen::arbitrary<bool>();
  const Scenario scenario = any_scenario(whole_interval);
  const Quota& quota = scenario.quota;
  Gcra gcra(quota, Instant{});
  struct Grant {
    Duration at;
    std::uint32_t permits;
  };
  std::vector<Grant> grants;
  Instant now{};
  for (const Ask& ask : scenario.asks) {
    now += ask.after;
    if (gcra.try_acquire(now, ask.permits)) {
      grants.push_back({.at = now.time_since_epoch(), .permits = ask.permits});
    }
  }
  for (std::size_t first = 0; first < grants.size(); ++first) {
    std::int64_t permits = 0;
    for (std::size_t last = first; last < grants.size(); ++last) {
      permits += grants[last].permits;
      const std::int64_t window = (grants[last].at - grants[first].at).count();
      const std::int64_t slack = whole_interval ? 0 : 2;
      RC_ASSERT((permits - quota.burst) * quota.period.count() <= (window + slack) * quota.limit);
    }
  }
}

RC_GTEST_PROP(Gcra, TheWaitIsTheFirstNanosecondThatAdmits, ()) {
  const Scenario scenario = any_scenario(false);
  Gcra gcra(scenario.quota, Instant{});
  Instant now{};
  for (const Ask& ask : scenario.asks) {
    now += ask.after;
    if (ask.permits > scenario.quota.burst || gcra.try_acquire(now, ask.permits)) continue;
    const Duration wait = gcra.wait_for(now, ask.permits);
    RC_ASSERT(wait > 0ns);
    RC_ASSERT(!Gcra(gcra).try_acquire(now + wait - 1ns, ask.permits));
    RC_ASSERT(Gcra(gcra).try_acquire(now + wait, ask.permits));
  }
}

RC_GTEST_PROP(Pace, ReadsTheExactFloorForEveryRatioAndAge, ()) {
  const auto period = *rc::gen::inRange<std::int64_t>(1, std::int64_t{1} << 50);
  const auto limit = *rc::gen::inRange<std::int64_t>(
      1, std::min(period, std::int64_t{std::numeric_limits<std::uint32_t>::max()}) + 1);
  const auto elapsed = *rc::gen::inRange<std::int64_t>(0, std::int64_t{1} << 62);
  const Quota quota{
      .limit = static_cast<std::uint32_t>(limit), .period = Duration{period}, .burst = 1};
  const std::int64_t interval = period / limit;
  RC_ASSERT(Wide{Pace::even(quota, Instant{}).read(at(elapsed)).mark} ==
            Wide{elapsed} * interval * limit / period);
  const Pace cycles = Pace::by_cycle(quota, Instant{});
  RC_ASSERT(Wide{cycles.read(at(elapsed)).mark} % (Wide{1} << 64) ==
            Wide{elapsed / period} * limit % (Wide{1} << 64));
}

TEST(Gcra, ThreeASecondIsThreeASecondForACallerThatWaitsEachTime) {
  Gcra gcra({.limit = 3, .period = 1s, .burst = 1}, Instant{});
  Instant now{};
  for (int call = 0; call < 300'000; ++call) {
    if (call % 3 == 0) {
      ASSERT_EQ(now.time_since_epoch(), std::chrono::seconds{call / 3});
    }
    ASSERT_TRUE(gcra.try_acquire(now));
    now += gcra.wait_for(now);
  }
}

TEST(Gcra, ThreeASecondIsExactAfterAYearToo) {
  const Quota quota{.limit = 3, .period = 1s, .burst = 1};
  Gcra gcra(quota, Instant{});
  const Instant year = Instant{} + std::chrono::hours{24 * 365};
  ASSERT_TRUE(gcra.try_acquire(year));
  EXPECT_EQ(gcra.wait_for(year), 333'333'334ns);
  EXPECT_FALSE(gcra.try_acquire(year + 333'333'333ns));
  EXPECT_TRUE(gcra.try_acquire(year + 333'333'334ns));
  EXPECT_TRUE(gcra.try_acquire(year + 666'666'667ns));
  EXPECT_TRUE(gcra.try_acquire(year + 1s));
}

TEST(Gcra, SavesUpToItsBurstAndNoMore) {
  Gcra gcra({.limit = 10, .period = 1s, .burst = 4}, Instant{});
  EXPECT_EQ(gcra.available(at(0)), 4);
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(gcra.try_acquire(at(0)));
  EXPECT_FALSE(gcra.try_acquire(at(99'999'999)));
  EXPECT_TRUE(gcra.try_acquire(at(100'000'000)));
  EXPECT_EQ(gcra.available(Instant{} + 1h), 4);
}

TEST(Gcra, ReservesWithinTheWaitAndNotBeyond) {
  Gcra gcra({.limit = 1, .period = 100ns, .burst = 1}, Instant{});
  EXPECT_EQ(gcra.reserve(at(0), 1, 100ns), 0ns);
  EXPECT_EQ(gcra.reserve(at(0), 1, 100ns), 100ns);
  EXPECT_EQ(gcra.reserve(at(0), 1, 199ns), std::nullopt);
  EXPECT_EQ(gcra.available(at(0)), -1);
  EXPECT_EQ(gcra.reserve(at(1), 1, 199ns), 199ns);
}

TEST(Gcra, KeepsWhatIsAvailableWhenTheQuotaChanges) {
  Gcra gcra({.limit = 10, .period = 1000ns, .burst = 10}, Instant{});
  ASSERT_TRUE(gcra.try_acquire(at(0), 6));
  gcra.change_quota({.limit = 2, .period = 1000ns, .burst = 10}, at(0));
  EXPECT_EQ(gcra.available(at(0)), 4);
  EXPECT_EQ(gcra.available(at(499)), 4);
  EXPECT_EQ(gcra.available(at(500)), 5);
  gcra.change_quota({.limit = 2, .period = 1000ns, .burst = 3}, at(500));
  EXPECT_EQ(gcra.available(at(500)), 3);
}

TEST(Gcra, AFullBucketIsFullAfterAChange) {
  Gcra gcra({.limit = 1, .period = 1000ns, .burst = 1}, Instant{});
  gcra.change_quota({.limit = 8, .period = 1000ns, .burst = 8}, at(10));
  EXPECT_EQ(gcra.available(at(10)), 8);
}

TEST(Gcra, RefusesAnAmountBeyondAllMeasure) {
  Gcra gcra({.limit = 1, .period = kRefreshPeriodMax, .burst = 30}, Instant{});
  EXPECT_FALSE(gcra.try_acquire(at(0), ~0U));
  EXPECT_EQ(gcra.reserve(at(0), ~0U, kTimeoutMax), std::nullopt);
  EXPECT_TRUE(gcra.try_acquire(at(0), 30));
}

TEST(FixedWindow, GivesAllOfItsLimitAtTheStartOfEachCycle) {
  FixedWindow window({.limit = 3, .period = 100ns, .burst = 1}, Instant{});
  EXPECT_TRUE(window.try_acquire(at(99), 3));
  EXPECT_FALSE(window.try_acquire(at(99)));
  EXPECT_TRUE(window.try_acquire(at(100), 3));
  EXPECT_EQ(window.wait_for(at(130)), 70ns);
}

TEST(FixedWindow, BorrowsFromCyclesToCome) {
  FixedWindow window({.limit = 2, .period = 100ns, .burst = 1}, Instant{});
  EXPECT_EQ(window.reserve(at(10), 6, 500ns), 190ns);
  EXPECT_EQ(window.available(at(10)), -4);
  EXPECT_EQ(window.wait_for(at(10)), 290ns);
  EXPECT_EQ(window.available(at(210)), 0);
}

TEST(FixedWindow, KeepsItsCyclesAndPermitsWhenTheLimitChanges) {
  FixedWindow window({.limit = 4, .period = 100ns, .burst = 1}, Instant{});
  ASSERT_TRUE(window.try_acquire(at(130), 3));
  window.change_quota({.limit = 8, .period = 100ns, .burst = 1}, at(150));
  EXPECT_EQ(window.available(at(199)), 1);
  EXPECT_EQ(window.available(at(200)), 8);
  window.change_quota({.limit = 2, .period = 100ns, .burst = 1}, at(250));
  EXPECT_EQ(window.available(at(250)), 2);
}

// The next two vectors are from Resilience4j's AtomicRateLimiterTest.
TEST(FixedWindow, VectorL02AcquireAndRefresh) {
  FixedWindow window({.limit = 1, .period = 250ms, .burst = 1}, Instant{});
  EXPECT_TRUE(window.try_acquire(at(250'000'000)));
  EXPECT_EQ(window.available(at(250'000'000)), 0);
  EXPECT_EQ(window.wait_for(at(250'000'000)), 250ms);
  EXPECT_FALSE(window.try_acquire(at(250'000'000)));
  EXPECT_TRUE(window.try_acquire(at(500'000'000)));
  EXPECT_FALSE(window.try_acquire(at(500'000'000)));
}

TEST(FixedWindow, VectorL04OneNanosecondRemains) {
  FixedWindow window({.limit = 1, .period = 250ms, .burst = 1}, Instant{});
  EXPECT_EQ(window.reserve(at(250'000'000), 1, 0ns), 0ns);
  EXPECT_EQ(window.reserve(at(250'000'000), 1, 0ns), std::nullopt);
  EXPECT_EQ(window.available(at(499'999'999)), 0);
  EXPECT_EQ(window.wait_for(at(499'999'999)), 1ns);
}

RC_GTEST_PROP(Pace, WhereItsMarksBeginMakesNoDifference, ()) {
  const Scenario scenario = any_scenario(false);
  Account near{.pace = Pace::even(scenario.quota, Instant{}), .spent = 0};
  Account far = near;
  // Just before the marks begin again, or anywhere.
  const Mark offset = *rc::gen::oneOf(rc::gen::inRange<Mark>(kMarkMask - 5000, kMarkMask),
                                      rc::gen::inRange<Mark>(0, kMarkMask));
  far.pace.base = far.spent = offset;
  Instant now{};
  for (const Ask& ask : scenario.asks) {
    now += ask.after;
    const auto reserve = [&](Account& account) {
      const Reading at = account.pace.read(now);
      const std::uint64_t ahead = account.pace.ahead_after(account.spent, at, ask.permits);
      const Duration wait = account.pace.time_for(account.pace.overdraft(ahead), at);
      if (wait <= ask.wait_max) account.spent = mark_ahead(at, ahead);
      return wait;
    };
    RC_ASSERT(reserve(near) == reserve(far));
    RC_ASSERT(near.pace.available(near.spent, near.pace.read(now)) ==
              far.pace.available(far.spent, far.pace.read(now)));
    RC_ASSERT(far.spent <= kMarkMask);
    near = resume(near, now, near.pace);
    far = resume(far, now, far.pace);
  }
}

// So that no thread can mistake a state for one of before the change.
TEST(Pace, AChangeMovesTheStateByOneMark) {
  const Quota slow{.limit = 1, .period = kRefreshPeriodMax, .burst = 36};
  Account account{.pace = Pace::even(slow, Instant{}), .spent = 0};
  account.spent = account.pace.capacity;
  for (int i = 0; i < 1000; ++i) {
    const Mark before = account.spent;
    account = resume(account, Instant{}, account.pace);
    ASSERT_EQ(account.spent, before + 1);
    ASSERT_EQ(account.pace.available(account.spent, account.pace.read(Instant{})), 0);
  }
}

TEST(Quota, NamesWhatIsWrong) {
  const auto refuses = [](const Quota& quota, const char* field) {
    const auto result = quota.validate();
    return !result.has_value() && result.error().message().find(field) != std::string::npos;
  };
  EXPECT_TRUE((Quota{.limit = 50, .period = 500ns, .burst = 50}.validate().has_value()));
  EXPECT_TRUE(refuses({.limit = 0, .period = 1s, .burst = 1}, "limit_for_period"));
  EXPECT_TRUE(refuses({.limit = 2, .period = 1ns, .burst = 1}, "limit_for_period"));
  EXPECT_TRUE(refuses({.limit = 1, .period = 0ns, .burst = 1}, "limit_refresh_period"));
  EXPECT_TRUE(refuses({.limit = 1, .period = 367 * 24h, .burst = 1}, "limit_refresh_period"));
  EXPECT_TRUE(refuses({.limit = 1, .period = 1s, .burst = 0}, "burst"));
  EXPECT_TRUE(refuses({.limit = 1, .period = 366 * 24h, .burst = 40}, "burst"));
}

}  // namespace
}  // namespace recover::ratelimiter
