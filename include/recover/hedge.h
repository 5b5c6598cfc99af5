// A second attempt when the first is slow: whichever succeeds first is the answer, the others are
// asked to stop.
//
// For idempotent operations only: an operation may run more than once at the same time. Spends at
// most a budgeted share of extra load. Invariant: nothing that an attempt touches lives on the
// caller's stack, so execute() may return while losers still run.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <concepts>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/result.h>
#include <recover/time.h>
#include <recover/timer.h>

namespace recover::hedge {

inline constexpr std::uint32_t kHedgedAttemptsMax = 10;  // Polly's limit.
inline constexpr std::size_t kThreadsMax = 256;

// Attempts and delay default to Polly's HedgingStrategyOptions; Resilience4j's HedgeConfig has no
// default delay.
struct HedgeConfig {
  // Must be set to true: says that the operation may run twice at the same time.
  bool idempotent = false;
  std::uint32_t max_hedged_attempts = 1;  // Beyond the first; 1 to kHedgedAttemptsMax.
  // From the start of an attempt to that of the next; 0: all at once.
  Duration delay = std::chrono::seconds{2};
  // Above 0: use this quantile of the latencies seen, within [delay_min, delay_max], instead of
  // `delay` once samples_min calls have succeeded. In [0, 1). 0.95 follows Dean and Barroso, "The
  // Tail at Scale", CACM 56(2), 2013.
  double delay_quantile = 0.0;
  Duration delay_min = std::chrono::milliseconds{1};
  Duration delay_max = std::chrono::seconds{10};
  std::uint32_t samples_min = 100;  // At least 5.
  // Hedges per hundred calls, on average, with up to budget_burst saved up. 0 to 100, and 1 to
  // 10'000.
  std::uint32_t budget_percent = 10;
  std::uint32_t budget_burst = 10;

  // InvalidConfig naming the field.
  Result<void> validate() const;
};

// When to start attempts and when to stop waiting. Pure: no clock, no lock, no allocation.
class Schedule {
 public:
  enum class Kind : std::uint8_t {
    Start,  // Start the next attempt now.
    Wait,   // For an attempt to end, but no longer than `until`.
    Done,   // No attempt runs and none will be started.
  };
  struct Decision {
    Kind kind = Kind::Done;
    Instant until = kNever;
  };

  // At most `attempts_max` attempts, each `delay` after the one before, or at once when none runs.
  Schedule(std::uint32_t attempts_max, Duration delay) noexcept
      : attempts_max_(attempts_max), delay_(delay) {}

  Decision decide(Instant now) const noexcept;
  void attempt_started(Instant now) noexcept;
  void attempt_failed() noexcept { --running_; }
  // What runs may end; nothing more is started.
  void start_no_more() noexcept { attempts_max_ = started_; }

  std::uint32_t started() const noexcept { return started_; }

 private:
  std::uint32_t attempts_max_;
  Duration delay_;
  std::uint32_t started_ = 0;
  std::uint32_t running_ = 0;
  Instant next_at_ = Instant::min();
};

// Running estimate of one quantile in constant memory: the P² algorithm (R. Jain and I. Chlamtac,
// "The P² algorithm for dynamic calculation of quantiles and histograms without storing
// observations", CACM 28(10), 1985). Pure.
class P2Quantile {
 public:
  // REQUIRES: 0 < quantile < 1.
  explicit P2Quantile(double quantile) noexcept;

  void add(double sample) noexcept;
  std::uint64_t count() const noexcept { return count_; }
  // Exact for up to five samples; 0 for none.
  double value() const noexcept;

 private:
  static constexpr std::size_t kMarkers = 5;

  void add_initial(double sample) noexcept;
  std::size_t cell_of(double sample) noexcept;
  void adjust(std::size_t marker) noexcept;

  double quantile_;
  std::uint64_t count_ = 0;
  std::array<double, kMarkers> heights_{};
  std::array<double, kMarkers> positions_{1, 2, 3, 4, 5};
  std::array<double, kMarkers> desired_{};
  std::array<double, kMarkers> increments_{};
};

// The delay before a hedge. Any thread; record() drops a sample rather than wait for a lock.
class Delay {
 public:
  // REQUIRES: config valid.
  explicit Delay(const HedgeConfig& config);

  Duration current() const noexcept { return Duration{ticks_.load(std::memory_order_relaxed)}; }
  // How long a call took until its first success.
  void record(Duration latency) noexcept;

 private:
  // Old samples are forgotten this often, so that the estimate follows the dependency.
  static constexpr std::uint64_t kWindow = 10'000;

  const double quantile_;
  const Duration min_;
  const Duration max_;
  const std::uint32_t samples_min_;
  std::atomic<std::int64_t> ticks_;
  std::mutex mutex_;  // Guards the one below.
  P2Quantile estimate_;
};

// Hedges that may still be started: each call earns a share of one. Any thread; lock-free.
class Budget {
 public:
  Budget(std::uint32_t percent, std::uint32_t burst) noexcept
      : percent_(percent), full_(std::int64_t{100} * burst), hundredths_(full_) {}

  void earn() noexcept;
  bool spend() noexcept;

