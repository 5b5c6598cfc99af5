#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <string>
#include <thread>
#include <vector>

#include <recover/error.h>
#include <recover/retry_budget.h>

namespace recover::retry {
namespace {

struct Step {
  bool failed;
  bool allowed;  // Of a failure.
  double tokens;
};

// Conformance vector T01.
constexpr Step kGrpcSteps[] = {
    {true, true, 3},    {false, {}, 4},   {true, true, 3},    {true, false, 2}, {true, false, 1},
    {true, false, 0},   {true, false, 0}, {false, {}, 1.6},   {false, {}, 3.2}, {true, true, 2.2},
    {true, false, 1.2}, {false, {}, 2.8}, {true, false, 1.8}, {false, {}, 3.4}, {true, true, 2.4},
};

TEST(RetryBudget, FollowsGrpc) {
  RetryBudget budget({.max_tokens = 4, .token_ratio = 1.6});
  EXPECT_EQ(budget.tokens(), 4);
  for (const Step& step : kGrpcSteps) {
    if (step.failed) {
      EXPECT_EQ(budget.on_failure(), step.allowed);
      EXPECT_EQ(budget.allows_retry(), step.allowed);
    } else {
      budget.on_success();
    }
    EXPECT_DOUBLE_EQ(budget.tokens(), step.tokens);
  }
  EXPECT_EQ(budget.metrics().retries_allowed, 4U);
  EXPECT_EQ(budget.metrics().retries_refused, 6U);
}

TEST(BudgetRule, IsThePureForm) {
  const BudgetRule rule({.max_tokens = 4, .token_ratio = 1.6});
  std::int64_t tokens = rule.full();
  for (const Step& step : kGrpcSteps) {
    tokens = step.failed ? rule.after_failure(tokens) : rule.after_success(tokens);
    EXPECT_EQ(tokens, std::llround(step.tokens * 1000));
    if (step.failed) {
      EXPECT_EQ(rule.allows_retry(tokens), step.allowed);
    }
  }
}

TEST(RetryBudget, TellsWhenRetriesStopAndStartAgain) {
  using Type = RetryBudgetEvent::Type;
  RetryBudget budget({.max_tokens = 2, .token_ratio = 0.5});
  std::vector<Type> heard;
  budget.on_event([&heard](const RetryBudgetEvent& event) { heard.push_back(event.type); });
  for (int i = 0; i < 3; ++i) budget.on_failure();
  for (int i = 0; i < 9; ++i) budget.on_success();
  EXPECT_EQ(heard, (std::vector{Type::Exhausted, Type::Restored}));
}

TEST(RetryBudgetConfig, NamesTheBadField) {
  const auto complaint = [](const RetryBudgetConfig& config) {
    const Result<void> valid = config.validate();
    return valid ? std::string() : valid.error().message();
  };
  EXPECT_EQ(complaint({}), "");
  EXPECT_TRUE(complaint({.max_tokens = 0}).starts_with("retry_budget.max_tokens"));
  EXPECT_TRUE(complaint({.max_tokens = 1'000'001}).starts_with("retry_budget.max_tokens"));
  EXPECT_TRUE(complaint({.token_ratio = 0.0}).starts_with("retry_budget.token_ratio"));
  EXPECT_TRUE(complaint({.token_ratio = 10.1}).starts_with("retry_budget.token_ratio"));
  EXPECT_TRUE(complaint({.token_ratio = std::nan("")}).starts_with("retry_budget.token_ratio"));
  EXPECT_DEATH(RetryBudget({.max_tokens = 0}), "CHECK failed");
}

constexpr unsigned kThreads = 8;
constexpr unsigned kRounds = 5'000;
constexpr std::uint64_t kCalls = std::uint64_t{kThreads} * kRounds;

// The retries allowed.
unsigned fail_often(RetryBudget& budget) {
  unsigned allowed = 0;
  for (unsigned round = 0; round < kRounds; ++round) allowed += budget.on_failure() ? 1U : 0U;
  return allowed;
}

TEST(RetryBudgetStress, FailuresAloneAddUpExactly) {
  RetryBudget budget({.max_tokens = 20'000, .token_ratio = 0.1});
  std::atomic<unsigned> allowed{0};
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&budget, &allowed] { allowed += fail_often(budget); });
  }
  threads.clear();                    // Joins.
  EXPECT_EQ(allowed.load(), 9'999U);  // While more than 10'000 of 20'000 are left afterwards.
  EXPECT_EQ(budget.tokens(), 0);
  EXPECT_EQ(budget.metrics().retries_allowed, 9'999U);
  EXPECT_EQ(budget.metrics().retries_refused, kCalls - 9'999U);
}

// Whether the tokens stayed within their bounds all the while.
bool stays_within(RetryBudget& budget, double max_tokens, bool fail) {
  bool within = true;
  for (unsigned round = 0; round < kRounds; ++round) {
    if (fail) {
      budget.on_failure();
    } else {
      budget.on_success();
    }
    const double tokens = budget.tokens();
    within = within && tokens >= 0 && tokens <= max_tokens;
  }
  return within;
}

TEST(RetryBudgetStress, NoUpdateIsLostFarFromTheBounds) {
  RetryBudget budget({.max_tokens = 1'000'000, .token_ratio = 0.25});
  for (int i = 0; i < 500'000; ++i) budget.on_failure();
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back(
        [&budget, i] { EXPECT_TRUE(stays_within(budget, 1'000'000, i % 2 == 0)); });
  }
  threads.clear();  // Joins.
  EXPECT_EQ(budget.tokens(), 500'000 - kCalls / 2 * 0.75);
}

TEST(RetryBudgetStress, TheBoundsHoldWhereThreadsMeetThem) {
  RetryBudget budget({.max_tokens = 3, .token_ratio = 1.0});
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&budget, i] { EXPECT_TRUE(stays_within(budget, 3, i % 2 == 0)); });
  }
  threads.clear();  // Joins.
  const RetryBudgetMetrics metrics = budget.metrics();
  EXPECT_EQ(metrics.retries_allowed + metrics.retries_refused, kCalls / 2);
}

RC_GTEST_PROP(RetryBudgetProperty, IsTheClampedSumOfItsSteps, (const std::vector<bool>& failures)) {
  const auto max_tokens = *rc::gen::inRange<std::uint32_t>(1, 12);
  const auto ratio_milli = *rc::gen::inRange<int>(1, 1001);
  RetryBudget budget({.max_tokens = max_tokens, .token_ratio = ratio_milli / 1000.0});
  const std::int64_t full = std::int64_t{max_tokens} * 1000;
  std::int64_t model = full;
  for (const bool failed : failures) {
    model = std::clamp<std::int64_t>(model + (failed ? -1000 : ratio_milli), 0, full);
    if (failed) {
      RC_ASSERT(budget.on_failure() == (model * 2 > full));
    } else {
      budget.on_success();
    }
    RC_ASSERT(std::llround(budget.tokens() * 1000) == model);
  }
}

}  // namespace
}  // namespace recover::retry
