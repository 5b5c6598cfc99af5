#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <recover/bulkhead.h>
#include <recover/random.h>

namespace recover::bulkhead {
namespace {

using namespace std::chrono_literals;

constexpr int kThreads = 8;

// Keeps the permit it is given.
class Holder final : public Waiter {
 public:
  explicit Holder(std::vector<int>* order = nullptr, int name = 0) : order_(order), name_(name) {}

  void granted(Permit permit) noexcept override {
    permit_ = std::move(permit);
    if (order_ != nullptr) order_->push_back(name_);
  }
  bool holds() const { return permit_.held(); }
  void drop() { permit_.release(); }

 private:
  std::vector<int>* order_;
  int name_;
  Permit permit_;
};

bool is_queued(const Result<Permit, Rejection>& place) {
  return place.has_value() && !place->held();
}

TEST(Bulkhead, HasTheDefaultsOfResilience4j) {
  const BulkheadConfig config;
  EXPECT_EQ(config.max_concurrent_calls, 25U);
  EXPECT_EQ(config.max_queued, 0U);
  EXPECT_EQ(config.max_wait_duration, 0ns);
  EXPECT_TRUE(config.validate().has_value());
}

TEST(Bulkhead, NamesTheBadField) {
  const auto refuses = [](const BulkheadConfig& config, const char* field) {
    const auto result = config.validate();
    return !result.has_value() && result.error().message().find(field) != std::string::npos;
  };
  EXPECT_TRUE(refuses({.max_concurrent_calls = 0}, "bulkhead.max_concurrent_calls"));
  EXPECT_TRUE(refuses({.max_queued = ~0U}, "bulkhead.max_queued"));
  EXPECT_TRUE(refuses({.max_wait_duration = -1ns}, "bulkhead.max_wait_duration"));
  EXPECT_TRUE(refuses({.max_wait_duration = 1ns}, "bulkhead.max_queued"));
}

TEST(Bulkhead, RefusesAboveItsMaximumAndAdmitsAgainAfterARelease) {
  Bulkhead bulkhead({.max_concurrent_calls = 2});
  auto first = bulkhead.try_acquire();
  auto second = bulkhead.try_acquire();
  ASSERT_TRUE(first.has_value() && second.has_value());
  const auto third = bulkhead.try_acquire();
  ASSERT_FALSE(third.has_value());
  EXPECT_EQ(third.error().kind, ErrorKind::BulkheadFull);
  EXPECT_FALSE(third.error().retry_after.has_value());
  first->release();
  first->release();  // Once is enough.
  EXPECT_EQ(bulkhead.metrics().in_use, 1U);
  EXPECT_TRUE(bulkhead.try_acquire().has_value());
}

TEST(Bulkhead, AMovedPermitGoesBackOnce) {
  Bulkhead bulkhead({.max_concurrent_calls = 2});
  {
    Permit first = bulkhead.try_acquire().value();
    Permit second = bulkhead.try_acquire().value();
    second = std::move(first);  // The second one goes back.
    EXPECT_EQ(bulkhead.metrics().in_use, 1U);
  }
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
}

TEST(Bulkhead, GrantsInTheOrderOfArrival) {
  Bulkhead bulkhead({.max_concurrent_calls = 1, .max_queued = 3});
  std::vector<int> order;
  Holder a(&order, 1);
  Holder b(&order, 2);
  Holder c(&order, 3);
  auto permit = bulkhead.try_acquire();
  ASSERT_TRUE(permit.has_value());
  for (Holder* waiter : {&a, &b, &c}) EXPECT_TRUE(is_queued(bulkhead.enqueue(*waiter)));
  permit->release();
  EXPECT_TRUE(bulkhead.cancel(b));
  EXPECT_FALSE(bulkhead.cancel(a));
  EXPECT_FALSE(bulkhead.try_acquire().has_value());  // Nobody overtakes c.
  a.drop();
  EXPECT_EQ(order, (std::vector<int>{1, 3}));
  c.drop();
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
}

TEST(Bulkhead, BoundsItsQueue) {
  Bulkhead bulkhead({.max_concurrent_calls = 1, .max_queued = 1});
  Holder a;
  Holder b;
  auto permit = bulkhead.try_acquire();
  ASSERT_TRUE(permit.has_value());
  EXPECT_TRUE(is_queued(bulkhead.enqueue(a)));
  EXPECT_FALSE(bulkhead.enqueue(b).has_value());
  EXPECT_TRUE(bulkhead.cancel(a));
  EXPECT_FALSE(bulkhead.cancel(a));
  EXPECT_TRUE(is_queued(bulkhead.enqueue(b)));
  permit->release();
  EXPECT_TRUE(b.holds());
}

TEST(Bulkhead, AWaiterWhoseTimeIsUpIsCountedAsTimedOut) {
  Bulkhead bulkhead({.max_concurrent_calls = 1, .max_queued = 1});
  int heard = 0;
  bulkhead.on_event([&](const BulkheadEvent& event) {
    heard += event.kind == BulkheadEvent::Kind::WaitTimedOut ? 1 : 0;
  });
  Holder waiter;
  const auto permit = bulkhead.try_acquire();
  EXPECT_TRUE(is_queued(bulkhead.enqueue(waiter)));
  EXPECT_TRUE(bulkhead.expire(waiter));
  EXPECT_FALSE(bulkhead.expire(waiter));
  EXPECT_EQ(heard, 1);
  EXPECT_EQ(bulkhead.metrics().timed_out, 1U);
}

TEST(Bulkhead, WaitsNoLongerThanItsMaximum) {
  ManualClock clock;
  Bulkhead bulkhead({.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = 3s}, clock);
  const auto permit = bulkhead.try_acquire();
  const auto waited = bulkhead.acquire();
  ASSERT_FALSE(waited.has_value());
  EXPECT_EQ(waited.error().kind(), ErrorKind::BulkheadFull);
  EXPECT_EQ(clock.now(), Instant{} + 3s);
  const auto hurried = bulkhead.acquire(CallContext{.deadline = clock.now() + 1s});
  EXPECT_FALSE(hurried.has_value());
  EXPECT_EQ(clock.now(), Instant{} + 4s);
  EXPECT_FALSE(bulkhead.acquire(CallContext{.deadline = clock.now()}).has_value());
  EXPECT_EQ(bulkhead.metrics().timed_out, 2U);
  EXPECT_EQ(bulkhead.metrics().rejected, 1U);
}

// Waiting on this clock runs a function of the test's instead, once.
class ScriptedClock final : public Clock {
 public:
  std::function<void()> while_waiting;