 private:
  const std::int64_t percent_;
  const std::int64_t full_;
  std::atomic<std::int64_t> hundredths_;
};

// Where attempts run.
class Executor {
 public:
  Executor() = default;
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;
  virtual ~Executor() = default;

  // Takes `task` and runs it once, on any thread, now or later; false, or an exception: it does
  // not. Any thread.
  virtual bool run(std::function<void()> task) = 0;
};

struct ThreadPoolConfig {
  std::size_t threads = 4;        // 1 to kThreadsMax.
  std::size_t queue_max = 1'024;  // Tasks waiting for a thread; beyond them run() returns false.
};

// A fixed number of threads, started with the first task. The destructor runs what is queued and
// joins, so it waits for losers that ignore their stop token.
class ThreadPool final : public Executor {
 public:
  // REQUIRES: 1 <= threads <= kThreadsMax.
  explicit ThreadPool(const ThreadPoolConfig& config = {});
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool() override;

  bool run(std::function<void()> task) override;

 private:
  void start_thread();
  void work();

  const ThreadPoolConfig config_;
  std::mutex mutex_;  // Guards all below.
  std::condition_variable wake_;
  std::deque<std::function<void()>> queue_;
  bool stopping_ = false;
  std::vector<std::thread> threads_;
};

enum class EventKind : std::uint8_t {
  HedgeStarted,  // The attempts before were too slow, or all failed.
  HedgeWon,      // The answer came from an attempt other than the first.
};

struct Event {
  EventKind kind = EventKind::HedgeStarted;
  Instant at;
  std::uint32_t attempt = 0;  // 2 for the first hedge.
};

struct Metrics {
  std::uint64_t successful = 0;  // Calls, by outcome.
  std::uint64_t failed = 0;
  std::uint64_t abandoned = 0;       // Cancelled, or past the context's deadline.
  std::uint64_t hedges_started = 0;  // Attempts beyond the first.
  std::uint64_t hedges_won = 0;
  std::uint64_t hedges_denied = 0;  // By the budget or by the executor.
  Duration delay{};
};

// One call's attempts and what they have brought so far. Shared by the caller and every attempt.
template <class F>
class Race {
 public:
  using Outcome = OperationResult<F>;

  Race(F operation, CallContext context)
      : operation_(std::move(operation)), context_(std::move(context)) {}

  // Runs attempt number `attempt` (from 0) on its own copy of the operation. Making the copy is
  // part of the attempt: what that throws is its failure.
  void run(std::uint32_t attempt) {
    CallContext context = context_;
    context.stop = stop_.get_token();
    const auto run_copy = [this](const CallContext& inner) {
      F operation = operation_;
      return invoke_operation(operation, inner);
    };
    finish(attempt, invoke_operation(run_copy, context));
  }

  struct News {
    std::uint32_t failures = 0;  // Ended since the last look without settling the race.
    bool settled = false;
    std::stop_token next;  // Fires with the next piece of news; only if none of the above.
  };
  News look() {
    const std::lock_guard lock(mutex_);
    News news{.failures = std::exchange(failures_, 0), .settled = settled_, .next = {}};
    if (news.failures > 0 || news.settled) return news;
    wake_ = std::stop_source();
    news.next = wake_.get_token();
    return news;
  }

  // The answer, or the latest failure. REQUIRES: settled, or every attempt has ended.
  Outcome take() {
    const std::lock_guard lock(mutex_);
    return std::move(*outcome_);
  }
  std::uint32_t winner() const {
    const std::lock_guard lock(mutex_);
    return winner_;
  }
  void stop_all() { stop_.request_stop(); }

 private:
  // A success settles the race, and so does a permanent failure: it is an answer.
  void finish(std::uint32_t attempt, Outcome ended) {
    std::optional<Outcome> outcome(std::move(ended));
    std::optional<Classification> failure;
    try {
      failure = failure_of(*outcome);
    } catch (...) {  // Traits of the user's own: no caller is above us to hear of it.
      outcome.emplace(Unexpected(Error::from_exception(std::current_exception())));
      failure = outcome->error().classification();
    }
    const bool settles = !failure || failure->persistence == Persistence::Permanent;
    const std::lock_guard lock(mutex_);
    if (settled_) return;
    outcome_.emplace(std::move(*outcome));
    winner_ = attempt;
    settled_ = settles;
    if (!settles) ++failures_;
    wake_.request_stop();
  }

  const F operation_;
  const CallContext context_;
  std::stop_source stop_;     // Of all attempts: once one has won, none of the others matters.
  mutable std::mutex mutex_;  // Guards all below.
  std::stop_source wake_{std::nostopstate};
  std::optional<Outcome> outcome_;
  std::uint32_t winner_ = 0;
  std::uint32_t failures_ = 0;
  bool settled_ = false;
};

// An operation that each attempt can have a copy of.
template <class F>
concept SharedOperation = Operation<std::decay_t<F>> && std::copy_constructible<std::decay_t<F>>;

// Any thread. Each call allocates its shared state; not a policy for calls of microseconds.
class Hedge {
 public:
  // REQUIRES: config valid; executor and clock outlive the hedge.
  explicit Hedge(const HedgeConfig& config, Executor& executor,
                 Clock& clock = SteadyClock::instance());

