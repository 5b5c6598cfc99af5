// What a pipeline adds to a call that succeeds and to one that is refused, beside the bare call.
#include <benchmark/benchmark.h>

#include <recover/pipeline.h>

#include "test/allocations.h"

namespace recover::pipeline {
namespace {

using namespace std::chrono_literals;

[[gnu::noinline]] int work(int value) {
  benchmark::DoNotOptimize(value);
  return value + 1;
}

// One of each, none of which refuses.
struct Everything {
  TimeLimiter total_timeout;
  Retry retry{RetryConfig{}};
  CircuitBreaker breaker;
  Bulkhead bulkhead;
  AdaptiveLimiter adaptive;
  RateLimiter limiter{{.limit_for_period = 1'000'000'000, .limit_refresh_period = 1s}};
  TimeLimiter attempt_timeout;
};

template <class Call>
void measure(benchmark::State& state, Call call) {
  for (int i = 0; i < 3; ++i) static_cast<void>(call());  // Fills what is filled once.
  const std::size_t before = test::allocations();
  for (auto _ : state) benchmark::DoNotOptimize(call());
  state.counters["allocations"] = static_cast<double>(test::allocations() - before);
}

void pipeline_bare_call(benchmark::State& state) {
  measure(state, [] { return work(1); });
}
BENCHMARK(pipeline_bare_call);

void pipeline_empty(benchmark::State& state) {
  const Pipeline pipeline({});
  measure(state, [&] { return pipeline.execute([] { return work(1); }); });
}
BENCHMARK(pipeline_empty);

// Polly v8 publishes 766 ns for a pipeline of five strategies.
void pipeline_timeout_retry_breaker_limiter(benchmark::State& state) {
  Everything all;
  const Pipeline pipeline({.total_timeout = &all.total_timeout,
                           .retry = &all.retry,
                           .circuit_breaker = &all.breaker,
                           .rate_limiter = &all.limiter});
  measure(state, [&] { return pipeline.execute([] { return work(1); }); });
}
BENCHMARK(pipeline_timeout_retry_breaker_limiter);

Pipeline of(Everything& all) {
  return Pipeline({.total_timeout = &all.total_timeout,
                   .retry = &all.retry,
                   .circuit_breaker = &all.breaker,
                   .bulkhead = &all.bulkhead,
                   .adaptive_limiter = &all.adaptive,
                   .rate_limiter = &all.limiter,
                   .attempt_timeout = &all.attempt_timeout});
}

void pipeline_all_policies(benchmark::State& state) {
  Everything all;
  const Pipeline pipeline = of(all);
  measure(state, [&] { return pipeline.execute([] { return work(1); }); });
}
BENCHMARK(pipeline_all_policies);

// The two timeouts have to arm a timer.
void pipeline_all_policies_stop_token(benchmark::State& state) {
  Everything all;
  const Pipeline pipeline = of(all);
  const auto operation = [](const std::stop_token&) { return work(1); };
  measure(state, [&] { return pipeline.execute(operation); });
}
BENCHMARK(pipeline_all_policies_stop_token);

void pipeline_admission(benchmark::State& state) {
  Everything all;
  const Pipeline pipeline = of(all);
  const Result<int> outcome(1);
  measure(state, [&] {
    auto admission = pipeline.try_acquire();
    admission->record(outcome);
    return admission.has_value();
  });
}
BENCHMARK(pipeline_admission);

void pipeline_reject_breaker(benchmark::State& state) {
  Everything all;
  all.breaker.transition_to(circuitbreaker::State::Open, Duration(24h));
  const Pipeline pipeline({.total_timeout = &all.total_timeout,
                           .circuit_breaker = &all.breaker,
                           .rate_limiter = &all.limiter});
  measure(state, [&] { return pipeline.execute([] { return work(1); }); });
}
BENCHMARK(pipeline_reject_breaker);

void pipeline_reject_limiter(benchmark::State& state) {
  Everything all;
  RateLimiter spent({.limit_for_period = 1, .limit_refresh_period = 24h});
  const bool taken = spent.try_acquire().has_value();
  if (!taken) state.SkipWithError("the limiter did not start full");
  const Pipeline pipeline({.total_timeout = &all.total_timeout,
                           .circuit_breaker = &all.breaker,
                           .rate_limiter = &spent});
  measure(state, [&] { return pipeline.execute([] { return work(1); }); });
}
BENCHMARK(pipeline_reject_limiter);

void pipeline_reject_admission(benchmark::State& state) {
  Everything all;
  all.breaker.transition_to(circuitbreaker::State::Open, Duration(24h));
  const Pipeline pipeline = of(all);
  measure(state, [&] { return pipeline.try_acquire(); });
}
BENCHMARK(pipeline_reject_admission);

}  // namespace
}  // namespace recover::pipeline
