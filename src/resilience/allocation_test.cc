// No success and no refusal of a circuit breaker allocates. Under sanitizers allocations are not
// counted, and these tests only run the code.
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <system_error>
#include <utility>

#include <recover/circuit_breaker.h>

#include "test/allocations.h"

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;

// Allocations during a thousand calls of `body`, after a first one.
template <class Body>
std::size_t allocations_of(Body body) {
  body();
  const std::size_t before = test::allocations();
  for (int i = 0; i < 1000; ++i) body();
  return test::allocations() - before;
}

void call(CircuitBreaker& breaker, Outcome outcome) {
  Result<Permit, Rejection> permit = breaker.try_acquire();
  if (permit.has_value()) permit->record(outcome);
}

TEST(CircuitBreakerAllocation, ClosedCallsDoNot) {
  for (const WindowKind kind :
       {WindowKind::Count, WindowKind::Time, WindowKind::Tumbling, WindowKind::None}) {
    CircuitBreaker breaker({.sliding_window = {.kind = kind},
                            .minimum_calls = 1'000'000,
                            .failure_rate_threshold = 100});
    EXPECT_EQ(allocations_of([&] {
                call(breaker, Outcome::Success);
                call(breaker, Outcome::Ignored);
                call(breaker, Outcome::Cancelled);
                if (kind != WindowKind::Count) call(breaker, Outcome::Failure);
                EXPECT_TRUE(breaker.try_acquire().has_value());  // Dropped.
                EXPECT_TRUE(breaker.execute([] { return 1; }).has_value());
                EXPECT_TRUE(breaker.execute([] {}).has_value());
              }),
              0U);
  }
}

TEST(CircuitBreakerAllocation, RefusalsDoNot) {
  CircuitBreaker breaker({.half_open_rule = {.n = 10}});
  for (const State state : {State::Open, State::HalfOpen, State::ForcedOpen}) {
    breaker.transition_to(state);
    for (int i = 0; i < 10; ++i) {
      Result<Permit, Rejection> probe = breaker.try_acquire();
      if (probe.has_value()) probe->success();
      if (breaker.state() != state) breaker.transition_to(state);
    }
    EXPECT_EQ(allocations_of([&] { static_cast<void>(breaker.try_acquire()); }), 0U);
    EXPECT_EQ(allocations_of([&] { static_cast<void>(breaker.execute([] { return 1; })); }), 0U);
  }
}

TEST(CircuitBreakerAllocation, TransitionsWithoutListenersDoNot) {
  ManualClock clock;
  CircuitBreaker breaker({.minimum_calls = 10, .permitted_calls_in_half_open = 1}, clock);
  EXPECT_EQ(allocations_of([&] {
              for (int i = 0; i < 10; ++i) call(breaker, Outcome::Failure);
              clock.advance(60s);
              call(breaker, Outcome::Success);
              EXPECT_EQ(breaker.state(), State::Closed);
            }),
            0U);
}

TEST(CircuitBreakerAllocation, ReadingDoesNot) {
  CircuitBreaker breaker;
  EXPECT_EQ(allocations_of([&] {
              static_cast<void>(breaker.snapshot());
              static_cast<void>(breaker.metrics());
              static_cast<void>(breaker.state());
              static_cast<void>(breaker.tally());
            }),
            0U);
}

}  // namespace
}  // namespace recover::circuitbreaker