  Instant now() noexcept override { return Instant{}; }
  bool wait_until(Instant /*deadline*/, const std::stop_token& stop) override {
    if (while_waiting) std::exchange(while_waiting, nullptr)();
    return !stop.stop_requested();
  }
};

TEST(Bulkhead, ABlockedCallerGetsThePermitThatComesBack) {
  ScriptedClock clock;
  Bulkhead bulkhead({.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = 1h}, clock);
  auto permit = bulkhead.try_acquire();
  clock.while_waiting = [&] { permit->release(); };
  EXPECT_TRUE(bulkhead.acquire().has_value());
  EXPECT_EQ(bulkhead.metrics().queued, 1U);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
}

TEST(Bulkhead, ABlockedCallerThatIsStoppedLeavesTheQueue) {
  ScriptedClock clock;
  Bulkhead bulkhead({.max_concurrent_calls = 1, .max_queued = 1, .max_wait_duration = 1h}, clock);
  const auto permit = bulkhead.try_acquire();
  std::stop_source source;
  clock.while_waiting = [&] { source.request_stop(); };
  EXPECT_EQ(bulkhead.acquire(source.get_token()).error().kind(), ErrorKind::Cancelled);
  EXPECT_EQ(bulkhead.metrics().cancelled, 1U);
  EXPECT_EQ(bulkhead.metrics().waiting, 0U);
  EXPECT_EQ(bulkhead.acquire(source.get_token()).error().kind(), ErrorKind::Cancelled);
}

TEST(Bulkhead, ExecuteHoldsThePermitForTheCallOnly) {
  Bulkhead bulkhead({.max_concurrent_calls = 1});
  EXPECT_EQ(*bulkhead.execute([&] { return bulkhead.metrics().in_use; }), 1U);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
  const auto permit = bulkhead.try_acquire();
  EXPECT_EQ(bulkhead.execute([] {}).error().kind(), ErrorKind::BulkheadFull);
}

TEST(Bulkhead, TellsOfRefusals) {
  Bulkhead bulkhead({.max_concurrent_calls = 1});
  int heard = 0;
  bulkhead.on_event([&](const BulkheadEvent& event) {
    heard += event.kind == BulkheadEvent::Kind::Rejected ? 1 : 0;
  });
  const auto permit = bulkhead.try_acquire();
  EXPECT_FALSE(bulkhead.try_acquire().has_value());
  EXPECT_EQ(heard, 1);
}

// A bulkhead beside the obvious model of it: who is inside, and who stands in line.
class Doorman {
 public:
  static constexpr std::size_t kCallers = 8;

