#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <atomic>
#include <chrono>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include <recover/failover.h>

#include "test/on_threads.h"

namespace recover::failover {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

Instant at(int s) {
  return Instant{seconds{s}};
}

FailoverConfig three_targets() {
  return {.targets = 3,
          .outlier = {.consecutive_failures = 2,
                      .interval = seconds{1},
                      .base_ejection_time = seconds{10},
                      .max_ejection_percent = 100},
          .return_to_primary_after = seconds{5},
          .idempotent = true};
}

Error failure(Persistence persistence, Delivery delivery = Delivery::Unknown) {
  return Error(
      ErrorKind::OperationFailed,
      {.error_class = ErrorClass::Connection, .persistence = persistence, .delivery = delivery});
}

void fail(Chain& chain, std::uint8_t target, Instant now, int times = 2) {
  for (int i = 0; i < times; ++i) chain.record({.target = target}, Outcome::Failure, now, 0);
}

TEST(FailoverConfig, DefaultsWorkAndBadFieldsAreNamed) {
  EXPECT_TRUE(FailoverConfig{}.validate().has_value());
  const auto message = [](const FailoverConfig& config) {
    return config.validate().error().message();
  };
  EXPECT_EQ(message({.targets = 17}), "failover.targets: must be 1 to 16, got 17");
  EXPECT_NE(message({.return_to_primary_after = Duration{-1}}).find("return_to_primary_after"),
            std::string::npos);
  EXPECT_NE(message({.probe_max_wait = Duration{0}}).find("probe_max_wait"), std::string::npos);
  EXPECT_NE(message({.outlier = {.consecutive_failures = 0}}).find("outlier_detector"),
            std::string::npos);
}

TEST(Chain, FailsOverAndReturnsAfterOneGoodProbe) {
  Chain chain(three_targets(), at(0));
  EXPECT_EQ(chain.select(at(0))->target, 0);
  fail(chain, 0, at(0));
  EXPECT_EQ(chain.status().active, 1U);
  EXPECT_EQ(chain.select(at(9))->target, 1);
  EXPECT_EQ(chain.select(at(10))->target, 1);  // Back, but not yet for long enough.
  const Choice probe = *chain.select(at(15));
  EXPECT_EQ(probe.target, 0);
  EXPECT_NE(probe.probe, 0U);
  EXPECT_EQ(chain.select(at(15))->target, 1);  // One probe at a time.
  chain.record(probe, Outcome::Success, at(16), 0);
  EXPECT_EQ(chain.status().active, 0U);
  EXPECT_TRUE(chain.undisturbed());
}

TEST(Chain, AFailedProbeWaitsAgain) {
  Chain chain(three_targets(), at(0));
  fail(chain, 0, at(0));
  const Choice probe = *chain.select(at(15));
  chain.record(probe, Outcome::Failure, at(15), 0);
  EXPECT_EQ(chain.status().active, 1U);
  EXPECT_EQ(chain.select(at(19))->target, 1);
  EXPECT_EQ(chain.select(at(20))->target, 0);
}

TEST(Chain, AnIgnoredProbeMayBeRepeatedAtOnceAndALostOneLater) {
  FailoverConfig config = three_targets();
  config.probe_max_wait = seconds{7};
  Chain chain(config, at(0));
  fail(chain, 0, at(0));
  const Choice first = *chain.select(at(15));
  chain.record(first, Outcome::Ignored, at(15), 0);
  const Choice lost = *chain.select(at(15));
  EXPECT_EQ(lost.target, 0);
  EXPECT_EQ(chain.select(at(21))->target, 1);
  const Choice third = *chain.select(at(22));
  EXPECT_EQ(third.target, 0);
  chain.record(lost, Outcome::Success, at(22), 0);  // Late: changes no routing.
  EXPECT_EQ(chain.status().active, 1U);
  chain.record(third, Outcome::Success, at(22), 0);
  EXPECT_EQ(chain.status().active, 0U);
}

TEST(Chain, OneCallGoesThroughTheTargetsInOrder) {
  Chain chain(three_targets(), at(0));
  TargetSet tried;
  for (std::uint8_t expected = 0; expected < 3; ++expected) {
    const std::optional<Choice> choice = chain.select(at(0), tried);
    ASSERT_TRUE(choice.has_value());
    EXPECT_EQ(choice->target, expected);
    tried.insert(choice->target);
  }
  EXPECT_FALSE(chain.select(at(0), tried).has_value());
}

TEST(Chain, LastResortTriesEjectedTargetsAndASuccessReadmits) {
  Chain chain(three_targets(), at(0));
  for (std::uint8_t i = 0; i < 3; ++i) fail(chain, i, at(0));
  const Choice choice = *chain.select(at(1));
  EXPECT_TRUE(choice.last_resort);
  EXPECT_EQ(choice.target, 0);
  chain.record(choice, Outcome::Success, at(1), 0);
  EXPECT_FALSE(chain.status().ejected.contains(0));
  EXPECT_EQ(chain.status().active, 0U);
}

TEST(Chain, WithoutLastResortAllEjectedMeansWait) {
  FailoverConfig config = three_targets();
  config.last_resort = false;
  Chain chain(config, at(0));
  for (std::uint8_t i = 0; i < 3; ++i) fail(chain, i, at(i));
  EXPECT_FALSE(chain.select(at(4)).has_value());
  EXPECT_EQ(chain.retry_after(at(4)), seconds{6});
  EXPECT_TRUE(chain.select(at(10)).has_value());
}

TEST(Chain, ALateSuccessDoesNotReadmit) {
  Chain chain(three_targets(), at(0));
  const Choice slow = *chain.select(at(0));
  fail(chain, 0, at(0));
  chain.record(slow, Outcome::Success, at(1), 0);
  EXPECT_TRUE(chain.status().ejected.contains(0));
}

// Whatever happens: the choice is untried and in use unless nothing is, probes come one at a time,
// and traffic moves to a better target only through a probe or because the active one is out.
RC_GTEST_PROP(Chain, KeepsItsPromises, (const std::vector<std::uint16_t>& script)) {
  Chain chain(three_targets(), at(0));
  Instant now = at(0);
  std::vector<Choice> in_flight;
  for (const std::uint16_t word : script) {
    now += milliseconds{word / 256 * 20};
    if (word % 3 == 0 && in_flight.size() < 8) {
      const Chain::Status before = chain.status();
      const std::optional<Choice> choice = chain.select(now);
      const Chain::Status after = chain.status();
      RC_ASSERT(choice.has_value());
      RC_ASSERT(after.ejected.contains(choice->target) == choice->last_resort);
      RC_ASSERT(choice->probe == 0 || choice->target < after.active);
      RC_ASSERT(after.active == before.active || before.ejected.contains(before.active));
      in_flight.push_back(*choice);
    } else if (!in_flight.empty()) {
      const std::size_t index = word / 3 % in_flight.size();
      const Choice choice = in_flight[index];
      in_flight.erase(in_flight.begin() + static_cast<std::ptrdiff_t>(index));
      const Chain::Status before = chain.status();
      const auto outcome = static_cast<Outcome>(word / 16 % 3);
      chain.record(choice, outcome, now, word);
      const Chain::Status after = chain.status();
      const bool better = after.active < before.active;
      RC_ASSERT(!better || before.ejected.contains(before.active) ||
                after.ejected.contains(before.active) ||
                (choice.probe != 0 && outcome == Outcome::Success));
    }
    RC_ASSERT(!chain.undisturbed() || chain.status().active == 0);
  }
}

struct FailoverChainTest : testing::Test {
  ManualClock clock;
  FailoverChain chain{three_targets(), clock};
  std::array<bool, 3> down{};
  std::vector<std::size_t> visited;

