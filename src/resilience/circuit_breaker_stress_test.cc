// Eight threads on one breaker. Whatever they do to it, at the end the numbers add up exactly and
// the transitions form one chain.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include <recover/circuit_breaker.h>
#include <recover/random.h>

#include "test/on_threads.h"

namespace recover::circuitbreaker {
namespace {

using namespace std::chrono_literals;
using test::on_threads;

constexpr unsigned kThreads = 8;
constexpr Instant kStart{Duration{1'000'003'000'000}};

// What one thread did, or all of them.
struct Sums {
  std::uint64_t admitted = 0;
  std::uint64_t refused = 0;
  std::uint64_t finished = 0;  // With an outcome.
  std::uint64_t released = 0;

  Sums& operator+=(const Sums& other) {
    admitted += other.admitted;
    refused += other.refused;
    finished += other.finished;
    released += other.released;
    return *this;
  }
};

// Collects the transitions of a breaker.
class Chain {
 public:
  explicit Chain(CircuitBreaker& breaker) {
    breaker.on_event([this](const Event& event) {
      if (event.kind != Event::Kind::StateTransition) return;
      const std::lock_guard lock(mutex_);
      events_.push_back(event);
    });
  }

  // Ordered by generation each transition begins where the one before ended, and no generation
  // was entered twice. Returns how many there were.
  std::size_t expect_one_chain() {
    const std::lock_guard lock(mutex_);
    std::sort(events_.begin(), events_.end(),
              [](const Event& a, const Event& b) { return a.generation < b.generation; });
    for (std::size_t i = 0; i < events_.size(); ++i) {
      const State before = i == 0 ? State::Closed : events_[i - 1].to;
      EXPECT_EQ(events_[i].from, before) << "generation " << events_[i].generation;
      EXPECT_NE(events_[i].from, events_[i].to);
      if (i == 0) continue;
      EXPECT_GT(events_[i].generation, events_[i - 1].generation);
      EXPECT_GE(events_[i].at, events_[i - 1].at);
    }
    return events_.size();
  }

 private:
  std::mutex mutex_;
  std::vector<Event> events_;
};

// One thread that does everything there is to do, at random.
class Hammer {
 public:
  Hammer(CircuitBreaker& breaker, ManualClock& clock, std::uint64_t seed)
      : breaker_(breaker), clock_(clock), random_(seed) {}

  Sums run(int steps) {
    for (int i = 0; i < steps; ++i) step();
    for (std::optional<Permit>& permit : held_) {
      if (permit) finish(*std::exchange(permit, std::nullopt));
    }
    return sums_;
  }

 private:
  void step() {
    const std::uint64_t choice = random_.next() % 1024;
    if (choice == 0) return breaker_.reset();
    if (choice < 4) return breaker_.transition_to(static_cast<State>(random_.next() % 6));
    if (choice < 8) return breaker_.tick();
    if (choice < 12) return look();
    if (choice < 64) return clock_.advance(Duration{random_.next() % 4'000'000});
    call();
  }

  void look() {
    const Snapshot snapshot = breaker_.snapshot();
    EXPECT_LE(snapshot.counts.failed, snapshot.counts.total);
    EXPECT_LE(snapshot.counts.slow_failed, snapshot.counts.slow);
  }

  // Ends an earlier call, and begins another in its place.
  void call() {
    std::optional<Permit>& place = held_[random_.next() % held_.size()];
    if (place) finish(*std::exchange(place, std::nullopt));
    Result<Permit, Rejection> permit = breaker_.try_acquire();
    if (permit.has_value()) {
      ++sums_.admitted;
      place = std::move(*permit);
      return;
    }
    ++sums_.refused;
    // A refusal that races a transition still says something sensible. The clock moves on while a
    // thread sleeps between reading it and refusing; hence not some milliseconds.
    EXPECT_LE(permit.error().retry_after.value_or(0s), 1h);
    EXPECT_GE(permit.error().retry_after.value_or(0s), 0s);
  }

  void finish(Permit permit) {
    switch (random_.next() % 8) {
      case 0: ++sums_.released; return;  // Dropped.
      case 1: ++sums_.released; return permit.release();
      case 2: permit.record(Outcome::Ignored); break;
      case 3: permit.record(Outcome::Cancelled); break;
      case 4: permit.failure(); break;
      default: permit.success(); break;
    }
    ++sums_.finished;
  }

