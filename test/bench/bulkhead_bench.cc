// What a bulkhead and an adaptive limiter add to a call, alone and under contention, beside a bare
// shared atomic counter.
#include <benchmark/benchmark.h>

#include <atomic>

#include <recover/adaptive_limiter.h>
#include <recover/bulkhead.h>

namespace recover {
namespace {

void bulkhead_acquire_release(benchmark::State& state) {
  static Bulkhead bulkhead({.max_concurrent_calls = 100});
  for (auto _ : state) benchmark::DoNotOptimize(bulkhead.try_acquire());
}
BENCHMARK(bulkhead_acquire_release)->ThreadRange(1, 8)->UseRealTime();

void bulkhead_reject(benchmark::State& state) {
  Bulkhead bulkhead({.max_concurrent_calls = 1});
  const auto permit = bulkhead.try_acquire();
  for (auto _ : state) benchmark::DoNotOptimize(bulkhead.try_acquire());
}
BENCHMARK(bulkhead_reject);

void adaptive_acquire_success(benchmark::State& state) {
  AdaptiveLimiter limiter({.algorithm = adaptive::Algorithm::Gradient2});
  Instant now = SteadyClock::instance().now();
  for (auto _ : state) {
    auto permit = limiter.try_acquire(now);
    now += std::chrono::milliseconds{1};
    permit->success(now);
  }
}
BENCHMARK(adaptive_acquire_success);

void counter_up_down(benchmark::State& state) {
  static std::atomic<std::uint64_t> counter{0};
  for (auto _ : state) {
    counter.fetch_add(1);
    counter.fetch_sub(1);
  }
}
BENCHMARK(counter_up_down)->ThreadRange(1, 8)->UseRealTime();

}  // namespace
}  // namespace recover
