// The lock-free windows: the same numbers as Window on one thread, exact sums on many.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include <recover/atomic_window.h>
#include <recover/sliding_window.h>

#include "test/fuzz/breaker_script.h"
#include "test/on_threads.h"

namespace recover::circuitbreaker {

// Stands for threads that were stopped in record(), after they had taken their ticket and before
// they left the word: the slot then still holds what it held before.
class AtomicCountWindowPeer {
 public:
  static std::atomic<std::uint64_t>& slot(AtomicCountWindow& window, std::uint64_t ticket) {
    return window.slot_of(ticket);
  }
};

namespace {

using namespace std::chrono_literals;
using test::on_threads;

constexpr Instant kStart{Duration{1'000'003'000'000}};
constexpr unsigned kThreads = 8;

// The first that is not kept as bits: what follows of stopped threads is about those.
constexpr std::uint32_t kSmallestOfSums = AtomicCountWindow::kBitsMax + 1;

// A returned total: slow_failed is not kept where it decides nothing.
bool agree(const std::optional<Counts>& seen, const Counts& wanted) {
  return seen && seen->total == wanted.total && seen->failed == wanted.failed &&
         seen->slow == wanted.slow;
}

RC_GTEST_PROP(AtomicCountWindowProperty, IsTheWindow, ()) {
  const auto size =
      *rc::gen::element<std::uint32_t>(1, 2, 3, 8, AtomicCountWindow::kBitsMax,
                                       AtomicCountWindow::kBitsMax + 1, 100, kWindowSizeMax);
  // Several windowfuls, so that the ring wraps.
  const auto outcomes = *rc::gen::container<std::vector<std::uint8_t>>(
      3U * std::min(size, 200U) + 5, rc::gen::inRange<std::uint8_t>(0, 128));
  Window wanted({.size = size}, Boundary::Inclusive, kStart);
  AtomicCountWindow window(size);
  std::uint64_t generation = 1;
  window.restart(generation);
  for (const std::uint8_t bits : outcomes) {
    if (bits == 127) {
      window.restart(++generation);
      wanted.reset(kStart);
    }
    const Counts outcome = single((bits & 1U) != 0, (bits & 6U) == 0);
    wanted.record(outcome, kStart);
    RC_ASSERT(
        agree(window.record(generation, outcome.failed != 0, outcome.slow != 0), wanted.totals()));
    RC_ASSERT(window.counts() == wanted.totals());
    RC_ASSERT(!window.record(generation - 1, true, true).has_value());
  }
}

RC_GTEST_PROP(AtomicTimeWindowProperty, IsTheWindow, ()) {
  const auto bytes = *rc::gen::resize(600, rc::gen::arbitrary<std::vector<std::uint8_t>>());
  Script script(bytes.data(), bytes.size());
  SlidingWindow config = read_window(script);
  config.kind = WindowKind::Time;
  if (config.alignment == Alignment::Event) config.alignment = Alignment::Epoch;
  Window wanted(config, Boundary::Inclusive, kStart);
  AtomicTimeWindow window(config, kStart);
  std::uint64_t generation = 1;
  for (Instant now = kStart; !script.done();) {
    const Step step = read_step(script);
    if (step.kind == Step::Kind::Advance) now += step.advance;
    if (step.kind == Step::Kind::Reset) {
      window.restart(++generation, now);
      wanted.reset(now);
    }
    const Counts outcome = single(step.outcome == Outcome::Failure, step.elapsed > 0ns);
    wanted.record(outcome, now);
    RC_ASSERT(agree(window.record(generation, outcome.failed != 0, outcome.slow != 0, now),
                    wanted.totals()));
    RC_ASSERT(window.counts(now) == wanted.totals());
    RC_ASSERT(!window.record(generation + 1, true, true, now).has_value());
  }
}

// The ticket and the sums are modular; a window must not notice when they wrap.
TEST(AtomicCountWindowTest, OutlivesTheWidthOfItsTicket) {
  constexpr std::uint64_t kRecords = (1U << 21U) + 1000;
  AtomicCountWindow window(kSmallestOfSums);
  window.restart(1);
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    const std::optional<Counts> counts = window.record(1, i % kSmallestOfSums == 0, true);
    ASSERT_TRUE(counts.has_value());
    if (i + 1 < kSmallestOfSums) continue;
    ASSERT_EQ(counts->failed, 1U) << i;
    ASSERT_EQ(counts->slow, kSmallestOfSums) << i;
  }
}

TEST(AtomicCountWindowTest, TheLargestWindowHoldsNothingButFailures) {
  AtomicCountWindow window(kWindowSizeMax);
  window.restart(1);
  std::optional<Counts> counts;
  for (std::uint32_t i = 0; i < 2 * kWindowSizeMax; ++i) counts = window.record(1, true, false);
  EXPECT_EQ(counts->failed, kWindowSizeMax);
  EXPECT_EQ(counts->total, kWindowSizeMax);
}

using Peer = AtomicCountWindowPeer;

// Records one outcome as the stopped thread of `ticket` would.
void record_and_stop(AtomicCountWindow& window, std::uint64_t generation, std::uint64_t ticket,
                     bool failed) {
  const std::uint64_t before = Peer::slot(window, ticket).load();
  ASSERT_TRUE(window.record(generation, failed, false).has_value());
  Peer::slot(window, ticket).store(before);
}

// The slot has the right ticket, but is of the generation before: its sums are of other outcomes.
TEST(AtomicCountWindowTest, DoesNotTakeAWordOfTheGenerationBefore) {
  constexpr std::uint32_t kSize = kSmallestOfSums;
  AtomicCountWindow window(kSize);
  window.restart(1);
  for (std::uint32_t i = 0; i <= kSize; ++i) window.record(1, true, true);
  window.restart(2);
  window.record(2, false, false);
  record_and_stop(window, 2, 1, true);
  for (std::uint32_t i = 2; i < kSize; ++i) window.record(2, false, false);
  EXPECT_EQ(window.counts(), (Counts{.total = kSize, .failed = 1}));
  EXPECT_TRUE(agree(window.record(2, false, false), {.total = kSize, .failed = 1}))
      << "from ticket 1";
  EXPECT_TRUE(agree(window.record(2, false, false), {.total = kSize}));
}

// A window of failures; the threads of the tickets from 1 on are stopped, so many of them.
void fill_with_stopped(AtomicCountWindow& window, std::uint64_t stopped) {
  window.restart(1);
  window.record(1, true, false);
  for (std::uint64_t i = 0; i < stopped; ++i) record_and_stop(window, 1, 1 + i, true);
  for (std::uint64_t i = 1 + stopped; i < kSmallestOfSums; ++i) window.record(1, true, false);
}

// The outcomes of up to two stopped threads in a row are known from the words after theirs; of more
// the older ones count as neither failed nor slow. Each missing word tells of two outcomes, that
// before it and that after it.
TEST(AtomicCountWindowTest, StoppedThreadsHideNothingUnlessThreeAreInARow) {
  constexpr std::uint64_t kStoppedMax = 5;
  for (std::uint64_t stopped = 0; stopped <= kStoppedMax; ++stopped) {
    constexpr std::uint64_t kSize = kSmallestOfSums;
    AtomicCountWindow window(kSize);
    fill_with_stopped(window, stopped);
    const std::uint64_t hidden = stopped <= 2 ? 0 : stopped - 1;
    EXPECT_EQ(window.counts(), (Counts{.total = kSize, .failed = kSize - hidden}));
    const std::uint64_t out_of_reach = stopped <= 2 ? 0 : stopped;
    EXPECT_TRUE(agree(window.record(1, false, false),
                      {.total = kSize, .failed = kSize - 1 - out_of_reach}));
  }
}

// In a small window three are in a row soon, on a busy machine: threads that were stopped before a
// restart wake up after it and leave their old words where new ones were.
TEST(AtomicCountWindowTest, StragglersOfTheGenerationBeforeHideNothingOfASmallWindow) {
  for (const std::uint32_t size : {1U, 2U, 3U, 4U, 7U, AtomicCountWindow::kBitsMax}) {
    AtomicCountWindow window(size);
    window.restart(1);
    std::vector<std::uint64_t> words;
    for (std::uint64_t ticket = 0; ticket < size; ++ticket) {
      window.record(1, false, false);
      words.push_back(Peer::slot(window, ticket).load());
    }
    window.restart(2);
    for (std::uint64_t ticket = 0; ticket < size; ++ticket) {
      window.record(2, true, false);
      Peer::slot(window, ticket).store(words[ticket]);
    }
    EXPECT_EQ(window.counts(), (Counts{.total = size, .failed = size}));
    EXPECT_TRUE(agree(window.record(2, true, false), {.total = size, .failed = size})) << size;
  }
}

// All recorders went on for a whole ring while counts() looked: no word it looks for is there. When
// it looked for each anew, one reading took 33 million steps: so many readings would never end.
TEST(AtomicCountWindowTest, CountsInOnePassHoweverManyWordsAreMissing) {
  constexpr int kReadings = 1'000;
  AtomicCountWindow window(kWindowSizeMax);
  window.restart(1);
  for (std::uint64_t ticket = 0; ticket < kWindowSizeMax; ++ticket) {
    record_and_stop(window, 1, ticket, true);
  }
  for (int i = 0; i < kReadings; ++i) {
    EXPECT_EQ(window.counts(), (Counts{.total = kWindowSizeMax, .failed = 2}));
  }
}

TEST(AtomicTimeWindowTest, OneClockMayLagBehindAnother) {
  AtomicTimeWindow window({.kind = WindowKind::Time, .duration = 3s, .bucket = 1s}, kStart);
  EXPECT_EQ(window.record(1, true, false, kStart + 2s)->failed, 1U);
  EXPECT_EQ(window.record(1, true, false, kStart)->failed, 2U) << "counts in the newest bucket";
}

TEST(AtomicTimeWindowTest, OutlivesManyBuckets) {
  AtomicTimeWindow window({.kind = WindowKind::Time, .duration = 5s, .bucket = 1s}, kStart);
  for (int i = 0; i < 5000; ++i) {
    const std::optional<Counts> counts = window.record(1, true, true, kStart + i * 1s);
    ASSERT_EQ(counts->failed, static_cast<std::uint64_t>(std::min(i + 1, 5)));
    ASSERT_EQ(counts->slow, counts->failed);
  }
}

// ---- many threads

// With every outcome a failure, what a recorder gets back tells which place it took.
void take_places(AtomicCountWindow& window, std::vector<std::atomic<unsigned>>& places,
                 unsigned records) {
  for (unsigned i = 0; i < records; ++i) {
    const std::optional<Counts> counts = window.record(1, true, i % 2 == 0);
    ASSERT_TRUE(counts.has_value());
    ASSERT_LT(counts->total, places.size());
    ASSERT_EQ(counts->failed, counts->total);
    ASSERT_LE(counts->slow, counts->total);
    places[counts->total].fetch_add(1);
  }
}

// Nobody may skip a place or share one until the window is full, and after that all are failures.
TEST(AtomicCountWindowStress, EveryOutcomeTakesItsOwnPlace) {
  for (const std::uint32_t size : {1U, 2U, 3U, 7U, 100U}) {
    // Long enough for threads to be overtaken in the middle of record().
    const unsigned records = size == 100 ? 200'000 : 10'000;
    AtomicCountWindow window(size);
    window.restart(1);
    std::vector<std::atomic<unsigned>> places(size + 1);
    on_threads(kThreads, [&](unsigned) { take_places(window, places, records); });
    for (std::uint32_t place = 1; place < size; ++place) EXPECT_EQ(places[place].load(), 1U);
    EXPECT_EQ(places[size].load(), kThreads * records - (size - 1));
    EXPECT_EQ(window.counts().failed, size);
  }
}

// Each outcome is either failed or slow.
void record_one_kind(AtomicCountWindow& window, bool failed) {
  for (unsigned i = 0; i < 10'000; ++i) {
    const std::optional<Counts> counts = window.record(1, failed, !failed);
    ASSERT_TRUE(counts.has_value());
    ASSERT_EQ(counts->failed + counts->slow, counts->total);
    ASSERT_GE(failed ? counts->failed : counts->slow, 1U) << "its own outcome is in it";
  }
}

// Four threads only fail and four only succeed: the sums of what enters a window and of what leaves
// it must stay in step, or `failed` would drift out of the window.
TEST(AtomicCountWindowStress, SumsStayInTheWindow) {
  for (const std::uint32_t size : {1U, 2U, 3U, 7U, 100U}) {
    AtomicCountWindow window(size);
    window.restart(1);
    on_threads(kThreads, [&](unsigned thread) { record_one_kind(window, thread % 2 == 0); });
    const Counts counts = window.counts();
    EXPECT_EQ(counts.failed + counts.slow, size);
    EXPECT_EQ(counts.slow_failed, 0U);
  }
}

// Odd generations fail and even ones succeed. `record` and `restart` work on the window with a
// generation; one thread restarts when `total` outcomes are in.
template <class Record, class Restart>
void expect_nothing_left_behind(std::uint64_t generations, std::uint64_t total, Record record,
                                Restart restart) {
  std::atomic<std::uint64_t> generation{1};
  on_threads(kThreads, [&](unsigned thread) {
    for (std::uint64_t mine = 1; mine < generations; mine = generation.load()) {
      const Counts counts = record(mine).value_or(Counts{});
      EXPECT_EQ(counts.failed, mine % 2 == 1 ? counts.total : 0);
      if (thread != 0 || counts.total < total) continue;
      restart(mine + 1);
      generation.store(mine + 1);
    }
  });
}

// While the window is restarted all the time, nothing of one generation shows up in another.
TEST(AtomicCountWindowStress, RestartLeavesNothingBehind) {
  for (const std::uint32_t size : {1U, 2U, 3U, 4U, 5U, 7U, 16U}) {
    AtomicCountWindow window(size);
    window.restart(1);
    expect_nothing_left_behind(
        8'000, size, [&](std::uint64_t mine) { return window.record(mine, mine % 2 == 1, false); },
        [&](std::uint64_t next) { window.restart(next); });
  }
}

TEST(AtomicTimeWindowStress, RestartLeavesNothingBehind) {
  AtomicTimeWindow window({.kind = WindowKind::Time, .duration = 2s, .bucket = 1s}, kStart);
  const auto time_of = [](std::uint64_t generation) {
    return kStart + static_cast<std::int64_t>(generation / 3) * 1s;
  };
  expect_nothing_left_behind(
      2'000, 10,
      [&](std::uint64_t mine) { return window.record(mine, mine % 2 == 1, false, time_of(mine)); },
      [&](std::uint64_t next) { window.restart(next, time_of(next)); });
}

constexpr std::uint64_t kRecords = 10'000;

// A quarter of the threads fail slowly, a quarter fail, half succeed; the first one moves the
// clock.
void record_while_time_moves(AtomicTimeWindow& window, ManualClock& clock, unsigned thread) {
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    if (i % 128 == 0 && thread == 0) clock.advance(1s);
    const std::optional<Counts> counts =
        window.record(1, thread % 2 == 0, thread % 4 == 0, clock.now());
    ASSERT_TRUE(counts.has_value());
    ASSERT_LE(counts->failed, counts->total);
    ASSERT_LE(counts->slow, counts->total);
  }
}

