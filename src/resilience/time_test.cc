#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <stop_token>
#include <thread>

#include <recover/time.h>

namespace recover {
namespace {

using namespace std::chrono_literals;

TEST(TimeTest, AddingSaturates) {
  EXPECT_EQ(saturating_add(Instant{1s}, 2s), Instant{3s});
  EXPECT_EQ(saturating_add(Instant{1s}, Duration::max()), kNever);
  EXPECT_EQ(saturating_add(kNever, 1ns), kNever);
  EXPECT_EQ(saturating_add(kNever - 1ns, 1ns), kNever);
}

TEST(TimeTest, MaybeDurationIsAnOptionalInOneWord) {
  static_assert(sizeof(MaybeDuration) == sizeof(Duration));
  EXPECT_FALSE(MaybeDuration().has_value());
  EXPECT_FALSE(MaybeDuration(std::nullopt));
  EXPECT_EQ(MaybeDuration(2s).value(), 2s);
  EXPECT_EQ(MaybeDuration(0s).value_or(1s), 0s);
  EXPECT_EQ(MaybeDuration().value_or(1s), 1s);
  const std::optional<Duration> some = MaybeDuration(3ms);
  const std::optional<Duration> none = MaybeDuration();
  EXPECT_EQ(some, 3ms);
  EXPECT_EQ(none, std::nullopt);
  EXPECT_EQ(MaybeDuration(some), MaybeDuration(3ms));
}

TEST(TimeTest, TheCoarseClockLagsBehindTheSteadyOne) {
  const Instant coarse = CoarseClock::instance().now();
  const Instant steady = SteadyClock::instance().now();
  EXPECT_LE(coarse, steady);
  EXPECT_LE(steady, CoarseClock::read() + 1h) << "the same time line";
}

TEST(ManualClockTest, MovesForwardOnly) {
  ManualClock clock(Instant{10s});
  clock.advance(1s);
  EXPECT_EQ(clock.now(), Instant{11s});
  clock.advance_to(Instant{5s});
  EXPECT_EQ(clock.now(), Instant{11s});
  EXPECT_TRUE(clock.wait_until(Instant{20s}, {}));
  EXPECT_EQ(clock.now(), Instant{20s});
  std::stop_source stop;
  stop.request_stop();
  EXPECT_FALSE(clock.wait_until(Instant{30s}, stop.get_token()));
  EXPECT_EQ(clock.now(), Instant{20s});
}

TEST(ClockTest, ADeadlineThatHasPassedDoesNotBlock) {
  for (Clock* clock : {static_cast<Clock*>(&SteadyClock::instance()),
                       static_cast<Clock*>(&CoarseClock::instance())}) {
    EXPECT_TRUE(clock->wait_until(clock->now() - 1s, {}));
    std::stop_source stop;
    stop.request_stop();
    EXPECT_FALSE(clock->wait_until(kNever, stop.get_token()));
    EXPECT_FALSE(clock->wait_until(clock->now() + 1h, stop.get_token()));
  }
}

TEST(ClockThreads, AStopRequestEndsTheWait) {
  for (const Instant deadline : {kNever, SteadyClock::instance().now() + 1h}) {
    std::stop_source stop;
    std::atomic<bool> stopped{false};
    std::jthread waiter(
        [&] { stopped = !SteadyClock::instance().wait_until(deadline, stop.get_token()); });
    stop.request_stop();
    waiter.join();
    EXPECT_TRUE(stopped.load());
  }
}

TEST(ManualClockStress, AdvancesAddUp) {
  ManualClock clock;
  {
    std::jthread other([&] {
      for (int i = 0; i < 10'000; ++i) clock.advance(1ns);
    });
    for (int i = 0; i < 10'000; ++i) clock.advance_to(Instant{Duration{i % 100}});
  }
  EXPECT_GE(clock.now(), Instant{10'000ns});
}

TEST(SaturatingSub, HoldsAtTheEnds) {
  const Instant zero{};
  EXPECT_EQ(saturating_sub(zero + 5ns, zero + 2ns), 3ns);
  EXPECT_EQ(saturating_sub(zero, zero + 2ns), 0ns);
  EXPECT_EQ(saturating_sub(kNever, Instant::min()), Duration::max());
  EXPECT_EQ(saturating_sub(kNever, zero - 1ns), Duration::max());
  EXPECT_EQ(saturating_sub(kNever, zero), Duration::max());
  EXPECT_EQ(saturating_sub(zero, Instant::min() + 1ns), Duration::max());
}

}  // namespace
}  // namespace recover
