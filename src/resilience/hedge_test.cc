#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <memory>
#include <new>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include <recover/hedge.h>
#include <recover/random.h>

#include "test/on_threads.h"

namespace recover::hedge {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using Kind = Schedule::Kind;

Instant at(int ms) {
  return Instant{milliseconds{ms}};
}

Error failure(Persistence persistence = Persistence::Transient) {
  return Error(ErrorKind::OperationFailed, {.persistence = persistence});
}

TEST(HedgeConfig, MustBeIdempotentAndNamesTheBadField) {
  const auto message = [](const HedgeConfig& config) {
    return config.validate().error().message();
  };
  EXPECT_NE(message({}).find("hedge.idempotent"), std::string::npos);
  EXPECT_TRUE(HedgeConfig{.idempotent = true}.validate().has_value());
  EXPECT_EQ(message({.idempotent = true, .max_hedged_attempts = 11}),
            "hedge.max_hedged_attempts: must be 1 to 10, got 11");
  EXPECT_NE(message({.idempotent = true, .delay = Duration{-1}}).find("delay"), std::string::npos);
  EXPECT_NE(message({.idempotent = true, .delay_quantile = 1.0}).find("delay_quantile"),
            std::string::npos);
  EXPECT_NE(message({.idempotent = true, .delay_max = Duration{0}}).find("delay_max"),
            std::string::npos);
  EXPECT_NE(message({.idempotent = true, .samples_min = 4}).find("samples_min"), std::string::npos);
  EXPECT_NE(message({.idempotent = true, .budget_percent = 101}).find("budget_percent"),
            std::string::npos);
  EXPECT_NE(message({.idempotent = true, .budget_burst = 0}).find("budget_burst"),
            std::string::npos);
}

TEST(Schedule, Story) {
  Schedule schedule(3, milliseconds{10});
  EXPECT_EQ(schedule.decide(at(0)).kind, Kind::Start);
  schedule.attempt_started(at(0));
  EXPECT_EQ(schedule.decide(at(9)).kind, Kind::Wait);
  EXPECT_EQ(schedule.decide(at(9)).until, at(10));
  EXPECT_EQ(schedule.decide(at(10)).kind, Kind::Start);
  schedule.attempt_started(at(10));
  schedule.attempt_failed();
  EXPECT_EQ(schedule.decide(at(11)).until, at(20));
  schedule.attempt_failed();
  EXPECT_EQ(schedule.decide(at(12)).kind, Kind::Start);  // Nothing runs: no reason to wait.
  schedule.attempt_started(at(12));
  EXPECT_EQ(schedule.decide(at(13)).until, kNever);
  schedule.attempt_failed();
  EXPECT_EQ(schedule.decide(at(14)).kind, Kind::Done);
}

TEST(Schedule, StartsNoMoreWhenToldSo) {
  Schedule schedule(3, milliseconds{10});
  schedule.attempt_started(at(0));
  schedule.start_no_more();
  EXPECT_EQ(schedule.decide(at(50)).kind, Kind::Wait);
  schedule.attempt_failed();
  EXPECT_EQ(schedule.decide(at(50)).kind, Kind::Done);
}

// The five-marker example of the paper ends with these heights after twenty observations; the
// median it reports is 4.44.
TEST(P2Quantile, ReproducesThePapersExample) {
  P2Quantile median(0.5);
  for (const double sample : {0.02,  0.15,  0.74, 3.39, 0.83, 22.37, 10.15, 15.43, 38.62, 15.92,
                              34.60, 10.28, 1.47, 0.40, 0.05, 11.39, 0.27,  0.42,  0.09,  11.37}) {
    median.add(sample);
  }
  EXPECT_NEAR(median.value(), 4.44, 0.01);
}

RC_GTEST_PROP(P2Quantile, IsNearTheTrueQuantileOfUniformSamples, (std::uint64_t seed)) {
  constexpr int kSamples = 5'000;
  Random random(seed);
  P2Quantile p95(0.95);
  std::vector<double> all;
  for (int i = 0; i < kSamples; ++i) {
    const double sample = random.unit();
    p95.add(sample);
    all.push_back(sample);
  }
  std::sort(all.begin(), all.end());
  RC_ASSERT(std::abs(p95.value() - all[kSamples * 95 / 100]) < 0.03);
}

RC_GTEST_PROP(P2Quantile, StaysWithinTheSamples, (const std::vector<std::uint16_t>& samples)) {
  P2Quantile p90(0.9);
  std::uint16_t low = 65'535;
  std::uint16_t high = 0;
  for (const std::uint16_t sample : samples) {
    p90.add(sample);
    low = std::min(low, sample);
    high = std::max(high, sample);
    RC_ASSERT(p90.value() >= low);
    RC_ASSERT(p90.value() <= high);
  }
}

TEST(Delay, FollowsTheQuantileWithinItsBounds) {
  Delay fixed(HedgeConfig{.idempotent = true, .delay = milliseconds{7}});
  fixed.record(seconds{1});
  EXPECT_EQ(fixed.current(), milliseconds{7});
  Delay adaptive(HedgeConfig{.idempotent = true,
                             .delay = milliseconds{7},
                             .delay_quantile = 0.5,
                             .delay_min = milliseconds{2},
                             .delay_max = milliseconds{20},
                             .samples_min = 5});
  for (int i = 0; i < 4; ++i) adaptive.record(milliseconds{10});
  EXPECT_EQ(adaptive.current(), milliseconds{7});
  adaptive.record(milliseconds{10});
  EXPECT_EQ(adaptive.current(), milliseconds{10});
  for (int i = 0; i < 100; ++i) adaptive.record(seconds{1});
  EXPECT_EQ(adaptive.current(), milliseconds{20});
  for (int i = 0; i < 1'000; ++i) adaptive.record(Duration{1});
  EXPECT_EQ(adaptive.current(), milliseconds{2});
}

TEST(Budget, EarnsAShareOfEachCall) {
  Budget budget(20, 2);
  EXPECT_TRUE(budget.spend());
  EXPECT_TRUE(budget.spend());
  for (int i = 0; i < 4; ++i) {
    budget.earn();
    EXPECT_FALSE(budget.spend());
  }
  budget.earn();
  EXPECT_TRUE(budget.spend());
  for (int i = 0; i < 1'000; ++i) budget.earn();
  EXPECT_TRUE(budget.spend());
  EXPECT_TRUE(budget.spend());
  EXPECT_FALSE(budget.spend());
}

// Runs a task at once, or holds it back until told: "the n-th attempt hangs".
class ScriptedExecutor final : public Executor {
 public:
  std::vector<bool> hang;  // By attempt; the rest run at once.
  bool refuse = false;

  bool run(std::function<void()> task) override {
    if (refuse) return false;
    const std::size_t attempt = started_++;
    if (attempt < hang.size() && hang[attempt]) {
      held_.push_back(std::move(task));
    } else {
      task();
    }
    return true;
  }
  void release() {
    for (const auto& task : held_) task();
    held_.clear();
  }

 private:
  std::size_t started_ = 0;
  std::vector<std::function<void()>> held_;
};

struct HedgeTest : testing::Test {
  ManualClock clock;
  ScriptedExecutor executor;
  HedgeConfig config{.idempotent = true, .delay = milliseconds{10}, .budget_burst = 1};
};

TEST_F(HedgeTest, AFastFirstAttemptIsAlone) {
  Hedge hedge(config, executor, clock);
  EXPECT_EQ(*hedge.execute([] { return 1; }), 1);
  EXPECT_EQ(hedge.metrics().hedges_started, 0U);
  EXPECT_EQ(clock.now(), at(0));
}

TEST_F(HedgeTest, ASlowOneIsHedgedAndToldToStop) {
  executor.hang = {true};
  Hedge hedge(config, executor, clock);
  std::vector<EventKind> events;
  hedge.on_event([&](const Event& event) { events.push_back(event.kind); });
  const auto stopped = std::make_shared<std::vector<bool>>();
  const Result<int> result = hedge.execute([stopped](const std::stop_token& stop) {
    stopped->push_back(stop.stop_requested());
    return 2;
  });
  EXPECT_EQ(*result, 2);
  EXPECT_EQ(clock.now(), at(10));
  EXPECT_EQ(events, (std::vector{EventKind::HedgeStarted, EventKind::HedgeWon}));
  executor.release();  // The loser gets to run long after the call.
  EXPECT_EQ(*stopped, (std::vector<bool>{false, true}));
  EXPECT_EQ(hedge.metrics().hedges_won, 1U);
}

TEST_F(HedgeTest, AFailedAttemptIsFollowedAtOnce) {
  Hedge hedge(config, executor, clock);
  const auto calls = std::make_shared<int>(0);
  const auto operation = [calls]() -> Result<int> {
    if (++*calls == 1) return Unexpected(failure());
    return 3;
  };
  EXPECT_EQ(*hedge.execute(operation), 3);
  EXPECT_EQ(clock.now(), at(0));
}

TEST_F(HedgeTest, TheLastFailureIsTheAnswerWhenAllFail) {
  Hedge hedge(config, executor, clock);
  const auto calls = std::make_shared<int>(0);
  const auto failing = [calls](Persistence persistence) {
    return [calls, persistence]() -> Result<int> {
      ++*calls;
      return Unexpected(failure(persistence));
    };
  };
  EXPECT_FALSE(hedge.execute(failing(Persistence::Transient)).has_value());
  EXPECT_EQ(*calls, 2);
  EXPECT_FALSE(hedge.execute(failing(Persistence::Permanent)).has_value());
  EXPECT_EQ(*calls, 3);
  EXPECT_EQ(hedge.metrics().failed, 2U);
}

TEST_F(HedgeTest, TheBudgetLimitsHedges) {
  config.budget_percent = 0;
  Hedge hedge(config, executor, clock);
  const auto failing = []() -> Result<int> { return Unexpected(failure()); };
  EXPECT_FALSE(hedge.execute(failing).has_value());
  EXPECT_FALSE(hedge.execute(failing).has_value());
  EXPECT_EQ(hedge.metrics().hedges_started, 1U);
  EXPECT_EQ(hedge.metrics().hedges_denied, 1U);
}

TEST_F(HedgeTest, RunsOnTheCallersThreadWhenTheExecutorIsFull) {
  executor.refuse = true;
  Hedge hedge(config, executor, clock);
  const std::thread::id self = std::this_thread::get_id();
  EXPECT_TRUE(*hedge.execute([self] { return std::this_thread::get_id() == self; }));
}

TEST_F(HedgeTest, TheCallersStopReachesTheAttempts) {
  executor.refuse = true;
  Hedge hedge(config, executor, clock);
  const auto caller = std::make_shared<std::stop_source>();
  const Result<bool> result = hedge.execute(
      [caller](const std::stop_token& stop) {
        caller->request_stop();
        return stop.stop_requested();
      },
      caller->get_token());
  EXPECT_TRUE(*result);
}

TEST_F(HedgeTest, GivesUpAtTheDeadlineAndOnRequest) {
  executor.hang = {true, true, true};
  Hedge hedge(config, executor, clock);
  const auto operation = [] { return 1; };
  EXPECT_EQ(hedge.execute(operation, CallContext{.deadline = at(15)}).error().kind(),
            ErrorKind::TimeoutExceeded);
  EXPECT_EQ(clock.now(), at(15));
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(hedge.execute(operation, stop.get_token()).error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(hedge.metrics().abandoned, 2U);
  executor.release();
}

// Copies of it can be made so many times; then the constructor throws.
struct CopiedAtMost {
  explicit CopiedAtMost(int copies) : left(std::make_shared<std::atomic<int>>(copies)) {}
  CopiedAtMost(const CopiedAtMost& other) : left(other.left) {
    if (left->fetch_sub(1) <= 0) throw std::system_error(std::make_error_code(std::errc::io_error));
  }
  CopiedAtMost(CopiedAtMost&&) noexcept = default;

  int operator()() const { return 7; }

  std::shared_ptr<std::atomic<int>> left;
};

TEST_F(HedgeTest, ACopyThatThrowsIsAFailureLikeAnyOther) {
  Hedge hedge(config, executor, clock);
  const auto thrown = [] { throw std::system_error(std::make_error_code(std::errc::io_error)); };
  const Error expected = hedge.execute(thrown).error();
  const Result<int> result = hedge.execute(CopiedAtMost(0));
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), expected.kind());
  EXPECT_EQ(result.error().code(), expected.code());
  EXPECT_EQ(result.error().classification(), expected.classification());
  EXPECT_EQ(hedge.metrics().failed, 2U);
}

TEST_F(HedgeTest, ACopyThatThrowsOnTheCallersThreadIsAFailureToo) {
  Hedge hedge(config, executor, clock);
  const CopiedAtMost operation(0);
  const Result<int> result = hedge.execute(operation);
  EXPECT_EQ(result.error().code(), std::errc::io_error);
  executor.refuse = true;
  EXPECT_EQ(hedge.execute(CopiedAtMost(0)).error().code(), std::errc::io_error);
  EXPECT_EQ(hedge.metrics().failed, 2U);
}

// Refuses by throwing, as when there is no memory for the task.
struct ThrowingExecutor final : Executor {
  bool run(std::function<void()> /*task*/) override { throw std::bad_alloc(); }
};

TEST_F(HedgeTest, AnExecutorThatThrowsHasRefused) {
  ThrowingExecutor throwing;
  Hedge hedge(config, throwing, clock);
  const std::thread::id self = std::this_thread::get_id();
  EXPECT_TRUE(*hedge.execute([self] { return std::this_thread::get_id() == self; }));
  EXPECT_EQ(hedge.metrics().hedges_denied, 1U);
}

TEST(HedgeThreads, ACopyThatThrowsOnTheExecutorsThreadEndsTheCall) {
  ThreadPool pool;
  Hedge hedge({.idempotent = true}, pool);
  EXPECT_EQ(hedge.execute(CopiedAtMost(0)).error().kind(), ErrorKind::OperationFailed);
}

TEST(HedgeThreads, TheWaitingAttemptLoses) {
  ThreadPool pool({.threads = 2});
  Hedge hedge({.idempotent = true, .delay = milliseconds{1}}, pool);
  const auto first = std::make_shared<std::atomic<bool>>(true);
  const Result<int> result = hedge.execute([first](const std::stop_token& stop) -> Result<int> {
    if (!first->exchange(false)) return 2;
    SteadyClock::instance().wait_until(kNever, stop);
    return Unexpected(Error::cancelled());
  });
  EXPECT_EQ(*result, 2);
}

TEST(ThreadPoolThreads, RefusesBeyondItsBoundAndDrainsOnDestruction) {
  std::atomic<int> ran{0};
  std::atomic<bool> go{false};
  std::atomic<bool> busy{false};
  {
    ThreadPool pool({.threads = 1, .queue_max = 1});
    ASSERT_TRUE(pool.run([&] {
      busy = true;
      busy.notify_all();
      go.wait(false);
      ran.fetch_add(1);
    }));
    busy.wait(false);
    EXPECT_TRUE(pool.run([&] { ran.fetch_add(1); }));
    EXPECT_FALSE(pool.run([&] { ran.fetch_add(1); }));
    go = true;
    go.notify_all();
  }
  EXPECT_EQ(ran.load(), 2);
}

// An operation that answers with its own number, or fails each time, by its number.
struct Numbered {
  std::uint64_t number;

  bool fails() const { return Random::mix(number) % 4 == 0; }
  Result<std::uint64_t> operator()() const {
    if (fails()) return Unexpected(failure());
    return number;
  }
};

TEST(HedgeStress, EveryCallHasItsOwnOutcome) {
  constexpr unsigned kThreads = 8;
  constexpr std::uint64_t kCalls = 200;
  ThreadPool pool({.threads = 4, .queue_max = 4});
  Hedge hedge({.idempotent = true,
               .max_hedged_attempts = 2,
               .delay = std::chrono::microseconds{20},
               .budget_percent = 100},
              pool);
  test::on_threads(kThreads, [&](unsigned index) {
    for (std::uint64_t i = 0; i < kCalls; ++i) {
      const Numbered operation{index * kCalls + i};
      const Result<std::uint64_t> result = hedge.execute(operation);
      EXPECT_EQ(result.has_value(), !operation.fails());
      EXPECT_EQ(result.value_or(operation.number), operation.number);
    }
  });
  const Metrics metrics = hedge.metrics();
  EXPECT_EQ(metrics.successful + metrics.failed, kThreads * kCalls);
}

}  // namespace
}  // namespace recover::hedge
