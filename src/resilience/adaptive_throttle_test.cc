#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <recover/adaptive_throttle.h>

#include "test/allocations.h"

namespace recover::throttle {
namespace {

using namespace std::chrono_literals;

// Conformance vector T09.
TEST(RejectionProbability, FollowsTheSreBook) {
  EXPECT_EQ(rejection_probability({100, 95}, 0.9, 0.8), 0.0);
  EXPECT_NEAR(rejection_probability({120, 90}, 0.9, 0.8), 20.0 / 121.0, 1e-12);
  EXPECT_NEAR(rejection_probability({200, 50}, 0.9, 0.8), 0.718629, 1e-6);
  EXPECT_EQ(rejection_probability({1000, 10}, 0.9, 0.8), 0.8);
  EXPECT_EQ(rejection_probability({0, 0}, 0.9, 0.8), 0.0);
  EXPECT_EQ(rejection_probability({1, 0}, 0.9, 0.9), 0.5);
  EXPECT_EQ(rejection_probability({1, 0}, kDefaultSuccessThreshold, kDefaultMaxRejectionRate), 0.5);
}

TEST(ThrottleMachine, RefusesByLotAndCountsTheRefused) {
  const Instant start{};
  ThrottleMachine machine({.success_threshold = 0.9}, start);
  EXPECT_TRUE(machine.admit(start, 0.0));
  machine.record(false, start);
  EXPECT_EQ(machine.rejection_probability(start), 0.5);
  EXPECT_TRUE(machine.admit(start, 0.5));
  EXPECT_FALSE(machine.admit(start, 0.4999));
  EXPECT_EQ(machine.tally(start), (Tally{2, 0}));
}

TEST(ThrottleMachine, ForgetsAfterTheWindow) {
  ThrottleMachine machine({.window = 16s}, Instant{});
  machine.record(false, Instant{1s});
  EXPECT_EQ(machine.tally(Instant{16s}), (Tally{1, 0}));
  EXPECT_EQ(machine.tally(Instant{17s}), (Tally{0, 0}));
  machine.record(true, Instant{18s});
  EXPECT_EQ(machine.tally(Instant{17s}), (Tally{1, 1}));  // An earlier instant changes nothing.
  EXPECT_EQ(machine.tally(Instant{1000h}), (Tally{0, 0}));
}

// Slow and obvious: every call with its slot, and a scan.
struct WindowModel {
  struct Call {
    std::int64_t slot;
    bool accepted;
  };
  std::vector<Call> calls;