  explicit Doorman(const BulkheadConfig& config) : config_(config), bulkhead_(config) {}
  ~Doorman() {
    for (const std::size_t who : line_) bulkhead_.cancel(callers_[who]);
  }

  // Whoever is inside leaves, whoever is in line gives up if `impatient`, anyone else comes.
  void visit(std::size_t who, bool impatient) {
    if (std::erase(inside_, who) != 0) {
      leave(who);
    } else if (std::find(line_.begin(), line_.end(), who) == line_.end()) {
      come(who);
    } else if (impatient) {
      std::erase(line_, who);
      RC_ASSERT(bulkhead_.cancel(callers_[who]));
    }
  }

  void check() const {
    RC_ASSERT(bulkhead_.metrics().in_use == inside_.size());
    RC_ASSERT(bulkhead_.metrics().waiting == line_.size());
    for (const std::size_t who : inside_) RC_ASSERT(permits_[who].held() || callers_[who].holds());
  }

 private:
  void leave(std::size_t who) {
    if (!line_.empty()) {
      inside_.push_back(line_.front());
      line_.pop_front();
    }
    permits_[who].release();
    callers_[who].drop();
  }

  void come(std::size_t who) {
    auto place = bulkhead_.enqueue(callers_[who]);
    if (inside_.size() < config_.max_concurrent_calls) {
      RC_ASSERT(place.has_value() && place->held());
      permits_[who] = std::move(*place);
      inside_.push_back(who);
    } else if (line_.size() < config_.max_queued) {
      RC_ASSERT(is_queued(place));
      line_.push_back(who);
    } else {
      RC_ASSERT(!place.has_value());
    }
  }

  BulkheadConfig config_;
  Bulkhead bulkhead_;
  std::array<Holder, kCallers> callers_;
  std::array<Permit, kCallers> permits_;
  std::vector<std::size_t> inside_;
  std::deque<std::size_t> line_;
};

RC_GTEST_PROP(Bulkhead, BehavesLikeASetAndALine, ()) {
  Doorman doorman(
      {.max_concurrent_calls = *rc::gen::inRange(1U, 4U), .max_queued = *rc::gen::inRange(0U, 4U)});
  const auto visits = *rc::gen::container<std::vector<std::pair<std::size_t, bool>>>(rc::gen::pair(
      rc::gen::inRange<std::size_t>(0, Doorman::kCallers), rc::gen::arbitrary<bool>()));
  for (const auto& [who, impatient] : visits) {
    doorman.visit(who, impatient);
    doorman.check();
  }
}

// Counts who is inside and the most there ever were.
class Room {
 public:
  void enter() {
    const int now = inside_.fetch_add(1) + 1;
    int seen = most_.load();
    while (seen < now && !most_.compare_exchange_weak(seen, now)) {
    }
  }
  void leave() { inside_.fetch_sub(1); }
  int most() const { return most_.load(); }

 private:
  std::atomic<int> inside_{0};
  std::atomic<int> most_{0};
};

template <class Body>
void on_all_threads(const Body& body) {
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back([&body, i] { body(i); });
  for (std::thread& thread : threads) thread.join();
}

TEST(BulkheadStress, TryAcquireNeverExceedsTheMaximum) {
  constexpr int kAttempts = 5000;
  Bulkhead bulkhead({.max_concurrent_calls = 3});
  Room room;
  std::atomic<std::uint64_t> granted{0};
  std::atomic<std::uint64_t> rejected{0};
  on_all_threads([&](int) {
    for (int i = 0; i < kAttempts; ++i) {
      const auto permit = bulkhead.try_acquire();
      ++(permit ? granted : rejected);
      if (!permit) continue;
      room.enter();
      if (i % 16 == 0) std::this_thread::yield();
      room.leave();
    }
  });
  EXPECT_LE(room.most(), 3);
  EXPECT_EQ(granted + rejected, std::uint64_t{kThreads} * kAttempts);
  EXPECT_EQ(bulkhead.metrics().granted, granted);
  EXPECT_EQ(bulkhead.metrics().rejected, rejected);
  EXPECT_EQ(bulkhead.metrics().in_use, 0U);
}

// How attempts ended, over all threads.
struct Endings {
  std::atomic<std::uint64_t> at_once{0};
  std::atomic<std::uint64_t> later{0};
  std::atomic<std::uint64_t> cancelled{0};
  std::atomic<std::uint64_t> refused{0};

