// RateLimiter: at most so many calls a period, shared by any number of threads.
//
// The whole state is one word, so that a call is admitted by one compare-and-swap; nothing locks
// but a change of the limit. Invariant: the word only moves on, modulo 2^63, so no thread can act
// on a stale one: for that the permits of 36 years would have to be spent and to come back eight
// times while it stands between two instructions.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <utility>

#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/pace.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::ratelimiter {

enum class Algorithm : std::uint8_t {
  FixedWindow,  // All permits at the start of each period; Resilience4j's.
  TokenBucket,  // Evenly refilled; saves up to limit_for_period permits unless `burst` says else.
  Gcra,         // The same, but saves one permit unless `burst` says else: evenly spaced calls.
};

// Defaults are those of Resilience4j's RateLimiterConfig.
struct RateLimiterConfig {
  Algorithm algorithm = Algorithm::FixedWindow;
  std::uint32_t limit_for_period = 50;
  Duration limit_refresh_period = Duration{500};
  Duration timeout_duration = std::chrono::seconds{5};  // The longest acquire() and reserve() wait.
  std::uint32_t burst = 0;  // Most permits at once; 0: the algorithm's own. Not for FixedWindow.

  Result<void> validate() const;

  // The limit with the algorithm's own burst filled in.
  Quota quota() const noexcept;
};

struct RateLimiterEvent {
  enum class Kind : std::uint8_t { Rejected, LimitChanged };

  Kind kind = Kind::Rejected;
  Instant at{};
  std::uint32_t permits = 0;  // Rejected: how many were asked for. LimitChanged: the new limit.
  MaybeDuration retry_after;  // Rejected only.
};

struct RateLimiterMetrics {
  std::uint64_t granted;  // Calls admitted, now or for later.
  std::uint64_t rejected;
  std::uint64_t delayed;  // Calls among `granted` that had to wait.
};

// A word of state and the pace it belongs to, for any number of threads.
class SharedAccount {
 public:
  explicit SharedAccount(const Pace& pace) noexcept { store(pace); }

  // The wait, when it is at most `wait_max` and the permits are taken; otherwise nothing is taken
  // and the result is the wait it would have been. REQUIRES: wait_max <= kTimeoutMax.
  Duration reserve(Instant now, std::uint32_t permits, Duration wait_max) noexcept {
    Mark spent = spent_.load(std::memory_order_acquire);
    for (;;) {
      if (spent >= kChanging) [[unlikely]]
        spent = await_change();
      const Pace pace = load();
      const Reading at = pace.read(now);
      const std::uint64_t ahead = pace.ahead_after(spent, at, permits);
      const std::uint64_t overdraft = pace.overdraft(ahead);
      const Mark next = mark_ahead(at, ahead);
      if (overdraft != 0) [[unlikely]] {
        const Duration wait = pace.time_for(overdraft, at);
        if (wait > wait_max || exchange(spent, next)) return wait;
      } else if (exchange(spent, next)) [[likely]] {
        return Duration::zero();
      }
    }
  }

  // Whether so many permits can ever be had at once.
  bool ever_fits(std::uint32_t permits) const noexcept {
    const Pace pace = load();
    return pace.price(permits) <= pace.capacity;
  }
  // A consistent copy.
  Account read() const noexcept;
  // Goes on at `now` with `pace`, as resume() does.
  void change(const Pace& pace, Instant now) noexcept;

 private:
  // Set in the word while change() replaces the pace: threads wait for it on the mutex.
  static constexpr Mark kChanging = ~kMarkMask;
  static constexpr std::size_t kFields = 8;

  // A success means that the pace read in between belongs to `spent`: change() first replaces the
  // word and never brings an old one back.
  bool exchange(Mark& spent, Mark next) noexcept {
    return spent_.compare_exchange_weak(spent, next, std::memory_order_acq_rel,
                                        std::memory_order_acquire);
  }

  Pace load() const noexcept {
    const auto field = [this](std::size_t i) { return pace_[i].load(std::memory_order_relaxed); };
    return {.origin = static_cast<std::int64_t>(field(0)),
            .base = field(1),
            .numerator = field(2),
            .denominator = field(3),
            .reciprocal = field(4),
            .step = field(5),
            .cost = field(6),
            .capacity = field(7)};
  }
  void store(const Pace& pace) noexcept;
  Mark await_change() const noexcept;