  Tally tally(std::int64_t slot) const {
    Tally sum;
    for (const Call& call : calls) {
      if (call.slot + 16 <= slot) continue;
      ++sum.requests;
      if (call.accepted) ++sum.accepts;
    }
    return sum;
  }
};

RC_GTEST_PROP(ThrottleProperty, MachineWrapperAndModelAgree, ()) {
  ManualClock clock;
  const AdaptiveThrottleConfig config{.window = 160ms, .seed = 5};
  ThrottleMachine machine(config, clock.now());
  AdaptiveThrottle throttle(config, clock);
  WindowModel model;
  const auto steps = *rc::gen::container<std::vector<std::pair<int, bool>>>(
      rc::gen::pair(rc::gen::inRange(0, 40), rc::gen::arbitrary<bool>()));
  for (const auto& [wait_ms, accepted] : steps) {
    clock.advance(std::chrono::milliseconds{wait_ms});
    const Instant now = clock.now();
    const std::int64_t slot = now.time_since_epoch() / 10ms;
    model.calls.push_back({slot, accepted});
    machine.record(accepted, now);
    throttle.record(accepted);
    RC_ASSERT(machine.tally(now) == model.tally(slot));
    RC_ASSERT(throttle.metrics().window == model.tally(slot));
    RC_ASSERT(throttle.rejection_probability(now) == machine.rejection_probability(now));
  }
}

Error failure(Persistence persistence) {
  return Error(ErrorKind::OperationFailed, {.persistence = persistence});
}

TEST(AdaptiveThrottle, HealthyCallsAreNeverRefused) {
  ManualClock clock;
  AdaptiveThrottle throttle({.seed = 1}, clock);
  for (int i = 0; i < 1'000; ++i) EXPECT_EQ(*throttle.execute([] { return 3; }), 3);
  EXPECT_EQ(throttle.metrics().permitted_calls, 1'000U);
  EXPECT_EQ(throttle.metrics().accepted_calls, 1'000U);
  EXPECT_EQ(throttle.metrics().window, (Tally{1'000, 1'000}));
}

TEST(AdaptiveThrottle, WhatCountsAsAccepted) {
  ManualClock clock;
  AdaptiveThrottle throttle({.max_rejection_rate = 0.0, .seed = 1}, clock);
  const auto fail_with = [&throttle](Persistence persistence) {
    const auto result =
        throttle.execute([&]() -> Result<void> { return Unexpected(failure(persistence)); });
    EXPECT_FALSE(result.has_value());
  };
  fail_with(Persistence::Permanent);
  EXPECT_EQ(throttle.metrics().window, (Tally{1, 1}));
  fail_with(Persistence::Transient);
  fail_with(Persistence::Throttled);
  EXPECT_EQ(throttle.metrics().window, (Tally{3, 1}));
  fail_with(Persistence::Cancelled);
  EXPECT_EQ(throttle.metrics().window, (Tally{3, 1}));
}

TEST(AdaptiveThrottle, AnOutageIsMostlyKeptFromTheDependencyAndItsEndIsNoticed) {
  using Type = AdaptiveThrottleEvent::Type;
  ManualClock clock;
  AdaptiveThrottle throttle({.window = 10s, .seed = 1}, clock);
  std::vector<Type> heard;
  throttle.on_event([&heard](const AdaptiveThrottleEvent& event) { heard.push_back(event.type); });
  int sent = 0;
  for (int i = 0; i < 2'000; ++i) {
    clock.advance(10ms);
    const auto result = throttle.execute([&sent]() -> Result<void> {
      ++sent;
      return Unexpected(failure(Persistence::Transient));
    });
    ASSERT_FALSE(result.has_value());
  }
  EXPECT_GT(sent, 100);  // A tenth always goes through.
  EXPECT_LT(sent, 400);
  EXPECT_EQ(throttle.metrics().rejected_calls, 2'000U - static_cast<unsigned>(sent));

  int refused_late = 0;
  for (int i = 0; i < 8'000; ++i) {
    clock.advance(10ms);
    const auto result = throttle.execute([] {});
    if (!result && i >= 6'000) ++refused_late;
    if (!result) {
      EXPECT_EQ(result.error().kind(), ErrorKind::RequestNotPermitted);
    }
  }
  EXPECT_EQ(refused_late, 0);
  EXPECT_EQ(heard.front(), Type::ThrottlingStarted);
  EXPECT_EQ(heard.back(), Type::ThrottlingStopped);
}

TEST(AdaptiveThrottle, AllocatesNothingToPermitOrToReject) {
  ManualClock clock;
  AdaptiveThrottle throttle({.success_threshold = 0.1, .seed = 1}, clock);
  EXPECT_TRUE(throttle.try_acquire().has_value());
  const std::size_t before = test::allocations();
  bool rejected = false;
  while (!rejected) {
    throttle.record(false);
    rejected = !throttle.try_acquire().has_value();
  }
  EXPECT_EQ(test::allocations(), before);
}

constexpr unsigned kThreads = 8;
constexpr unsigned kRounds = 5'000;
constexpr std::uint64_t kCalls = std::uint64_t{kThreads} * kRounds;

void call_often(AdaptiveThrottle& throttle, bool accepted) {
  for (unsigned round = 0; round < kRounds; ++round) {
    if (throttle.try_acquire()) throttle.record(accepted);
  }
}

TEST(AdaptiveThrottleStress, CallsAddUpExactly) {
  ManualClock clock;
  AdaptiveThrottle throttle({.seed = 3}, clock);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&throttle, t] { call_often(throttle, t % 4 == 0); });
  }
  threads.clear();  // Joins.
  const AdaptiveThrottleMetrics metrics = throttle.metrics();
  EXPECT_EQ(metrics.permitted_calls + metrics.rejected_calls, kCalls);
  EXPECT_EQ(metrics.accepted_calls + metrics.unaccepted_calls, metrics.permitted_calls);
  EXPECT_EQ(metrics.window, (Tally{kCalls, metrics.accepted_calls}));
}

void record_while_time_passes(AdaptiveThrottle& throttle, ManualClock& clock) {
  for (unsigned round = 0; round < kRounds; ++round) {
    throttle.record(true);
    clock.advance(100us);
  }
}

TEST(AdaptiveThrottleStress, SlotsTurnUnderLoad) {
  ManualClock clock;
  AdaptiveThrottle throttle({.max_rejection_rate = 0.0, .window = 16ms}, clock);
  std::vector<std::jthread> threads;
  for (unsigned t = 0; t < kThreads; ++t) {
    threads.emplace_back([&throttle, &clock] { record_while_time_passes(throttle, clock); });
  }
  threads.clear();  // Joins.
  clock.advance(1s);
  EXPECT_EQ(throttle.metrics().window, (Tally{0, 0}));
  EXPECT_EQ(throttle.metrics().accepted_calls, kCalls);
}

TEST(AdaptiveThrottleConfig, NamesTheBadField) {
  const auto complaint = [](const AdaptiveThrottleConfig& config) {
    const Result<void> valid = config.validate();
    return valid ? std::string() : valid.error().message();
  };
  EXPECT_EQ(complaint({}), "");
  EXPECT_TRUE(complaint({.success_threshold = 0.0}).starts_with("adaptive_throttle.success"));
  EXPECT_TRUE(complaint({.success_threshold = std::nan("")}).starts_with("adaptive_throttle.succ"));
  EXPECT_TRUE(complaint({.max_rejection_rate = 1.0}).starts_with("adaptive_throttle.max_rej"));
  EXPECT_EQ(complaint({.window = 1us}),
            "adaptive_throttle.window: must be at least 1 ms, got 1000 ns");
  EXPECT_DEATH(AdaptiveThrottle({.success_threshold = 2.0}), "CHECK failed");
}

}  // namespace
}  // namespace recover::throttle
