// What a rate limiter adds to a call: admitted and refused, with each way to know the time beside
// the bare readings, and under contention beside a bare shared compare-and-swap.
#include <benchmark/benchmark.h>

#include <atomic>

#include <recover/rate_limiter.h>

namespace recover::ratelimiter {
namespace {

using namespace std::chrono_literals;

// Never refuses: time is passed in and moves on by more than an interval a call.
RateLimiterConfig ample(Algorithm algorithm) {
  return {.algorithm = algorithm, .limit_for_period = 300'000'000, .limit_refresh_period = 1s};
}

void try_acquire_at(benchmark::State& state, Algorithm algorithm) {
  ManualClock clock;
  RateLimiter limiter(ample(algorithm), clock);
  Instant now{};
  for (auto _ : state) {
    now += 10ns;
    benchmark::DoNotOptimize(limiter.try_acquire(now));
  }
}
BENCHMARK_CAPTURE(try_acquire_at, fixed_window, Algorithm::FixedWindow);
BENCHMARK_CAPTURE(try_acquire_at, token_bucket, Algorithm::TokenBucket);
BENCHMARK_CAPTURE(try_acquire_at, gcra, Algorithm::Gcra);

void try_acquire_with(benchmark::State& state, Clock& clock) {
  RateLimiter limiter(ample(Algorithm::FixedWindow), clock);
  for (auto _ : state) benchmark::DoNotOptimize(limiter.try_acquire());
}
void try_acquire_coarse_clock(benchmark::State& state) {
  try_acquire_with(state, CoarseClock::instance());
}
BENCHMARK(try_acquire_coarse_clock);
void try_acquire_steady_clock(benchmark::State& state) {
  try_acquire_with(state, SteadyClock::instance());
}
BENCHMARK(try_acquire_steady_clock);

// The least that a limiter with a precise clock can cost: one reading, one compare-and-swap.
void clock_reading_alone(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(SteadyClock::instance().now());
}
BENCHMARK(clock_reading_alone);
void clock_reading_and_compare_and_swap(benchmark::State& state) {
  std::atomic<std::int64_t> word{0};
  for (auto _ : state) {
    const std::int64_t now = SteadyClock::instance().now().time_since_epoch().count();
    std::int64_t seen = word.load();
    while (!word.compare_exchange_weak(seen, now)) {
    }
  }
}
BENCHMARK(clock_reading_and_compare_and_swap);

void reject_at(benchmark::State& state, Algorithm algorithm) {
  ManualClock clock;
  RateLimiter limiter({.algorithm = algorithm, .limit_for_period = 3, .limit_refresh_period = 1h},
                      clock);
  const bool drained =
      limiter.try_acquire(Instant{}, algorithm == Algorithm::Gcra ? 1 : 3).has_value();
  if (!drained) state.SkipWithError("the limiter did not start full");
  for (auto _ : state) benchmark::DoNotOptimize(limiter.try_acquire(Instant{} + 1ns));
}
BENCHMARK_CAPTURE(reject_at, fixed_window, Algorithm::FixedWindow);
BENCHMARK_CAPTURE(reject_at, gcra, Algorithm::Gcra);

void contended_try_acquire(benchmark::State& state) {
  static ManualClock clock;
  static RateLimiter limiter(ample(Algorithm::FixedWindow), clock);
  Instant now = clock.now();
  for (auto _ : state) {
    now += 10ns;
    benchmark::DoNotOptimize(limiter.try_acquire(now));
  }
}
BENCHMARK(contended_try_acquire)->ThreadRange(1, 8)->UseRealTime();

void contended_compare_and_swap(benchmark::State& state) {
  static std::atomic<std::uint64_t> word{0};
  for (auto _ : state) {
    std::uint64_t seen = word.load();
    while (!word.compare_exchange_weak(seen, seen + 1)) {
    }
  }
}
BENCHMARK(contended_compare_and_swap)->ThreadRange(1, 8)->UseRealTime();

}  // namespace
}  // namespace recover::ratelimiter
