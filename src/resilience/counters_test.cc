// Counters lose nothing: on one thread, on more threads than there are lines, on threads that come
// and go, and in the destructors of thread-local objects.
#include <gtest/gtest.h>

#include <barrier>
#include <cstdint>
#include <thread>
#include <vector>

#include <recover/counters.h>

#include "test/on_threads.h"

namespace recover {
namespace {

using test::on_threads;

enum class Fruit : std::uint8_t { Apple, Pear, Count };

TEST(CountersTest, KeysAreIndependent) {
  Counters<Fruit> counters;
  counters.add(Fruit::Apple);
  counters.add(Fruit::Apple, 41);
  counters.add(Fruit::Pear, 7);
  EXPECT_EQ(counters.value(Fruit::Apple), 42U);
  EXPECT_EQ(counters.value(Fruit::Pear), 7U);
}

TEST(CountersTest, InstancesAreIndependent) {
  Counters<Fruit> first;
  const Counters<Fruit> second;
  first.add(Fruit::Apple);
  EXPECT_EQ(second.value(Fruit::Apple), 0U);
}

TEST(CountersStress, MoreThreadsThanLinesAreExact) {
  constexpr unsigned kThreads = kThreadSlots + 8;
  constexpr unsigned kAdds = 1'000'000;
  Counters<Fruit> counters;
  std::barrier everybody_has_a_line(kThreads);
  on_threads(kThreads, [&](unsigned index) {
    const Fruit fruit = index % 2 == 0 ? Fruit::Apple : Fruit::Pear;
    counters.add(fruit);
    everybody_has_a_line.arrive_and_wait();
    for (unsigned i = 1; i < kAdds; ++i) counters.add(fruit);
  });
  EXPECT_EQ(counters.value(Fruit::Apple), kThreads / 2 * kAdds);
  EXPECT_EQ(counters.value(Fruit::Pear), kThreads / 2 * kAdds);
}

// A thread inherits the line of one that ended, with what it had counted.
TEST(CountersStress, ThreadsThatComeAndGoAreExact) {
  constexpr unsigned kRounds = 50;
  Counters<Fruit> counters;
  for (unsigned round = 0; round < kRounds; ++round) {
    on_threads(20, [&](unsigned) {
      for (int i = 0; i < 100; ++i) counters.add(Fruit::Apple);
    });
  }
  EXPECT_EQ(counters.value(Fruit::Apple), kRounds * 20 * 100);
}

void expect_risen(const Counters<Fruit>& counters, std::uint64_t& last) {
  const std::uint64_t now = counters.value(Fruit::Pear);
  EXPECT_GE(now, last);
  last = now;
}

// A reader sees some value between what was finished before it began and what was begun before it
// ended; here: never less than it saw before.
TEST(CountersStress, ValuesOnlyRise) {
  Counters<Fruit> counters;
  std::uint64_t last = 0;
  on_threads(4, [&](unsigned index) {
    for (int i = 0; i < 5'000; ++i) {
      index == 0 ? expect_risen(counters, last) : counters.add(Fruit::Pear);
    }
  });
  EXPECT_EQ(counters.value(Fruit::Pear), 15'000U);
}

// Counts when its thread ends, after the thread's line was given back or before.
struct LastWord {
  Counters<Fruit>* counters = nullptr;
  ~LastWord() {
    if (counters != nullptr) counters->add(Fruit::Pear);
  }
};

TEST(CountersStress, DestructorsOfThreadLocalsCount) {
  constexpr unsigned kThreads = 64;
  Counters<Fruit> counters;
  std::vector<std::jthread> threads;
  for (unsigned i = 0; i < kThreads; ++i) {
    threads.emplace_back([&counters, i] {
      if (i % 2 == 0) counters.add(Fruit::Apple);  // The line's owner is destroyed last, or first.
      thread_local LastWord last_word;
      last_word.counters = &counters;
      if (i % 2 == 1) counters.add(Fruit::Apple);
    });
  }
  threads.clear();
  EXPECT_EQ(counters.value(Fruit::Apple), kThreads);
  EXPECT_EQ(counters.value(Fruit::Pear), kThreads);
}

}  // namespace
}  // namespace recover