  Result<std::size_t> call() {
    return chain.execute([&](std::size_t target) -> Result<std::size_t> {
      visited.push_back(target);
      if (down[target]) return Unexpected(failure(Persistence::Transient));
      return target;
    });
  }
};

TEST_F(FailoverChainTest, MovesOnFailsOverAndReturns) {
  std::vector<EventKind> events;
  chain.on_event([&](const Event& event) { events.push_back(event.kind); });
  EXPECT_EQ(*call(), 0U);
  down[0] = true;
  EXPECT_EQ(*call(), 1U);
  EXPECT_EQ(*call(), 1U);
  EXPECT_EQ(visited, (std::vector<std::size_t>{0, 0, 1, 0, 1}));
  visited.clear();
  EXPECT_EQ(*call(), 1U);
  EXPECT_EQ(visited, std::vector<std::size_t>{1});
  down[0] = false;
  clock.advance(seconds{15});
  EXPECT_EQ(*call(), 0U);
  EXPECT_EQ(*call(), 0U);
  EXPECT_EQ(events, (std::vector{EventKind::TargetEjected, EventKind::FailedOver,
                                 EventKind::TargetReadmitted, EventKind::Returned}));
  const Metrics metrics = chain.metrics();
  EXPECT_EQ(metrics.failovers, 1U);
  EXPECT_EQ(metrics.returns, 1U);
  EXPECT_EQ(metrics.moved_on, 2U);
  EXPECT_EQ(metrics.failed, 2U);
  EXPECT_EQ(metrics.successful, 6U);
  EXPECT_EQ(metrics.active_target, 0U);
}

TEST_F(FailoverChainTest, ReturnsTheLastFailureWhenAllFail) {
  down = {true, true, true};
  const Result<std::size_t> result = call();
  ASSERT_FALSE(result.has_value());
  EXPECT_EQ(result.error().kind(), ErrorKind::OperationFailed);
  EXPECT_EQ(visited.size(), 3U);
}

TEST_F(FailoverChainTest, StopsAtTheDeadlineAndOnRequest) {
  std::stop_source stop;
  int calls = 0;
  const auto operation = [&](std::size_t, const CallContext&) -> Result<void> {
    ++calls;
    stop.request_stop();
    clock.advance(seconds{1});
    return Unexpected(failure(Persistence::Transient));
  };
  EXPECT_FALSE(chain.execute(operation, CallContext{.deadline = at(1)}).has_value());
  EXPECT_EQ(calls, 1);
  stop = std::stop_source();
  EXPECT_FALSE(chain.execute(operation, stop.get_token()).has_value());
  EXPECT_EQ(calls, 2);
}

TEST_F(FailoverChainTest, APermanentFailureIsAnAnswer) {
  int calls = 0;
  for (int i = 0; i < 5; ++i) {
    const Result<void> result = chain.execute([&](std::size_t) -> Result<void> {
      ++calls;
      return Unexpected(failure(Persistence::Permanent));
    });
    EXPECT_FALSE(result.has_value());
  }
  EXPECT_EQ(calls, 5);
  EXPECT_EQ(chain.metrics().ejections, 0U);
}

TEST(FailoverChain, MovesOnWithANonIdempotentOperationOnlyIfItWasNotSent) {
  ManualClock clock;
  FailoverConfig config = three_targets();
  config.idempotent = false;
  FailoverChain chain(config, clock);
  const auto calls_with = [&](Delivery delivery) {
    int calls = 0;
    const Result<void> result = chain.execute([&](std::size_t) -> Result<void> {
      ++calls;
      return Unexpected(failure(Persistence::Transient, delivery));
    });
    EXPECT_FALSE(result.has_value());
    return calls;
  };
  EXPECT_EQ(calls_with(Delivery::Unknown), 1);
  EXPECT_EQ(calls_with(Delivery::NotSent), 3);
}

TEST(FailoverChain, RefusesWhenEveryTargetIsOut) {
  ManualClock clock;
  FailoverConfig config = three_targets();
  config.last_resort = false;
  FailoverChain chain(config, clock);
  const auto failing = [](std::size_t) -> Result<void> {
    return Unexpected(failure(Persistence::Throttled));
  };
  EXPECT_FALSE(chain.execute(failing).has_value());
  EXPECT_FALSE(chain.execute(failing).has_value());
  const Result<void> refused = chain.execute(failing);
  EXPECT_EQ(refused.error().kind(), ErrorKind::NoHealthyTarget);
  EXPECT_EQ(refused.error().retry_after(), seconds{10});
  EXPECT_EQ(chain.metrics().exhausted, 1U);
}

TEST(FailoverChain, JitterDiffersBetweenChainsUnlessSeeded) {
  const auto out_for = [](std::optional<std::uint64_t> seed) {
    ManualClock clock;
    FailoverConfig config{.targets = 1, .last_resort = false, .seed = seed};
    config.outlier.consecutive_failures = 1;
    config.outlier.max_ejection_time_jitter = std::chrono::hours{24};
    config.outlier.interval = std::chrono::milliseconds{1};
    FailoverChain chain(config, clock);
    chain.try_acquire()->record(Outcome::Failure);
    return chain.try_acquire().error().retry_after.value_or(Duration::zero());
  };
  EXPECT_NE(out_for({}), out_for({}));
  EXPECT_NE(out_for(0), out_for(1));
  EXPECT_EQ(out_for(0), out_for(0));
}

TEST(FailoverChain, ADroppedProbeIsAReleasedProbe) {
  ManualClock clock;
  FailoverChain chain(three_targets(), clock);
  for (int i = 0; i < 2; ++i) chain.try_acquire()->record(Outcome::Failure);
  clock.advance(seconds{15});
  {
    const auto probe = chain.try_acquire();
    EXPECT_TRUE(probe->is_probe());
    EXPECT_FALSE(chain.try_acquire()->is_probe());
  }
  EXPECT_TRUE(chain.try_acquire()->is_probe());
}

// Counts its runs; fails every fourth one on the first two targets.
class FlakyOperation {
 public:
  FlakyOperation(std::atomic<std::uint64_t>& runs, std::uint64_t seed)
      : runs_(runs), random_(seed) {}

