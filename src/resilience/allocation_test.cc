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

// Every way for a closed call to end that does not open. REQUIRES: a failure rate of 100 percent.
void call_in_all_ways(CircuitBreaker& breaker) {
  for (const Outcome outcome :
       {Outcome::Success, Outcome::Failure, Outcome::Ignored, Outcome::Cancelled}) {
    call(breaker, outcome);
  }
  EXPECT_TRUE(breaker.try_acquire().has_value());  // Dropped.
  EXPECT_TRUE(breaker.execute([] { return 1; }).has_value());
  EXPECT_TRUE(breaker.execute([] {}).has_value());
}

TEST(CircuitBreakerAllocation, ClosedCallsDoNot) {
  for (const WindowKind kind :
       {WindowKind::Count, WindowKind::Time, WindowKind::Tumbling, WindowKind::None}) {
    CircuitBreaker breaker({.sliding_window = {.kind = kind}, .failure_rate_threshold = 100});
    EXPECT_EQ(allocations_of([&] { call_in_all_ways(breaker); }), 0U);
    EXPECT_EQ(breaker.state(), State::Closed);
  }
}

void ask_in_both_ways(CircuitBreaker& breaker) {
  EXPECT_FALSE(breaker.try_acquire().has_value());
  EXPECT_FALSE(breaker.execute([] { return 1; }).has_value());
}

TEST(CircuitBreakerAllocation, RefusalsDoNot) {
  CircuitBreaker breaker({.permitted_calls_in_half_open = 1});
  for (const State state : {State::Open, State::HalfOpen, State::ForcedOpen}) {
    breaker.transition_to(state);
    const Result<Permit, Rejection> probe = breaker.try_acquire();  // In HalfOpen, the only one.
    EXPECT_EQ(probe.has_value(), state == State::HalfOpen);
    EXPECT_EQ(allocations_of([&] { ask_in_both_ways(breaker); }), 0U);
    EXPECT_GE(breaker.snapshot().not_permitted, 2'000U);
  }
}

TEST(CircuitBreakerAllocation, TransitionsWithoutListenersDoNot) {
  ManualClock clock;
  CircuitBreaker breaker({.minimum_calls = 10, .permitted_calls_in_half_open = 1}, clock);
  const auto open_and_close = [&] {
    for (int i = 0; i < 10; ++i) call(breaker, Outcome::Failure);
    clock.advance(60s);
    call(breaker, Outcome::Success);
  };
  EXPECT_EQ(allocations_of(open_and_close), 0U);
  EXPECT_EQ(breaker.state(), State::Closed);
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