  std::uint64_t sum() const { return at_once + later + cancelled + refused; }
};

// One blocked attempt; another thread stops some of them at the same time.
void attempt_blocked(Bulkhead& bulkhead, Room& room, Endings& endings, bool stopped) {
  std::stop_source source;
  std::jthread stopper;
  if (stopped) stopper = std::jthread([&source] { source.request_stop(); });
  const auto permit = bulkhead.acquire(source.get_token());
  if (permit) {
    room.enter();
    std::this_thread::yield();
    room.leave();
    ++endings.at_once;
  } else {
    ++(permit.error().kind() == ErrorKind::Cancelled ? endings.cancelled : endings.refused);
  }
}

// Waits are so short that timeouts, stops and grants meet.
TEST(BulkheadStress, TimeoutsStopsAndGrantsAddUp) {
  constexpr int kAttempts = 400;
  Bulkhead bulkhead({.max_concurrent_calls = 2, .max_queued = 4, .max_wait_duration = 20us});
  Room room;
  Endings endings;
  on_all_threads([&](int thread) {
    for (int i = 0; i < kAttempts; ++i) attempt_blocked(bulkhead, room, endings, i % 8 == thread);
  });
  EXPECT_LE(room.most(), 2);
  EXPECT_EQ(endings.sum(), std::uint64_t{kThreads} * kAttempts);
  const BulkheadMetrics metrics = bulkhead.metrics();
  EXPECT_EQ(metrics.granted, endings.at_once);
  EXPECT_EQ(metrics.rejected + metrics.timed_out, endings.refused);
  EXPECT_EQ(metrics.in_use, 0U);
  EXPECT_EQ(metrics.waiting, 0U);
}

// A waiter in the style of an event loop: granted or cancelled, never both, never neither.
class RacingWaiter final : public Waiter {
 public:
  explicit RacingWaiter(Room& room) : room_(room) {}

  void granted(Permit permit) noexcept override {
    room_.enter();
    room_.leave();
    permit.release();
    grants.fetch_add(1);
  }

  std::atomic<int> grants{0};

 private:
  Room& room_;
};

// Cancels as soon as it is queued: the cancel races with a grant.
void attempt_queued(Bulkhead& bulkhead, Room& room, Endings& endings, bool hesitates) {
  RacingWaiter waiter(room);
  auto place = bulkhead.enqueue(waiter);
  int grants = 0;
  if (!place) {
    ++endings.refused;
  } else if (place->held()) {
    room.enter();
    if (hesitates) std::this_thread::yield();
    room.leave();
    place->release();
    ++endings.at_once;
  } else {
    if (hesitates) std::this_thread::yield();
    const bool cancelled = bulkhead.cancel(waiter);
    ++(cancelled ? endings.cancelled : endings.later);
    grants = cancelled ? 0 : 1;
  }
  while (waiter.grants.load() < grants) std::this_thread::yield();
  EXPECT_EQ(waiter.grants.load(), grants);
}

TEST(BulkheadStress, ACancelledWaiterIsNeverGrantedAndAnyOtherExactlyOnce) {
  constexpr int kAttempts = 4000;
  Bulkhead bulkhead({.max_concurrent_calls = 2, .max_queued = 5});
  Room room;
  Endings endings;
  on_all_threads([&](int thread) {
    Random random(static_cast<std::uint64_t>(thread));
    for (int i = 0; i < kAttempts; ++i) {
      attempt_queued(bulkhead, room, endings, random.next() % 2 == 0);
    }
  });
  EXPECT_LE(room.most(), 2);
  EXPECT_EQ(endings.sum(), std::uint64_t{kThreads} * kAttempts);
  const BulkheadMetrics metrics = bulkhead.metrics();
  EXPECT_EQ(metrics.granted, endings.at_once + endings.later);
  EXPECT_EQ(metrics.queued, endings.later + endings.cancelled);
  EXPECT_EQ(metrics.cancelled, endings.cancelled);
  EXPECT_EQ(metrics.rejected, endings.refused);
  EXPECT_EQ(metrics.in_use, 0U);
}

}  // namespace
}  // namespace recover::bulkhead
