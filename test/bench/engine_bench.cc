// Events a second through the pure core: what a thousand healthy services cost, and what a change
// does.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "core/engine.h"
#include "test/allocations.h"

namespace recover::core {
namespace {

constexpr std::uint32_t kServices = 1'000;

Policy policy_of_many() {
  Policy policy;
  policy.recovery.mode = Mode::Shadow;
  for (std::uint32_t i = 0; i < kServices; ++i) {
    ServicePolicy service;
    service.name = "service-" + std::to_string(i);
    service.spec = ObserveSpec{};
    service.probes.resize(1);
    service.probes[0].spec = TcpProbe{};
    policy.services.push_back(std::move(service));
  }
  return policy;
}

ProbeFinished pass(std::uint32_t service, Instant at) {
  ProbeFinished look;
  look.service = ServiceIndex{service % kServices};
  look.outcome = ProbeOutcome::Passed;
  look.started_at = at;
  return look;
}

// Every service healthy, every look passes: the steady state. Nothing is recorded or allocated.
void engine_quiet_look(benchmark::State& state) {
  Instant now{};
  Engine engine(policy_of_many(), now);
  Output output;
  constexpr std::uint32_t kWarmUp = 5 * kServices;
  for (std::uint32_t i = 0; i < kWarmUp; ++i) engine.step(pass(i, now), now, output);
  std::uint32_t service = 0;
  const std::size_t before = test::allocations();
  for (auto _ : state) {
    now += Duration{1'000};
    engine.step(pass(++service, now), now, output);
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["allocations"] = static_cast<double>(test::allocations() - before);
}
BENCHMARK(engine_quiet_look);

// A look that fails, then one that passes: the state changes each time, and nothing is decided yet.
void engine_changing_look(benchmark::State& state) {
  Instant now{};
  Engine engine(policy_of_many(), now);
  Output output;
  constexpr std::uint32_t kWarmUp = 5 * kServices;
  for (std::uint32_t i = 0; i < kWarmUp; ++i) engine.step(pass(i, now), now, output);
  bool failed = false;
  const std::size_t before = test::allocations();
  for (auto _ : state) {
    now += Duration{1'000};
    ProbeFinished look = pass(7, now);
    failed = !failed;
    if (failed) look.outcome = ProbeOutcome::Failed;
    engine.step(look, now, output);
  }
  state.SetItemsProcessed(state.iterations());
  state.counters["allocations"] = static_cast<double>(test::allocations() - before);
}
BENCHMARK(engine_changing_look);

// A whole incident among a thousand services: it fails, an incident is opened and told to people,
// the call is answered, it passes, the incident is resolved. Three events, each with reasons.
void engine_incident(benchmark::State& state) {
  Instant now{};
  Policy policy = policy_of_many();
  policy.services[7].probes[0].failure_threshold = 1;
  policy.services[7].probes[0].success_threshold = 1;
  Engine engine(std::move(policy), now);
  Output output;
  constexpr std::uint32_t kWarmUp = 5 * kServices;
  for (std::uint32_t i = 0; i < kWarmUp; ++i) engine.step(pass(i, now), now, output);
  const std::size_t before = test::allocations();
  std::int64_t events = 0;
  for (auto _ : state) {
    now += minutes{1};
    ProbeFinished look = pass(7, now);
    look.outcome = ProbeOutcome::Failed;
    engine.step(look, now, output);
    events += 2;
    const std::vector<Command> asked = output.commands;
    for (const Command& command : asked) {
      engine.step(CommandFinished{.command = command.id}, now, output);
      ++events;
    }
    engine.step(pass(7, now + Duration{1}), now + Duration{1}, output);
  }
  state.SetItemsProcessed(events);
  state.counters["allocations"] = static_cast<double>(test::allocations() - before) /
                                  static_cast<double>(std::max<std::int64_t>(events, 1));
}
BENCHMARK(engine_incident);

void engine_snapshot(benchmark::State& state) {
  const Engine engine(policy_of_many(), Instant{});
  for (auto _ : state) benchmark::DoNotOptimize(engine.snapshot());
}
BENCHMARK(engine_snapshot);

}  // namespace
}  // namespace recover::core
