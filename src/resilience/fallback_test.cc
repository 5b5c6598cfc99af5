#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <vector>

#include <recover/fallback.h>

namespace recover::fallback {
namespace {

using std::chrono::seconds;

Error failure(ErrorClass error_class, Persistence persistence = Persistence::Transient) {
  return Error(ErrorKind::OperationFailed,
               {.error_class = error_class, .persistence = persistence});
}

auto failing(ErrorClass error_class) {
  return [error_class]() -> Result<int> { return Unexpected(failure(error_class)); };
}

TEST(Fallback, ASuccessTouchesNoHandler) {
  bool touched = false;
  Fallback<int> fallback({use_call<int>([&touched] {
    touched = true;
    return 0;
  })});
  EXPECT_EQ(*fallback.execute([] { return 5; }), 5);
  EXPECT_FALSE(touched);
  EXPECT_EQ(fallback.metrics().primary, 1U);
}

TEST(Fallback, TheFirstHandlerThatAppliesAndSucceedsAnswers) {
  Fallback<int> fallback({
      use_value(1, on_class({ErrorClass::Timeout})),
      use_call<int>(
          [](const Error&) -> Result<int> { return Unexpected(failure(ErrorClass::Connection)); }),
      use_call<int>([]() -> int { throw std::runtime_error("also down"); }),
      use_value(4),
  });
  std::vector<std::size_t> levels;
  fallback.on_event([&](const Event& event) { levels.push_back(event.level); });
  EXPECT_EQ(*fallback.execute(failing(ErrorClass::Timeout)), 1);
  const Result<Degraded<int>> degraded = fallback.execute_detailed(failing(ErrorClass::Connection));
  EXPECT_EQ(degraded->value, 4);
  EXPECT_EQ(degraded->level, 4U);
  EXPECT_TRUE(degraded->is_degraded());
  EXPECT_EQ(degraded->cause->classification().error_class, ErrorClass::Connection);
  EXPECT_EQ(levels, (std::vector<std::size_t>{1, 4}));
  EXPECT_EQ(fallback.metrics().degraded, 2U);
}

TEST(Fallback, WithoutAHandlerTheFailureStands) {
  Fallback<int> fallback({use_value(1, on_kind({ErrorKind::CallNotPermitted})),
                          use_value(2, on_persistence({Persistence::Permanent}))});
  const Result<int> result = fallback.execute(failing(ErrorClass::Connection));
  EXPECT_EQ(result.error().classification().error_class, ErrorClass::Connection);
  EXPECT_FALSE(fallback.execute_detailed(failing(ErrorClass::Connection)).has_value());
  EXPECT_EQ(fallback.metrics().unhandled, 2U);
  const auto rejected = []() -> Result<int> { return Unexpected(Error(Rejection{})); };
  EXPECT_EQ(*fallback.execute(rejected), 1);
}

TEST(Fallback, ACancelledCallIsNotCoveredUp) {
  Fallback<int> fallback({use_value(1)});
  const auto cancelled = []() -> Result<int> { return Unexpected(Error::cancelled()); };
  EXPECT_EQ(fallback.execute(cancelled).error().kind(), ErrorKind::Cancelled);
}

TEST(Fallback, TheLastGoodResult) {
  ManualClock clock;
  LastGoodCache<std::string> cache({.stale_if_error = seconds{30}}, clock);
  Fallback<std::string> fallback({use_last_good(cache), use_value<std::string>("default")});
  const auto call = [&] {
    return fallback.execute(
        []() -> Result<std::string> { return Unexpected(failure(ErrorClass::Connection)); });
  };
  EXPECT_EQ(*call(), "default");
  cache.store("yesterday's");
  EXPECT_EQ(*call(), "yesterday's");
  clock.advance(seconds{90});
  EXPECT_EQ(*call(), "default");
}

TEST(Fallback, WorksForCallsWithoutAValue) {
  int queued = 0;
  Fallback<void> fallback({use_call<void>([&queued] { ++queued; })});
  EXPECT_TRUE(
      fallback.execute([]() -> void { throw std::runtime_error("mail server down"); }).has_value());
  EXPECT_EQ(queued, 1);
  std::stop_source caller;
  const auto stoppable = [&](const std::stop_token& stop) { EXPECT_TRUE(stop.stop_possible()); };
  EXPECT_TRUE(fallback.execute_detailed(stoppable, caller.get_token()).has_value());
  EXPECT_EQ(fallback.execute_detailed([] {})->level, 0U);
}

TEST(WithFallback, OneCall) {
  EXPECT_EQ(*with_fallback([] { return 1; }, use_value(2)), 1);
  EXPECT_EQ(*with_fallback(failing(ErrorClass::Timeout),
                           use_value(2, on_class({ErrorClass::Connection})), use_value(3)),
            3);
  EXPECT_FALSE(
      with_fallback(failing(ErrorClass::Timeout), use_value(2, on_class({ErrorClass::Connection})))
          .has_value());
}

// The model: the first handler whose class matches and that does not fail.
RC_GTEST_PROP(Fallback, AgreesWithASearch, (const std::vector<std::uint8_t>& words)) {
  struct Plan {
    ErrorClass on;
    bool works;
  };
  std::vector<Plan> plans;
  std::vector<Handler<int>> handlers;
  for (const std::uint8_t word : words) {
    if (plans.size() == kHandlersMax) break;
    const Plan plan{static_cast<ErrorClass>(word % 7), word / 8 % 2 == 0};
    const int id = static_cast<int>(plans.size()) + 1;
    plans.push_back(plan);
    handlers.push_back(use_call<int>(
        [plan, id]() -> Result<int> {
          if (!plan.works) return Unexpected(failure(ErrorClass::Unknown));
          return id;
        },
        on_class({plan.on})));
  }
  RC_PRE(!plans.empty());
  Fallback<int> fallback(handlers);
  for (int c = 0; c < 7; ++c) {
    const auto error_class = static_cast<ErrorClass>(c);
    int expected = 0;
    for (std::size_t i = 0; i < plans.size() && expected == 0; ++i) {
      if (plans[i].on == error_class && plans[i].works) expected = static_cast<int>(i) + 1;
    }
    RC_ASSERT(fallback.execute(failing(error_class)).value_or(0) == expected);
  }
}

TEST(Fallback, CallsNothingOnceStopped) {
  Fallback<int> fallback({use_value(1)});
  std::stop_source stop;
  stop.request_stop();
  int calls = 0;
  const auto outcome = fallback.execute([&] { return ++calls; }, stop.get_token());
  EXPECT_EQ(outcome.error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace recover::fallback
