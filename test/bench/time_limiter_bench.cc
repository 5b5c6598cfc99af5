// What a time limit costs over the bare call: for an operation that is only told its deadline, and
// for one that takes a stop token, which arms a timer.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <stop_token>

#include <recover/time_limiter.h>

namespace recover {
namespace {

void bare_call(benchmark::State& state) {
  std::uint64_t calls = 0;
  const auto operation = [&calls] { return ++calls; };
  for (auto _ : state) benchmark::DoNotOptimize(operation());
}
BENCHMARK(bare_call);

void clock_reading(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(SteadyClock::instance().now());
}
BENCHMARK(clock_reading);

void time_limiter_deadline(benchmark::State& state) {
  TimeLimiter limiter;
  std::uint64_t calls = 0;
  const auto operation = [&calls] { return ++calls; };
  for (auto _ : state) benchmark::DoNotOptimize(limiter.execute(operation));
}
BENCHMARK(time_limiter_deadline);

void time_limiter_deadline_coarse_clock(benchmark::State& state) {
  TimeLimiter limiter({}, CoarseClock::instance());
  std::uint64_t calls = 0;
  const auto operation = [&calls] { return ++calls; };
  for (auto _ : state) benchmark::DoNotOptimize(limiter.execute(operation));
}
BENCHMARK(time_limiter_deadline_coarse_clock);

void time_limiter_stop_token(benchmark::State& state) {
  static TimeLimiter limiter;
  std::uint64_t calls = 0;
  const auto operation = [&calls](const std::stop_token& stop) {
    benchmark::DoNotOptimize(stop.stop_requested());
    return ++calls;
  };
  for (auto _ : state) benchmark::DoNotOptimize(limiter.execute(operation));
}
BENCHMARK(time_limiter_stop_token)->ThreadRange(1, 8)->UseRealTime();

}  // namespace
}  // namespace recover
