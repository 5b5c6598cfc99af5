#include <gtest/gtest.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

#include <recover/event.h>

#include "test/on_threads.h"

namespace recover {
namespace {

TEST(ListenersTest, TellsEverybodyInTheOrderTheyCame) {
  Listeners<int> listeners;
  EXPECT_TRUE(listeners.empty());
  listeners.emit(1);  // Nobody.
  std::vector<int> heard;
  listeners.add([&](const int& event) { heard.push_back(event); });
  listeners.add([&](const int& event) { heard.push_back(10 * event); });
  EXPECT_FALSE(listeners.empty());
  listeners.emit(2);
  EXPECT_EQ(heard, (std::vector{2, 20}));
}

TEST(ListenersTest, AListenerMayAddAnotherWhichHearsTheNextEvent) {
  Listeners<int> listeners;
  std::vector<int> heard;
  bool added = false;
  listeners.add([&](const int&) {
    if (added) return;
    added = true;
    listeners.add([&](const int& event) { heard.push_back(event); });
  });
  listeners.emit(1);
  listeners.emit(2);
  EXPECT_EQ(heard, (std::vector{2}));
}

TEST(ListenersTest, AddingAnotherDoesNotCopyAListener) {
  Listeners<int> listeners;
  int calls = 0;
  listeners.add([&calls, mine = 0](const int&) mutable { calls = ++mine; });
  listeners.emit(1);
  listeners.add([](const int&) {});
  listeners.emit(2);
  EXPECT_EQ(calls, 2);
}

// ---- cancelling

TEST(SubscriptionTest, ACancelledListenerHearsNothingMore) {
  Listeners<int> listeners;
  std::vector<int> heard;
  Subscription first = listeners.add([&](const int& event) { heard.push_back(event); });
  Subscription second = listeners.add([&](const int& event) { heard.push_back(10 * event); });
  listeners.emit(1);
  EXPECT_TRUE(first.active());
  first.cancel();
  first.cancel();
  EXPECT_FALSE(first.active());
  EXPECT_TRUE(second.active());
  listeners.emit(2);
  EXPECT_EQ(heard, (std::vector{1, 10, 20}));
  second.cancel();
  EXPECT_TRUE(listeners.empty()) << "back to the cheap path";
  listeners.emit(3);
  EXPECT_EQ(heard.size(), 3U);
  listeners.add([&](const int& event) { heard.push_back(event); });
  listeners.emit(4);
  EXPECT_EQ(heard.back(), 4);
}

TEST(SubscriptionTest, CancellingDestroysWhatTheListenerOwns) {
  Listeners<int> listeners;
  auto owned = std::make_shared<int>(1);
  const std::weak_ptr<int> watch = owned;
  Subscription subscription = listeners.add([owned = std::move(owned)](const int&) {});
  EXPECT_FALSE(watch.expired());
  subscription.cancel();
  EXPECT_TRUE(watch.expired());
}

TEST(SubscriptionTest, MayOutliveThePolicy) {
  Subscription nothing;
  nothing.cancel_and_wait();
  EXPECT_FALSE(nothing.active());
  Subscription subscription;
  {
    Listeners<int> listeners;
    subscription = listeners.add([](const int&) {});
    EXPECT_TRUE(subscription.active());
  }
  EXPECT_FALSE(subscription.active());
  subscription.cancel();
  subscription.cancel_and_wait();
}

TEST(SubscriptionTest, AListenerMayCancelItselfAndOneThatIsYetToHearTheSameEvent) {
  Listeners<int> listeners;
  std::vector<int> heard;
  Subscription self;
  Subscription later;
  self = listeners.add([&](const int& event) {
    heard.push_back(event);
    self.cancel_and_wait();  // Would wait for itself.
    later.cancel_and_wait();
  });
  later = listeners.add([&](const int& event) { heard.push_back(10 * event); });
  listeners.emit(1);
  listeners.emit(2);
  EXPECT_EQ(heard, (std::vector{1}));
}

TEST(SubscriptionTest, AnEventCausedByAListenerIsNoReasonToWait) {
  Listeners<int> inner;
  Listeners<int> outer;
  Subscription self = outer.add([&](const int& event) { inner.emit(event); });
  int heard = 0;
  inner.add([&](const int&) {
    ++heard;
    self.cancel_and_wait();  // This thread is in it, one call further out.
  });
  outer.emit(1);
  outer.emit(2);
  EXPECT_EQ(heard, 1);
}

TEST(SubscriptionTest, AScopeEndsASubscription) {
  Listeners<int> listeners;
  int heard = 0;
  const auto hear = [&](const int&) { ++heard; };
  ScopedSubscription kept;
  {
    ScopedSubscription moved = listeners.add(hear);
    const ScopedSubscription ended = listeners.add(hear);
    listeners.emit(1);
    kept = std::move(moved);
  }
  EXPECT_EQ(heard, 2);
  listeners.emit(2);
  EXPECT_EQ(heard, 3);
  kept = ScopedSubscription();
  EXPECT_TRUE(listeners.empty());
}

// ---- exceptions

TEST(ListenersTest, AListenerThatThrowsBreaksNothingAndIsCounted) {
  Listeners<int> listeners;
  std::vector<int> heard;
  const Subscription broken = listeners.add([](const int& event) {
    if (event == 2) throw std::runtime_error("no");
    throw 7;
  });
  const Subscription sound = listeners.add([&](const int& event) { heard.push_back(event); });
  listeners.emit(1);
  listeners.emit(2);
  EXPECT_EQ(heard, (std::vector{1, 2}));
  EXPECT_EQ(broken.errors(), 2U);
  EXPECT_EQ(sound.errors(), 0U);
  EXPECT_EQ(listeners.errors(), 2U);
}

// ---- many threads

TEST(ListenersStress, AddingAndEmittingMix) {
  constexpr unsigned kThreads = 8;
  constexpr int kEvents = 500;
  Listeners<int> listeners;
  std::atomic<int> heard{0};
  listeners.add([&](const int&) { heard.fetch_add(1); });
  const auto nothing = [](const int&) {};
  test::on_threads(kThreads, [&](unsigned) {
    for (int i = 0; i < kEvents; ++i) {
      if (i % 100 == 0) listeners.add(nothing);
      listeners.emit(i);
    }
  });
  EXPECT_EQ(heard.load(), static_cast<int>(kThreads) * kEvents);
}

// The two ends of a delivery on another thread: cancel() returns in the middle of it,
// cancel_and_wait() after it.
TEST(SubscriptionThreads, OnlyCancelAndWaitWaitsForADeliveryUnderWay) {
  Listeners<int> listeners;
  std::atomic<int> stage{0};
  Subscription subscription = listeners.add([&](const int&) {
    stage.store(1);
    stage.notify_all();
    stage.wait(1);
    stage.store(3);
  });
  std::jthread emitter([&] { listeners.emit(1); });
  stage.wait(0);
  subscription.cancel();
  EXPECT_EQ(stage.load(), 1);
  std::jthread releaser([&] {
    std::this_thread::yield();
    stage.store(2);
    stage.notify_all();
  });
  subscription.cancel_and_wait();
  EXPECT_EQ(stage.load(), 3);
}

// `strays` counts the calls of the listener outside the scope of its subscription.
void subscribe_for_a_scope(Listeners<int>& listeners, std::atomic<std::uint64_t>& strays) {
  std::atomic<bool> alive{true};
  const auto hear = [&](const int&) { strays.fetch_add(alive.load() ? 0 : 1); };
  {
    const ScopedSubscription subscription = listeners.add(hear);
    std::this_thread::yield();
  }
  alive.store(false);
}

// A listener that refers to a scope is never called outside it.
TEST(SubscriptionStress, NobodyIsToldOutsideTheScope) {
  constexpr unsigned kThreads = 4;
  Listeners<int> listeners;
  std::atomic<unsigned> subscribing{kThreads};
  std::atomic<std::uint64_t> strays{0};
  test::on_threads(2 * kThreads, [&](unsigned thread) {
    if (thread < kThreads) {
      for (int i = 0; i < 300; ++i) subscribe_for_a_scope(listeners, strays);
      subscribing.fetch_sub(1);
    }
    while (subscribing.load() > 0) listeners.emit(1);
  });
  EXPECT_EQ(strays.load(), 0U);
  EXPECT_TRUE(listeners.empty());
}

}  // namespace
}  // namespace recover