  CircuitBreaker& breaker_;
  ManualClock& clock_;
  Random random_;
  std::array<std::optional<Permit>, 4> held_;
  Sums sums_;
};

void expect_exact_sums(const CircuitBreakerConfig& config) {
  constexpr int kSteps = 20'000;
  ManualClock clock(kStart);
  CircuitBreaker breaker(config, clock);
  Chain chain(breaker);
  std::mutex mutex;
  Sums all;
  on_threads(kThreads, [&](unsigned index) {
    const Sums sums = Hammer(breaker, clock, index).run(kSteps);
    const std::lock_guard lock(mutex);
    all += sums;
  });
  const CircuitBreakerMetrics metrics = breaker.metrics();
  EXPECT_EQ(metrics.successful + metrics.failed + metrics.ignored + metrics.cancelled +
                metrics.released + metrics.late,
            all.admitted);
  EXPECT_EQ(
      metrics.successful + metrics.failed + metrics.ignored + metrics.cancelled + metrics.late,
      all.finished);
  EXPECT_EQ(metrics.released, all.released);
  EXPECT_EQ(metrics.not_permitted, all.refused);
  EXPECT_GT(chain.expect_one_chain(), 10U);
  EXPECT_GT(metrics.late, 0U);
}

// Opens often, closes often; every wait is below a second.
CircuitBreakerConfig busy_config() {
  return {.sliding_window = {.size = 20, .duration = 50ms, .bucket = 5ms},
          .minimum_calls = 10,
          .failure_rate_threshold = 40,
          .slow_call_duration_threshold = 20ms,
          .wait_in_open = {.initial = 2ms, .multiplier = 1.5, .max = 10ms, .jitter = 0.5},
          .permitted_calls_in_half_open = 5,
          .half_open_max_wait = 20ms,
          .seed = 1};
}

TEST(CircuitBreakerStress, CountWindowAddsUp) {
  expect_exact_sums(busy_config());
}

TEST(CircuitBreakerStress, TimeWindowAddsUp) {
  for (const Alignment alignment : {Alignment::Epoch, Alignment::StateEntry}) {
    CircuitBreakerConfig config = busy_config();
    config.sliding_window.kind = WindowKind::Time;
    config.sliding_window.alignment = alignment;
    expect_exact_sums(config);
  }
}

TEST(CircuitBreakerStress, AutomaticTransitionsAddUp) {
  CircuitBreakerConfig config = busy_config();
  config.open_transition = OpenTransition::Timer;
  config.half_open_permit_mode = PermitMode::Concurrent;
  config.half_open_rule = {.kind = HalfOpenRule::Kind::SuccessThreshold, .n = 3, .of = 8};
  expect_exact_sums(config);
}

TEST(CircuitBreakerStress, CompatibilityKnobsAddUp) {
  CircuitBreakerConfig config = busy_config();
  config.sliding_window.kind = WindowKind::Tumbling;
  config.consecutive_failures_threshold = 3;
  config.open_transition = OpenTransition::OnAccess;
  expect_exact_sums(config);
}

// ---- no transitions: the window is exact

constexpr std::uint64_t kCalls = 10'000;

// Three of four fail, but not the first ones: 100 percent is never reached.
void fail_most(CircuitBreaker& breaker, ManualClock* clock) {
  for (std::uint64_t i = 0; i < kCalls; ++i) {
    if (clock != nullptr && i % 100 == 0) clock->advance(1s);
    Result<Permit, Rejection> permit = breaker.try_acquire();
    ASSERT_TRUE(permit.has_value());
    permit->record(i % 4 != 0 ? Outcome::Failure : Outcome::Success);
  }
}

TEST(CircuitBreakerStress, WindowCountsAreExact) {
  for (const WindowKind kind : {WindowKind::Count, WindowKind::Time}) {
    ManualClock clock(kStart);
    CircuitBreaker breaker({.sliding_window = {.kind = kind, .size = 1000, .duration = 1000s},
                            .failure_rate_threshold = 100},
                           clock);
    on_threads(kThreads,
               [&](unsigned index) { fail_most(breaker, index == 0 ? &clock : nullptr); });
    const CircuitBreakerMetrics metrics = breaker.metrics();
    EXPECT_EQ(metrics.failed, kThreads * kCalls * 3 / 4);
    EXPECT_EQ(metrics.successful, kThreads * kCalls / 4);
    const Counts counts = breaker.snapshot().counts;
    const bool all = kind == WindowKind::Time;
    EXPECT_EQ(counts.total, all ? kThreads * kCalls : 1000);
    EXPECT_EQ(counts.failed, all ? metrics.failed : counts.failed);
  }
}

// ---- one threshold, one transition

constexpr int kRounds = 200;
constexpr int kCallsPerRound = 20;

void fail_often(CircuitBreaker& breaker) {
  for (int i = 0; i < kCallsPerRound; ++i) {
    Result<Permit, Rejection> permit = breaker.try_acquire();
    if (permit.has_value()) permit->failure();
  }
}

void expect_one_opening_a_round(WindowKind kind) {
  ManualClock clock(kStart);
  CircuitBreaker breaker({.sliding_window = {.kind = kind, .size = 50}, .minimum_calls = 50},
                         clock);
  Chain chain(breaker);
  for (int round = 0; round < kRounds; ++round) {
    on_threads(kThreads, [&](unsigned) { fail_often(breaker); });
    EXPECT_EQ(breaker.state(), State::Open) << "round " << round;
    breaker.reset();
  }
  EXPECT_EQ(chain.expect_one_chain(), 2U * kRounds);
  const CircuitBreakerMetrics metrics = breaker.metrics();
  EXPECT_EQ(metrics.failed + metrics.late + metrics.not_permitted,
            std::uint64_t{kThreads} * kRounds * kCallsPerRound);
  EXPECT_GE(metrics.failed, 50U * kRounds);
}

TEST(CircuitBreakerStress, AThresholdOpensOncePerGeneration) {
  expect_one_opening_a_round(WindowKind::Count);
  expect_one_opening_a_round(WindowKind::Time);
}

// ---- half-open

constexpr std::uint32_t kPermits = 3;

// Takes a probe again and again; it must be one of kPermits that are out. Ends it by `end`.
template <class End>
void probe_often(CircuitBreaker& breaker, std::atomic<std::uint32_t>& out, End end) {
  for (int i = 0; i < 5'000; ++i) {
    Result<Permit, Rejection> permit = breaker.try_acquire();
    if (!permit.has_value()) continue;
    EXPECT_TRUE(permit->is_probe());
    EXPECT_LE(out.fetch_add(1) + 1, kPermits);
    out.fetch_sub(1);
    end(*permit);
  }
}

// Probes come and go, given back in every way that does not decide.
void expect_few_probes_at_once(PermitMode mode) {
  const bool total = mode == PermitMode::Total;
  ManualClock clock(kStart);
  CircuitBreaker breaker({.permitted_calls_in_half_open = kPermits,
                          .half_open_permit_mode = mode,
                          .half_open_rule = {.kind = HalfOpenRule::Kind::ConsecutiveSuccesses,
                                             .n = total ? kPermits : 1'000'000U},
                          .half_open_max_wait = 0s},
                         clock);
  breaker.transition_to(State::HalfOpen);
  std::atomic<std::uint32_t> out{0};
  const auto ignore = [](Permit& permit) { permit.record(Outcome::Ignored); };
  const auto end = [total](Permit& permit) { total ? permit.release() : permit.success(); };
  on_threads(kThreads, [&](unsigned index) {
    index % 2 == 0 ? probe_often(breaker, out, ignore) : probe_often(breaker, out, end);
  });
  EXPECT_EQ(breaker.state(), State::HalfOpen);
  const CircuitBreakerMetrics metrics = breaker.metrics();
  EXPECT_GT(metrics.ignored, 0U);
  EXPECT_EQ(metrics.late, 0U);
  for (std::uint32_t i = 0; i < kPermits; ++i) EXPECT_TRUE(breaker.try_acquire().has_value());
}

TEST(CircuitBreakerStress, HalfOpenNeverAdmitsMoreThanItsPermitsAtOnce) {
  expect_few_probes_at_once(PermitMode::Total);
  expect_few_probes_at_once(PermitMode::Concurrent);
}

// All at once ask for the few probes there are.
TEST(CircuitBreakerStress, EachHalfOpenStayHandsOutItsPermitsOnce) {
  ManualClock clock(kStart);
  CircuitBreaker breaker({.permitted_calls_in_half_open = 3, .half_open_rule = {.n = 3}}, clock);
  for (int round = 0; round < 200; ++round) {
    breaker.transition_to(State::Open, 1ns);
    clock.advance(1ns);  // The first one to ask half-opens.
    std::array<std::optional<Permit>, kThreads> permits;
    on_threads(kThreads, [&](unsigned index) {
      Result<Permit, Rejection> permit = breaker.try_acquire();
      if (permit.has_value()) permits[index] = std::move(*permit);
    });
    EXPECT_EQ(std::count_if(permits.begin(), permits.end(),
                            [](const auto& permit) { return permit.has_value(); }),
              3);
    on_threads(kThreads, [&](unsigned index) {
      if (permits[index]) permits[index]->success();
    });
    EXPECT_EQ(breaker.state(), State::Closed);
  }
}

// ---- more threads than the counters have lines, and threads that come and go

TEST(CircuitBreakerStress, ManyShortLivedThreadsAddUp) {
  CircuitBreaker breaker;
  for (int round = 0; round < 10; ++round) {
    on_threads(24, [&](unsigned) {
      for (int i = 0; i < 200; ++i) breaker.try_acquire()->success();
    });
  }
  EXPECT_EQ(breaker.metrics().successful, 10U * 24U * 200U);
}

}  // namespace
}  // namespace recover::circuitbreaker
