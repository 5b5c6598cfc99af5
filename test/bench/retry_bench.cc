// What a retry adds to a call that succeeds, with and without a deadline and a shared budget, and
// what its decisions and the pieces they are made of cost.
#include <benchmark/benchmark.h>

#include <cerrno>
#include <memory>

#include <recover/adaptive_throttle.h>
#include <recover/classification.h>
#include <recover/retry.h>

namespace recover::retry {
namespace {

using namespace std::chrono_literals;

int answer() {
  int value = 42;
  benchmark::DoNotOptimize(value);
  return value;
}

void bare_call(benchmark::State& state) {
  for (auto _ : state) benchmark::DoNotOptimize(answer());
}
BENCHMARK(bare_call);

void retry_success(benchmark::State& state) {
  Retry retry({});
  const CallContext context;
  for (auto _ : state) benchmark::DoNotOptimize(retry.execute(answer, context));
}
BENCHMARK(retry_success);

void retry_success_with_deadline_and_budget(benchmark::State& state) {
  Retry retry({.max_duration = 1s, .budget = std::make_shared<RetryBudget>()});
  const CallContext context;
  const Instant now = SteadyClock::instance().now();
  for (auto _ : state) benchmark::DoNotOptimize(retry.execute(answer, context, now));
}
BENCHMARK(retry_success_with_deadline_and_budget);

void contended_retry_success(benchmark::State& state) {
  static Retry retry({.budget = std::make_shared<RetryBudget>()});
  const CallContext context;
  for (auto _ : state) benchmark::DoNotOptimize(retry.execute(answer, context));
}
BENCHMARK(contended_retry_success)->ThreadRange(1, 8)->UseRealTime();

void give_up_decision(benchmark::State& state) {
  Retry retry({});
  const Classification permanent{.persistence = Persistence::Permanent};
  for (auto _ : state) {
    Schedule schedule = retry.begin();
    benchmark::DoNotOptimize(retry.record_failure(schedule, permanent, Instant{}));
  }
}
BENCHMARK(give_up_decision);

void retry_decision(benchmark::State& state) {
  Retry retry(
      {.backoff = {.kind = BackoffKind::Exponential, .jitter = Jitter::Full}, .idempotent = true});
  for (auto _ : state) {
    Schedule schedule = retry.begin();
    benchmark::DoNotOptimize(retry.record_failure(schedule, Classification{}, Instant{}));
  }
}
BENCHMARK(retry_decision);

void classify_an_errno(benchmark::State& state) {
  int number = ECONNREFUSED;
  benchmark::DoNotOptimize(number);
  for (auto _ : state) benchmark::DoNotOptimize(classify_errno(number));
}
BENCHMARK(classify_an_errno);

void throttle_permits(benchmark::State& state) {
  AdaptiveThrottle throttle;
  const Instant now = SteadyClock::instance().now();
  for (auto _ : state) {
    benchmark::DoNotOptimize(throttle.try_acquire(now));
    throttle.record(true, now);
  }
}
BENCHMARK(throttle_permits);

}  // namespace
}  // namespace recover::retry
