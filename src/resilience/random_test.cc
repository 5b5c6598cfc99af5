#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include <recover/random.h>
#include <recover/shared_random.h>

namespace recover {
namespace {

// The reference implementation's first outputs for seed 1234567 (prng.di.unimi.it/splitmix64.c).
TEST(Random, IsSplitMix64) {
  Random random(1234567);
  for (const std::uint64_t expected : std::array<std::uint64_t, 5>{
           6457827717110365317U, 3203168211198807973U, 9817491932198370423U, 4593380528125082431U,
           16408922859458223821U}) {
    EXPECT_EQ(random.next(), expected);
  }
}

TEST(Random, UnitStaysBelowOne) {
  EXPECT_EQ(Random::to_unit(0), 0.0);
  EXPECT_LT(Random::to_unit(~std::uint64_t{0}), 1.0);
  Random random(1);
  double sum = 0.0;
  for (int i = 0; i < 10'000; ++i) sum += random.unit();
  EXPECT_NEAR(sum / 10'000, 0.5, 0.02);
}

TEST(SharedRandom, DrawsTheSequenceOfItsSeed) {
  Random model(42);
  SharedRandom shared(42);
  for (int i = 0; i < 100; ++i) EXPECT_EQ(shared.unit(), model.unit());
}

void fill(std::span<double> drawn, SharedRandom& random) {
  std::ranges::generate(drawn, [&random] { return random.unit(); });
}

TEST(SharedRandomStress, ThreadsShareOneSequenceWithoutRepeats) {
  constexpr std::size_t kThreads = 8;
  constexpr std::size_t kDraws = 1'000;
  SharedRandom shared(7);
  std::vector<double> drawn(kThreads * kDraws);
  std::vector<std::jthread> threads;
  for (std::size_t t = 0; t < kThreads; ++t) {
    threads.emplace_back(
        [&shared, mine = std::span(drawn).subspan(t * kDraws, kDraws)] { fill(mine, shared); });
  }
  threads.clear();  // Joins.

  Random model(7);
  std::vector<double> expected(drawn.size());
  std::ranges::generate(expected, [&model] { return model.unit(); });
  std::ranges::sort(drawn);
  std::ranges::sort(expected);
  EXPECT_EQ(drawn, expected);
}

TEST(SharedRandom, WithoutASeedTwoDiffer) {
  EXPECT_NE(SharedRandom(std::nullopt).unit(), SharedRandom(std::nullopt).unit());
}

}  // namespace
}  // namespace recover