// Time moves while all threads record: the sum over all buckets loses nothing.
TEST(AtomicTimeWindowStress, LosesNothing) {
  ManualClock clock(kStart);
  const SlidingWindow config{.kind = WindowKind::Time, .duration = 1000s, .bucket = 1s};
  AtomicTimeWindow window(config, kStart);
  on_threads(kThreads, [&](unsigned thread) { record_while_time_moves(window, clock, thread); });
  const Counts counts = window.counts(clock.now());
  EXPECT_EQ(counts, (Counts{.total = kThreads * kRecords,
                            .failed = kThreads * kRecords / 2,
                            .slow = kThreads * kRecords / 4,
                            .slow_failed = kThreads * kRecords / 4}));
  // What the newest bucket believes of those before it.
  EXPECT_EQ(window.record(1, false, false, clock.now())->slow, counts.slow);
}

void record_over_many_buckets(AtomicTimeWindow& window, ManualClock& clock) {
  for (std::uint64_t i = 0; i < kRecords; ++i) {
    if (i % 3 == 0) clock.advance(1ns);
    const std::optional<Counts> counts = window.record(1, true, false, clock.now());
    ASSERT_TRUE(counts.has_value());
    ASSERT_EQ(counts->failed, counts->total);
    ASSERT_GE(counts->total, 1U);
  }
}

// A bucket lasts so short that most outcomes open one.
TEST(AtomicTimeWindowStress, RollsOverAndOver) {
  ManualClock clock(kStart);
  const SlidingWindow config{.kind = WindowKind::Time, .duration = 4ns, .bucket = 1ns};
  AtomicTimeWindow window(config, kStart);
  on_threads(kThreads, [&](unsigned) { record_over_many_buckets(window, clock); });
  EXPECT_EQ(window.counts(clock.now() + 4ns), Counts{});
}

}  // namespace
}  // namespace recover::circuitbreaker
