#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <thread>
#include <vector>

#include <recover/random.h>
#include <recover/timer.h>

#include "test/on_threads.h"

namespace recover {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;

Instant at(int ms) {
  return Instant{milliseconds{ms}};
}

class Mark final : public Timer::Entry {
 public:
  explicit Mark(std::vector<int>& log, int id) : log_(log), id_(id) {}

 private:
  void expired() noexcept override { log_.push_back(id_); }

  std::vector<int>& log_;
  int id_;
};

TEST(ManualTimer, FiresDueEntriesEarliestFirst) {
  ManualClock clock;
  ManualTimer timer(clock);
  std::vector<int> log;
  Mark a(log, 1);
  Mark b(log, 2);
  Mark c(log, 3);
  ASSERT_TRUE(timer.schedule(a, at(30)));
  ASSERT_TRUE(timer.schedule(b, at(10)));
  ASSERT_TRUE(timer.schedule(c, at(20)));
  EXPECT_EQ(timer.run_due(), 0U);
  clock.advance(milliseconds{20});
  EXPECT_EQ(timer.run_due(), 2U);
  EXPECT_EQ(log, (std::vector<int>{2, 3}));
  EXPECT_TRUE(timer.cancel(a));
  EXPECT_FALSE(timer.cancel(a));
  EXPECT_FALSE(timer.cancel(b));
  clock.advance(milliseconds{20});
  EXPECT_EQ(timer.run_due(), 0U);
}

TEST(ManualTimer, RefusesMoreThanItsBound) {
  ManualClock clock;
  ManualTimer timer(clock);
  std::vector<int> log;
  std::vector<std::unique_ptr<Mark>> marks;
  for (std::size_t i = 0; i < kTimerEntriesMax; ++i) {
    marks.push_back(std::make_unique<Mark>(log, 0));
    ASSERT_TRUE(timer.schedule(*marks.back(), at(1)));
  }
  Mark extra(log, 1);
  EXPECT_FALSE(timer.schedule(extra, at(1)));
  EXPECT_TRUE(timer.cancel(*marks.front()));
  EXPECT_TRUE(timer.schedule(extra, at(1)));
  clock.advance(milliseconds{1});
  EXPECT_EQ(timer.run_due(), kTimerEntriesMax);
}

class SelfCancel final : public Timer::Entry {
 public:
  explicit SelfCancel(Timer& timer) : timer_(timer) {}
  bool ran = false;

 private:
  void expired() noexcept override {
    ran = true;
    EXPECT_FALSE(timer_.cancel(*this));
  }
  Timer& timer_;
};

TEST(ManualTimer, CallbackMayCancelItself) {
  ManualClock clock;
  ManualTimer timer(clock);
  SelfCancel entry(timer);
  ASSERT_TRUE(timer.schedule(entry, at(0)));
  EXPECT_EQ(timer.run_due(), 1U);
  EXPECT_TRUE(entry.ran);
}

// A timer with eight entries beside a map from entry to deadline in ms.
class TimerAndModel {
 public:
  TimerAndModel() {
    for (int id = 0; id < kEntries; ++id) marks_.push_back(std::make_unique<Mark>(log_, id));
  }
  TimerAndModel(const TimerAndModel&) = delete;
  TimerAndModel& operator=(const TimerAndModel&) = delete;
  ~TimerAndModel() {
    for (const auto& mark : marks_) timer_.cancel(*mark);
  }

  void schedule(int entry, int deadline) {
    if (armed_.contains(entry)) return;
    RC_ASSERT(timer_.schedule(mark(entry), at(deadline)));
    armed_[entry] = deadline;
  }
  void cancel(int entry) { RC_ASSERT(timer_.cancel(mark(entry)) == (armed_.erase(entry) > 0)); }
  void advance_to(int instant) {
    clock_.advance_to(at(instant));
    log_.clear();
    const std::size_t fired = timer_.run_due();
    RC_ASSERT(fired == log_.size());
    int previous = 0;
    for (const int id : log_) {
      RC_ASSERT(previous <= armed_.at(id));
      previous = armed_.at(id);
      armed_.erase(id);
    }
    for (const auto& [id, deadline] : armed_) RC_ASSERT(at(deadline) > clock_.now());
  }

  static constexpr int kEntries = 8;

 private:
  Mark& mark(int entry) { return *marks_[static_cast<std::size_t>(entry)]; }

  ManualClock clock_;
  ManualTimer timer_{clock_};
  std::vector<int> log_;
  std::vector<std::unique_ptr<Mark>> marks_;
  std::map<int, int> armed_;
};

RC_GTEST_PROP(ManualTimer, AgreesWithAMap, (const std::vector<std::uint16_t>& script)) {
  TimerAndModel both;
  for (const std::uint16_t word : script) {
    const int entry = word % TimerAndModel::kEntries;
    const int argument = word / 64 % 50;
    switch (word / 8 % 3) {
      case 0: both.schedule(entry, argument); break;
      case 1: both.cancel(entry); break;
      case 2: both.advance_to(argument); break;
    }
  }
}

class Tally final : public Timer::Entry {
 public:
  std::atomic<int> fired{0};

 private:
  void expired() noexcept override {
    fired.fetch_add(1);
    fired.notify_all();
  }
};

TEST(ThreadTimer, FiresAfterTheDeadline) {
  ThreadTimer timer;
  Tally later;
  Tally soon;
  ASSERT_TRUE(timer.schedule(later, SteadyClock::instance().now() + hours{1}));
  const Instant deadline = SteadyClock::instance().now() + milliseconds{2};
  ASSERT_TRUE(timer.schedule(soon, deadline));  // Earlier than what the thread sleeps for.
  soon.fired.wait(0);
  EXPECT_GE(SteadyClock::instance().now(), deadline);
  EXPECT_FALSE(timer.cancel(soon));
  EXPECT_TRUE(timer.cancel(later));
}

TEST(ThreadTimer, DestructionDropsWhatIsArmed) {
  Tally entry;
  {
    ThreadTimer timer;
    ASSERT_TRUE(timer.schedule(entry, SteadyClock::instance().now() + hours{1}));
  }
  EXPECT_EQ(entry.fired.load(), 0);
}

// Arms one entry for a moment; 1 when it fired. The entry is destroyed right after cancel(), so the
// sanitisers see a callback that comes later.
int arm_once(Timer& timer, Random& random) {
  Tally entry;
  const Duration delay{static_cast<std::int64_t>(random.next() % 40'000)};
  EXPECT_TRUE(timer.schedule(entry, SteadyClock::instance().now() + delay));
  if (random.next() % 4 == 0) entry.fired.wait(0);
  const bool cancelled = timer.cancel(entry);
  const int fired = entry.fired.load();
  EXPECT_EQ(fired, cancelled ? 0 : 1);
  return fired;
}

TEST(TimerStress, CancelOrFireExactlyOnce) {
  ThreadTimer timer;
  std::atomic<int> fired{0};
  test::on_threads(8, [&](unsigned index) {
    Random random(index);
    for (int round = 0; round < 500; ++round) fired.fetch_add(arm_once(timer, random));
  });
  EXPECT_GE(fired.load(), 1);
}

}  // namespace
}  // namespace recover
