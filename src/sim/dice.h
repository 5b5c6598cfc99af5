// Chance, from one seed: the only source of it in a simulated history.
#pragma once

#include <cstdint>

#include <recover/random.h>
#include <recover/time.h>

namespace recover::sim {

class Dice {
 public:
  explicit Dice(std::uint64_t seed) : random_(seed) {}

  // Uniform in [0, sides). REQUIRES: sides > 0.
  std::uint32_t roll(std::uint32_t sides) {
    return static_cast<std::uint32_t>((random_.next() >> 11U) % sides);
  }
  std::uint32_t between(std::uint32_t low, std::uint32_t high) {
    return low + roll(high - low + 1);
  }
  bool percent(std::uint32_t chance) { return roll(100) < chance; }
  // Uniform over whole microseconds in [low, high].
  Duration pause(Duration low, Duration high) {
    const auto span = static_cast<std::uint64_t>((high - low).count() / 1'000) + 1;
    return low + Duration{static_cast<std::int64_t>((random_.next() >> 11U) % span) * 1'000};
  }

 private:
  Random random_;
};

}  // namespace recover::sim