  // Calls copies of `operation` on the executor until one succeeds or fails permanently, and waits
  // for that. Errors: the operation's, Cancelled, TimeoutExceeded at the context's deadline.
  // The operation is copied for every attempt, and copies outlive the call: whatever it refers to
  // must be owned by it (std::shared_ptr) or outlive the executor. A copy that throws is a failed
  // attempt. When the executor refuses the first attempt, it runs on the caller's thread.
  template <SharedOperation F>
  OperationResult<std::decay_t<F>> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(std::forward<F>(operation), CallContext{.stop = stop});
  }
  template <SharedOperation F>
  OperationResult<std::decay_t<F>> execute(F&& operation, const CallContext& context);

  Metrics metrics() const noexcept;
  Subscription on_event(std::function<void(const Event&)> listener);

 private:
  enum class Counter : std::uint8_t {
    Successful,
    Failed,
    Abandoned,
    HedgeStarted,
    HedgeWon,
    HedgeDenied,
    Count,
  };

  template <class F>
  void start_attempt(const std::shared_ptr<Race<F>>& race, Schedule& schedule, Instant now);
  // The shared state of a call. Allocating it, or copying the operation into it, may fail.
  template <class F>
  static auto make_race(F&& operation, const CallContext& context)
      -> Result<std::shared_ptr<Race<std::decay_t<F>>>>;
  // Whether the executor has taken the attempt. One that throws has not.
  template <class F>
  bool hand_over(const std::shared_ptr<Race<F>>& race, std::uint32_t attempt);
  // Whether one more hedge fits the budget; when not, the schedule is closed.
  bool may_hedge(Schedule& schedule);
  void hedge_started(Instant now, std::uint32_t attempt);
  void settled(bool success, std::uint32_t winner, Instant started_at);
  // Why the caller stops waiting, if it does.
  std::optional<Error> give_up(const CallContext& context, Instant now);

  const std::uint32_t attempts_max_;
  Executor& executor_;
  Clock& clock_;
  Delay delay_;
  Budget budget_;
  Counters<Counter> counters_;
  Listeners<Event> listeners_;
};

template <SharedOperation F>
OperationResult<std::decay_t<F>> Hedge::execute(F&& operation, const CallContext& context) {
  using Callable = std::decay_t<F>;
  budget_.earn();
  Result<std::shared_ptr<Race<Callable>>> made = make_race(std::forward<F>(operation), context);
  if (!made) {
    counters_.add(Counter::Failed);
    return Unexpected(std::move(made).error());
  }
  const std::shared_ptr<Race<Callable>> race = *std::move(made);
  const std::stop_callback forward(context.stop, [&race] { race->stop_all(); });
  const Instant started_at = clock_.now();
  Schedule schedule(attempts_max_, delay_.current());
  for (Instant now = started_at;; now = clock_.now()) {
    const typename Race<Callable>::News news = race->look();
    for (std::uint32_t i = 0; i < news.failures; ++i) schedule.attempt_failed();
    const Schedule::Decision decision = schedule.decide(now);
    if (news.settled || decision.kind == Schedule::Kind::Done) {
      race->stop_all();
      OperationResult<Callable> outcome = race->take();
      settled(!failure_of(outcome), race->winner(), started_at);
      return outcome;
    }
    if (std::optional<Error> error = give_up(context, now)) {
      race->stop_all();
      return Unexpected(std::move(*error));
    }
    if (decision.kind == Schedule::Kind::Start) {
      start_attempt(race, schedule, now);
    } else if (news.failures == 0) {
      wait_for_signal(clock_, std::min(decision.until, context.deadline), news.next, context.stop);
    }
  }
}

template <class F>
auto Hedge::make_race(F&& operation, const CallContext& context)
    -> Result<std::shared_ptr<Race<std::decay_t<F>>>> {
  const auto make = [&] {
    return std::make_shared<Race<std::decay_t<F>>>(std::forward<F>(operation), context);
  };
  return invoke_operation(make, context);
}

template <class F>
bool Hedge::hand_over(const std::shared_ptr<Race<F>>& race, std::uint32_t attempt) {
  try {
    return executor_.run([race, attempt] { race->run(attempt); });
  } catch (...) {
    if (std::current_exception() == nullptr) throw;  // The thread is being ended (pthread_exit).
    return false;
  }
}

template <class F>
void Hedge::start_attempt(const std::shared_ptr<Race<F>>& race, Schedule& schedule, Instant now) {
  const std::uint32_t attempt = schedule.started();
  if (attempt > 0 && !may_hedge(schedule)) return;
  if (hand_over(race, attempt)) {
    schedule.attempt_started(now);
    if (attempt > 0) hedge_started(now, attempt + 1);
    return;
  }
  counters_.add(Counter::HedgeDenied);
  if (attempt == 0) {
    schedule.attempt_started(now);
    race->run(attempt);
  }
  schedule.start_no_more();
}

}  // namespace recover::hedge

namespace recover {
using hedge::Hedge;
using hedge::HedgeConfig;
}  // namespace recover
