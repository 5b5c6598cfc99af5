// AdaptiveLimiter: a limit on concurrent calls that follows what the dependency bears.
//
// A call enters with one compare-and-swap and is refused at once above the limit; it never waits.
// The learning runs after the call, under a lock that no caller ever waits for unless the call was
// dropped. Invariant: no call enters while as many as the limit are running.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <utility>

#include <recover/concurrency_limit.h>
#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/random.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::adaptive {

class AdaptiveLimiter;

// The right to one concurrent call, to be ended by exactly one of success(), dropped(), ignore();
// dropping it ignores the call. REQUIRES: the limiter outlives it.
class [[nodiscard]] Permit {
 public:
  Permit(Permit&& other) noexcept
      : owner_(std::exchange(other.owner_, nullptr)),
        start_(other.start_),
        in_flight_(other.in_flight_) {}
  Permit& operator=(Permit&& other) noexcept {
    Permit old(std::move(other));
    std::swap(owner_, old.owner_);
    std::swap(start_, old.start_);
    std::swap(in_flight_, old.in_flight_);
    return *this;
  }
  ~Permit() { ignore(); }

  // The call was served: its duration teaches.
  void success();
  void success(Instant now) { finish(now, false); }
  // The call timed out or was shed: a sign of overload.
  void dropped();
  void dropped(Instant now) { finish(now, true); }
  // The outcome says nothing about the load. Later ends do nothing.
  void ignore() noexcept;
  // The outcome of a finished operation: a timeout, an exhausted resource and a throttle count as
  // dropped; other failures are ignored.
  template <class T>
  void record_result(const Result<T>& result);

  // The call begins at `now` only: what it waited for since the permit is not its duration.
  void start_at(Instant now) noexcept { start_ = now; }

 private:
  friend class AdaptiveLimiter;
  Permit(AdaptiveLimiter& owner, Instant start, std::uint32_t in_flight) noexcept
      : owner_(&owner), start_(start), in_flight_(in_flight) {}

  void finish(Instant now, bool dropped);

  AdaptiveLimiter* owner_;
  Instant start_;
  std::uint32_t in_flight_;
};

struct AdaptiveLimiterEvent {
  enum class Kind : std::uint8_t { Rejected, LimitChanged };

  Kind kind = Kind::Rejected;
  std::uint32_t limit = 0;  // In force when refused; after the change.
};

struct AdaptiveLimiterMetrics {
  std::uint64_t succeeded;
  std::uint64_t dropped;
  std::uint64_t ignored;
  std::uint64_t rejected;
  std::uint64_t skipped;  // Among succeeded: not learnt from, another thread was learning.
  std::uint32_t in_flight;
  std::uint32_t limit;
};

// Any thread may call any member. REQUIRES of the destructor: no permit is held.
class AdaptiveLimiter {
 public:
  // REQUIRES: config.validate(); `clock` outlives the limiter and resolves the durations of calls
  // (not CoarseClock, unless they take seconds).
  explicit AdaptiveLimiter(const AdaptiveLimiterConfig& config = {},
                           Clock& clock = SteadyClock::instance());
  AdaptiveLimiter(const AdaptiveLimiter&) = delete;
  AdaptiveLimiter& operator=(const AdaptiveLimiter&) = delete;
  ~AdaptiveLimiter();

  // A permit, or BulkheadFull.
  Result<Permit, Rejection> try_acquire() { return try_acquire(clock_.now()); }
  Result<Permit, Rejection> try_acquire(Instant now) {
    std::uint32_t seen = in_flight_.load(std::memory_order_relaxed);
    while (seen < limit()) {
      if (in_flight_.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel,
                                           std::memory_order_relaxed)) {
        return Permit(*this, now, seen + 1);
      }
    }
    return reject();
  }

  // A timeout, an exhausted resource and a throttle count as dropped; other failures are ignored.
  template <Operation F>
  OperationResult<F> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(operation, CallContext{.stop = stop});
  }
  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context) {
    if (context.stop.stop_requested()) return Unexpected(Error::cancelled());
    Result<Permit, Rejection> permit = try_acquire();
    if (!permit) return Unexpected(Error(permit.error()));
    OperationResult<F> result = invoke_operation(operation, context);
    settle(*permit, failure_of(result));
    return result;
  }

  std::uint32_t limit() const noexcept { return limit_.load(std::memory_order_relaxed); }
  AdaptiveLimiterMetrics metrics() const noexcept;
  // Called on the thread that was refused or whose call changed the limit.
  Subscription on_event(Listeners<AdaptiveLimiterEvent>::Listener listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  friend class Permit;
  enum class Counter : std::uint8_t { Succeeded, Dropped, Ignored, Rejected, Skipped, Count };

  static void settle(Permit& permit, const std::optional<Classification>& failure);
  void leave() noexcept { in_flight_.fetch_sub(1, std::memory_order_acq_rel); }
  void ignored() noexcept {
    leave();
    counters_.add(Counter::Ignored);
  }
  void finished(Sample sample);
  // REQUIRES: learning_ is held. Whether the limit has changed.
  bool learn(Sample sample);

  Unexpected<Rejection> reject() {
    counters_.add(Counter::Rejected);
    if (!listeners_.empty()) [[unlikely]] {
      listeners_.emit({AdaptiveLimiterEvent::Kind::Rejected, limit()});
    }
    return Unexpected(Rejection{.kind = ErrorKind::BulkheadFull});
  }

  alignas(64) std::atomic<std::uint32_t> in_flight_{0};
  std::atomic<std::uint32_t> limit_;
  Clock& clock_;
  std::mutex learning_;
  ConcurrencyLimit machine_;  // Guarded by learning_.
  Random random_;             // Guarded by learning_.
  Listeners<AdaptiveLimiterEvent> listeners_;
  Counters<Counter> counters_;
};

inline void Permit::success() {
  if (owner_ != nullptr) success(owner_->clock_.now());
}

inline void Permit::dropped() {
  if (owner_ != nullptr) dropped(owner_->clock_.now());
}

inline void Permit::ignore() noexcept {
  if (AdaptiveLimiter* owner = std::exchange(owner_, nullptr)) owner->ignored();
}

template <class T>
void Permit::record_result(const Result<T>& result) {
  AdaptiveLimiter::settle(*this, failure_of(result));
}

inline void Permit::finish(Instant now, bool dropped) {
  if (AdaptiveLimiter* owner = std::exchange(owner_, nullptr)) {
    owner->finished({.rtt = now - start_, .in_flight = in_flight_, .dropped = dropped});
  }
}

}  // namespace recover::adaptive

namespace recover {
using adaptive::AdaptiveLimiter;
using adaptive::AdaptiveLimiterConfig;
using adaptive::AdaptiveLimiterEvent;
using adaptive::AdaptiveLimiterMetrics;
}  // namespace recover
