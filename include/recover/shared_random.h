// One seeded random sequence drawn from by many threads, without a lock.
//
// Each draw takes the next element of the SplitMix64 sequence: concurrent draws differ, and a run
// on one thread repeats exactly. Not for secrets.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>

#include <recover/random.h>

namespace recover {

// From the system's entropy, so that clients started together do not jitter in step.
std::uint64_t entropy_seed();
// What every config means by its `seed`.
inline std::uint64_t seed_or_entropy(std::optional<std::uint64_t> seed) {
  return seed ? *seed : entropy_seed();
}

class SharedRandom {
 public:
  // Without a seed, takes entropy_seed().
  explicit SharedRandom(std::optional<std::uint64_t> seed) : state_(seed_or_entropy(seed)) {}

  // Uniform in [0, 1). Any thread.
  double unit() noexcept {
    const std::uint64_t before = state_.fetch_add(kStride, std::memory_order_relaxed);
    return Random(before).unit();
  }

 private:
  static constexpr std::uint64_t kStride = 0x9e3779b97f4a7c15U;  // Random::next()'s.

  std::atomic<std::uint64_t> state_;
};

}  // namespace recover
