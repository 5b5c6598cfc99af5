// Reads choices from fuzzer bytes. When they run out every choice is the first one, so that any
// input is a valid script and a shorter one a simpler one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace recover::test {

// What must hold for every script; says what did not and aborts.
inline void require(bool holds, const char* what) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", what);
  std::abort();
}

class Script {
 public:
  Script(const std::uint8_t* data, std::size_t size) noexcept : next_(data), end_(data + size) {}

  bool done() const noexcept { return next_ == end_; }

  std::uint8_t byte() noexcept { return done() ? std::uint8_t{0} : *next_++; }
  // One of 0..n-1. REQUIRES: 1 <= n <= 256.
  unsigned below(unsigned n) noexcept { return byte() % n; }
  bool flip() noexcept { return below(2) == 1; }

  // One of the values of an array.
  template <class T, std::size_t N>
  const T& pick(const T (&values)[N]) noexcept {
    return values[below(N)];
  }

 private:
  const std::uint8_t* next_;
  const std::uint8_t* end_;
};

}  // namespace recover::test
