// Every kind of window against a list of all outcomes, and the boundaries by hand.
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <cstdint>
#include <vector>

#include <recover/sliding_window.h>

#include "test/fuzz/breaker_script.h"
#include "test/outcome_list.h"

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

constexpr Instant kStart{Duration{1'000'003'000'000}};
constexpr Counts kFailure = single(true, false);

Counts totals_at(Window& window, Instant now) {
  window.advance(now);
  return window.totals();
}

TEST(WindowTest, CountKeepsTheLastOutcomes) {
  Window window({.size = 3}, Boundary::Inclusive, kStart);
  window.record(kFailure, kStart);
  window.record(single(true, true), kStart);
  window.record(single(false, true), kStart);
  EXPECT_EQ(window.totals(), (Counts{.total = 3, .failed = 2, .slow = 2, .slow_failed = 1}));
  window.record(single(false, false), kStart);
  EXPECT_EQ(window.totals(), (Counts{.total = 3, .failed = 1, .slow = 2, .slow_failed = 1}));
  window.reset(kStart);
  EXPECT_EQ(window.totals(), Counts{});
}

TEST(WindowTest, EpochBucketsFollowTheClock) {
  const SlidingWindow config{.kind = WindowKind::Time, .duration = 3s, .bucket = 1s};
  const Instant start{100s + 900ms};
  Window window(config, Boundary::Inclusive, start);
  window.record(kFailure, start);  // Bucket 100, in the window of buckets 100 to 102.
  EXPECT_EQ(totals_at(window, Instant{103s - 1ns}).failed, 1U);
  EXPECT_EQ(totals_at(window, Instant{103s}).failed, 0U);
}

TEST(WindowTest, EntryBucketsFollowTheState) {
  const SlidingWindow config{
      .kind = WindowKind::Time, .duration = 3s, .bucket = 1s, .alignment = Alignment::StateEntry};
  const Instant start{100s + 900ms};
  Window window(config, Boundary::Inclusive, start);
  window.record(kFailure, start + 999ms);
  EXPECT_EQ(totals_at(window, start + 3s - 1ns).failed, 1U);
  EXPECT_EQ(totals_at(window, start + 3s).failed, 0U);
}

TEST(WindowTest, BucketsBeforeTheEpochAreFlooredToo) {
  Window window({.kind = WindowKind::Time, .duration = 2s, .bucket = 1s}, Boundary::Inclusive,
                Instant{-1500ms});
  window.record(kFailure, Instant{-1500ms});  // Bucket -2.
  EXPECT_EQ(totals_at(window, Instant{-1ns}).failed, 1U);
  EXPECT_EQ(totals_at(window, Instant{0s}).failed, 0U);
}

TEST(WindowTest, NoneForgetsNothing) {
  Window window({.kind = WindowKind::None}, Boundary::Inclusive, kStart);
  for (int i = 0; i < 20'000; ++i) window.record(kFailure, kStart + i * 1h);
  EXPECT_EQ(window.totals().failed, 20'000U);
}

// Random outcomes, readings and waits: whatever the window, it is the sum of the list.
RC_GTEST_PROP(WindowProperty, IsTheSumOfTheList, (const std::vector<std::uint8_t>& bytes)) {
  Script script(bytes.data(), bytes.size());
  const SlidingWindow config = read_window(script);
  const Boundary boundary = script.pick({Boundary::Inclusive, Boundary::Exclusive});
  Window window(config, boundary, kStart);
  OutcomeList list(config, boundary, kStart);
  for (Instant now = kStart; !script.done();) {
    const Step step = read_step(script);
    if (step.kind == Step::Kind::Acquire || step.kind == Step::Kind::Finish) {
      const Counts outcome = single(step.outcome == Outcome::Failure, step.elapsed > 10ms);
      window.record(outcome, now);
      list.add(outcome, now);
    } else if (step.kind == Step::Kind::Reset) {
      window.reset(now);
      list.restart(now);
    } else if (step.kind == Step::Kind::Advance) {
      now += step.advance;
    } else {
      RC_ASSERT(window.advance(now) == list.touch(now));
    }
    RC_ASSERT(window.totals() == list.totals());
  }
}

}  // namespace
}  // namespace recover::circuitbreaker
