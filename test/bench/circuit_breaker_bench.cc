// What a circuit breaker adds to a call: closed, refused in every way, around an operation, and on
// many threads beside a bare shared atomic counter, which is the least that shared state can cost.
#include <benchmark/benchmark.h>

#include <atomic>
#include <memory>

#include <recover/circuit_breaker.h>

#include "test/allocations.h"

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

CircuitBreakerConfig count_window() {
  return {};
}
CircuitBreakerConfig time_window() {
  return {.sliding_window = {.kind = WindowKind::Time}};
}
// No clock reading when the call ends.
CircuitBreakerConfig no_slow_calls() {
  return {.slow_call_duration_threshold = 0s};
}

// Heap allocations an iteration, on this thread.
class AllocationCounter {
 public:
  explicit AllocationCounter(benchmark::State& state)
      : state_(state), before_(test::allocations()) {}
  AllocationCounter(const AllocationCounter&) = delete;
  AllocationCounter& operator=(const AllocationCounter&) = delete;
  ~AllocationCounter() {
    state_.counters["allocs"] = benchmark::Counter(
        static_cast<double>(test::allocations() - before_), benchmark::Counter::kAvgIterations);
  }

 private:
  benchmark::State& state_;
  std::size_t before_;
};

// ---- closed, on 1 to 8 threads

void breaker_shared_counter(benchmark::State& state) {
  alignas(64) static std::atomic<std::uint64_t> counter;
  for (auto _ : state) benchmark::DoNotOptimize(counter.fetch_add(1));
}
BENCHMARK(breaker_shared_counter)->ThreadRange(1, 8)->UseRealTime();

void breaker_closed(benchmark::State& state, CircuitBreaker& breaker) {
  const AllocationCounter counter(state);
  for (auto _ : state) breaker.try_acquire()->success();
}

void breaker_closed_count_window(benchmark::State& state) {
  static CircuitBreaker breaker(count_window());
  breaker_closed(state, breaker);
}
BENCHMARK(breaker_closed_count_window)->ThreadRange(1, 8)->UseRealTime();

void breaker_closed_time_window(benchmark::State& state) {
  static CircuitBreaker breaker(time_window());
  breaker_closed(state, breaker);
}
BENCHMARK(breaker_closed_time_window)->ThreadRange(1, 8)->UseRealTime();

void breaker_closed_no_slow_calls(benchmark::State& state) {
  static CircuitBreaker breaker(no_slow_calls());
  breaker_closed(state, breaker);
}
BENCHMARK(breaker_closed_no_slow_calls)->ThreadRange(1, 8)->UseRealTime();

void breaker_closed_steady_clock(benchmark::State& state) {
  static CircuitBreaker breaker(count_window(), SteadyClock::instance());
  breaker_closed(state, breaker);
}
BENCHMARK(breaker_closed_steady_clock);

// The pipeline's way: the clock was read once, outside.
void breaker_closed_at(benchmark::State& state) {
  CircuitBreaker breaker;
  const AllocationCounter counter(state);
  const Instant now = CoarseClock::read();
  for (auto _ : state) breaker.try_acquire(now)->record(Outcome::Success, now);
}
BENCHMARK(breaker_closed_at);

void breaker_closed_failure(benchmark::State& state) {
  CircuitBreaker breaker;
  breaker.transition_to(State::MetricsOnly);  // Or it would open.
  const AllocationCounter counter(state);
  for (auto _ : state) breaker.try_acquire()->failure();
}
BENCHMARK(breaker_closed_failure);

void breaker_execute(benchmark::State& state) {
  CircuitBreaker breaker;
  const AllocationCounter counter(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.execute([] { return 42; }));
}
BENCHMARK(breaker_execute);

// ---- refused

void breaker_reject_open(benchmark::State& state) {
  static CircuitBreaker breaker;
  if (state.thread_index() == 0) breaker.transition_to(State::Open);
  const AllocationCounter counter(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.try_acquire());
}
BENCHMARK(breaker_reject_open)->ThreadRange(1, 8)->UseRealTime();

void breaker_reject_open_at(benchmark::State& state) {
  CircuitBreaker breaker;
  breaker.transition_to(State::Open);
  const AllocationCounter counter(state);
  const Instant now = CoarseClock::read();
  for (auto _ : state) benchmark::DoNotOptimize(breaker.try_acquire(now));
}
BENCHMARK(breaker_reject_open_at);

void breaker_reject_forced_open(benchmark::State& state) {
  CircuitBreaker breaker;
  breaker.transition_to(State::ForcedOpen);
  const AllocationCounter counter(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.try_acquire());
}
BENCHMARK(breaker_reject_forced_open);

void breaker_reject_half_open(benchmark::State& state) {
  CircuitBreaker breaker({.permitted_calls_in_half_open = 1});
  breaker.transition_to(State::HalfOpen);
  const Result<Permit, Rejection> probe = breaker.try_acquire();
  const AllocationCounter counter(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.try_acquire());
}
BENCHMARK(breaker_reject_half_open);

void breaker_execute_rejected(benchmark::State& state) {
  CircuitBreaker breaker;
  breaker.transition_to(State::Open);
  const AllocationCounter counter(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.execute([] { return 42; }));
}
BENCHMARK(breaker_execute_rejected);

// ---- reading

void breaker_metrics(benchmark::State& state) {
  CircuitBreaker breaker;
  const AllocationCounter counter(state);
  for (auto _ : state) benchmark::DoNotOptimize(breaker.metrics());
}
BENCHMARK(breaker_metrics);

void breaker_clock(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(CoarseClock::read());
}
BENCHMARK(breaker_clock);

}  // namespace
}  // namespace recover::circuitbreaker
