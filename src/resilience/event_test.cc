#include <gtest/gtest.h>

#include <atomic>
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

}  // namespace
}  // namespace recover