  Result<void> operator()(std::size_t target) {
    runs_.fetch_add(1);
    const bool fails = target < 2 && random_.next() % 4 == 0;
    if (fails) return Unexpected(failure(Persistence::Transient));
    return {};
  }

 private:
  std::atomic<std::uint64_t>& runs_;
  Random random_;
};

TEST(FailoverStress, AttemptsAddUp) {
  constexpr unsigned kThreads = 8;
  constexpr std::uint64_t kCalls = 2'000;
  FailoverConfig config = three_targets();
  config.outlier.interval = milliseconds{1};
  config.outlier.base_ejection_time = std::chrono::microseconds{100};
  config.return_to_primary_after = Duration{0};
  FailoverChain chain(config);
  std::atomic<std::uint64_t> attempts{0};
  test::on_threads(kThreads, [&](unsigned index) {
    FlakyOperation operation(attempts, index);
    for (std::uint64_t i = 0; i < kCalls; ++i) static_cast<void>(chain.execute(operation));
  });
  const Metrics metrics = chain.metrics();
  EXPECT_EQ(metrics.successful + metrics.failed, attempts.load());
  EXPECT_EQ(attempts.load(), kThreads * kCalls + metrics.moved_on);
  EXPECT_GE(metrics.ejections, metrics.readmissions);
}

TEST(FailoverExecute, CallsNothingOnceStoppedOrTooLate) {
  ManualClock clock;
  FailoverChain chain({}, clock);
  int calls = 0;
  const auto count = [&](std::size_t /*target*/) { return ++calls; };
  std::stop_source stop;
  stop.request_stop();
  EXPECT_EQ(chain.execute(count, stop.get_token()).error().kind(), ErrorKind::Cancelled);
  const CallContext late{.deadline = clock.now() - Duration{1}};
  EXPECT_EQ(chain.execute(count, late).error().kind(), ErrorKind::TimeoutExceeded);
  EXPECT_EQ(calls, 0);
}

}  // namespace
}  // namespace recover::failover