  alignas(64) std::array<std::atomic<std::uint64_t>, kFields> pace_;
  alignas(64) std::atomic<Mark> spent_{0};
  mutable std::mutex change_;
};

// Any thread may call any member.
class RateLimiter {
 public:
  // REQUIRES: config.validate(); `clock` outlives the limiter.
  explicit RateLimiter(const RateLimiterConfig& config = {},
                       Clock& clock = SteadyClock::instance());

  // Takes `permits` now, or none and says when to come back; retry_after is none when so many
  // can never be had at once.
  Result<void, Rejection> try_acquire(std::uint32_t permits = 1) {
    return try_acquire(clock_.now(), permits);
  }
  Result<void, Rejection> try_acquire(Instant now, std::uint32_t permits = 1) {
    const Duration wait = account_.reserve(now, permits, Duration::zero());
    if (wait > Duration::zero()) [[unlikely]]
      return reject(now, permits, wait);
    counters_.add(Counter::Granted);
    return {};
  }

  // Takes `permits` for later: the caller may go ahead after the returned wait. Never reserves
  // beyond timeout_duration, nor `wait_max` when that is shorter. A reservation that is not used
  // is not given back.
  Result<Duration, Rejection> reserve(Instant now, std::uint32_t permits = 1) {
    return reserve(now, permits, config_.timeout_duration);
  }
  Result<Duration, Rejection> reserve(Instant now, std::uint32_t permits, Duration wait_max);

  // Reserves and waits. RequestNotPermitted without waiting when it would take longer than
  // timeout_duration, or would end after `deadline`; Cancelled on `stop`.
  Result<void> acquire(const std::stop_token& stop = {}, std::uint32_t permits = 1) {
    return acquire(CallContext{.stop = stop}, permits);
  }
  Result<void> acquire(const CallContext& context, std::uint32_t permits = 1);

  template <Operation F>
  OperationResult<F> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(operation, CallContext{.stop = stop});
  }
  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context) {
    if (Result<void> admitted = acquire(context); !admitted) {
      return Unexpected(std::move(admitted).error());
    }
    return invoke_operation(operation, context);
  }

  // From now on `limit_for_period`, as resume() describes. Waits that were promised stay.
  // Invalid_config, and no change, for a limit that validate() would refuse.
  Result<void> change_limit(std::uint32_t limit_for_period) {
    return change_limit(clock_.now(), limit_for_period);
  }
  Result<void> change_limit(Instant now, std::uint32_t limit_for_period);

  // Permits that can be had at once; negative when later ones are reserved already.
  std::int64_t available(Instant now) const noexcept;
  // How long a reservation made at `now` would wait.
  Duration wait_for(Instant now, std::uint32_t permits = 1) const noexcept;

  RateLimiterMetrics metrics() const noexcept;
  // Called on the thread that was rejected or changed the limit.
  Subscription on_event(Listeners<RateLimiterEvent>::Listener listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  enum class Counter : std::uint8_t { Granted, Rejected, Delayed, Count };

  Unexpected<Rejection> reject(Instant now, std::uint32_t permits, Duration wait) {
    counters_.add(Counter::Rejected);
    const MaybeDuration retry_after =
        account_.ever_fits(permits) ? MaybeDuration(wait) : MaybeDuration();
    if (!listeners_.empty()) [[unlikely]]
      tell_rejected(now, permits, retry_after);
    return Unexpected(
        Rejection{.kind = ErrorKind::RequestNotPermitted, .retry_after = retry_after});
  }
  void tell_rejected(Instant now, std::uint32_t permits, MaybeDuration retry_after);

  const RateLimiterConfig config_;
  Clock& clock_;
  SharedAccount account_;
  Counters<Counter> counters_;
  Listeners<RateLimiterEvent> listeners_;
};

}  // namespace recover::ratelimiter

namespace recover {
using ratelimiter::RateLimiter;
using ratelimiter::RateLimiterConfig;
using ratelimiter::RateLimiterEvent;
using ratelimiter::RateLimiterMetrics;
}  // namespace recover
