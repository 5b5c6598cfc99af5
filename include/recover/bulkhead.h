// Bulkhead: at most so many calls at once, and a bounded first-come, first-served queue for more.
//
// A call enters and leaves with one compare-and-swap while nobody waits; the lock guards the queue
// alone. Invariant: while anyone waits, all permits are in use, and a permit that comes back goes
// straight to the longest waiter: nobody overtakes, no permit is lost or given twice.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <stop_token>
#include <utility>

#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::bulkhead {

// Defaults are those of Resilience4j's BulkheadConfig; max_queued is ours: its queue has no bound.
struct BulkheadConfig {
  std::uint32_t max_concurrent_calls = 25;
  std::uint32_t max_queued = 0;                   // Callers that may wait at the same time.
  Duration max_wait_duration = Duration::zero();  // The longest acquire() waits in the queue.

  Result<void> validate() const;
};

// The pure state: how many permits are in use, how many callers wait. One word.
class Occupancy {
 public:
  constexpr Occupancy() noexcept = default;
  explicit constexpr Occupancy(std::uint64_t word) noexcept : word_(word) {}

  constexpr std::uint64_t word() const noexcept { return word_; }
  constexpr std::uint32_t in_use() const noexcept { return static_cast<std::uint32_t>(word_); }
  constexpr std::uint32_t waiting() const noexcept {
    return static_cast<std::uint32_t>(word_ >> 32U);
  }

  // Whether a new caller gets a permit at once: never past somebody who waits.
  constexpr bool can_enter(const BulkheadConfig& config) const noexcept {
    return word_ < config.max_concurrent_calls;
  }
  constexpr bool can_queue(const BulkheadConfig& config) const noexcept {
    return waiting() < config.max_queued;
  }

  constexpr Occupancy entered() const noexcept { return Occupancy(word_ + 1); }
  constexpr Occupancy left() const noexcept { return Occupancy(word_ - 1); }
  constexpr Occupancy queued() const noexcept { return Occupancy(word_ + kOneWaiting); }
  // The first waiter was given a permit that came back, or a waiter gave up.
  constexpr Occupancy dequeued() const noexcept { return Occupancy(word_ - kOneWaiting); }

 private:
  static constexpr std::uint64_t kOneWaiting = std::uint64_t{1} << 32U;
  std::uint64_t word_ = 0;
};

class Bulkhead;

// The right to one concurrent call. Goes back when dropped. REQUIRES: the bulkhead outlives it.
class [[nodiscard]] Permit {
 public:
  // Holds nothing, as after a move or a release.
  Permit() noexcept = default;
  Permit(Permit&& other) noexcept : owner_(std::exchange(other.owner_, nullptr)) {}
  Permit& operator=(Permit&& other) noexcept {
    Permit old(std::move(other));
    std::swap(owner_, old.owner_);
    return *this;
  }
  ~Permit() { release(); }

  bool held() const noexcept { return owner_ != nullptr; }
  // Gives it back now; later calls do nothing.
  void release() noexcept;

 private:
  friend class Bulkhead;
  explicit Permit(Bulkhead& owner) noexcept : owner_(&owner) {}

  Bulkhead* owner_ = nullptr;
};

// A place in the queue, owned by the caller who waits; the queue links through it and allocates
// nothing. It must stay alive and in place until granted() has returned or cancel() was true.
class Waiter {
 public:
  Waiter() = default;
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  virtual ~Waiter() = default;

  // The permit, on the thread that gave one back, with no lock held. Called at most once for each
  // enqueue(). Must not block: post the work to where it belongs.
  virtual void granted(Permit permit) noexcept = 0;

 private:
  friend class Bulkhead;
  // Guarded by the bulkhead's mutex.
  Waiter* previous_ = nullptr;
  Waiter* next_ = nullptr;
  bool queued_ = false;
};

struct BulkheadEvent {
  enum class Kind : std::uint8_t { Rejected, WaitTimedOut };

  Kind kind = Kind::Rejected;
};

struct BulkheadMetrics {
  std::uint64_t granted;    // Permits given, at once or from the queue.
  std::uint64_t rejected;   // Refused at once: all permits in use and the queue full.
  std::uint64_t queued;     // Callers that had to wait.
  std::uint64_t timed_out;  // acquire() waited in vain.
  std::uint64_t cancelled;  // Waiters that gave up, for another reason than timed_out.
  std::uint32_t in_use;
  std::uint32_t waiting;
};

// Any thread may call any member. REQUIRES of the destructor: no permit in use, nobody waits.
class Bulkhead {
 public:
  // REQUIRES: config.validate(); `clock` outlives the bulkhead.
  explicit Bulkhead(const BulkheadConfig& config = {}, Clock& clock = SteadyClock::instance());
  Bulkhead(const Bulkhead&) = delete;
  Bulkhead& operator=(const Bulkhead&) = delete;
  ~Bulkhead();

  // A permit now, or BulkheadFull. Never waits.
  Result<Permit, Rejection> try_acquire() {
    if (enter()) [[likely]]
      return Permit(*this);
    return reject();
  }

  // A permit now; or one that is not held() yet, and `waiter` is in the queue; or BulkheadFull. The
  // queue's length is bounded; how long to wait is the caller's decision, who then calls cancel().
  Result<Permit, Rejection> enqueue(Waiter& waiter);

  // True: the waiter has left the queue and will never be granted. False: it was granted already,
  // or is being granted on another thread right now.
  bool cancel(Waiter& waiter) noexcept;
  // As cancel(), for a waiter whose time is up: counted and emitted as timed out.
  bool expire(Waiter& waiter);

  // Waits in the queue up to max_wait_duration. BulkheadFull when that or the queue is not enough,
  // or when the caller's deadline comes first; Cancelled on `stop`.
  Result<Permit> acquire(const std::stop_token& stop = {}) {
    return acquire(CallContext{.stop = stop});
  }
  Result<Permit> acquire(const CallContext& context);

  template <Operation F>
  OperationResult<F> execute(F&& operation, const std::stop_token& stop = {}) {
    return execute(operation, CallContext{.stop = stop});
  }
  template <Operation F>
  OperationResult<F> execute(F&& operation, const CallContext& context) {
    const Result<Permit> permit = acquire(context);
    if (!permit) return Unexpected(permit.error());
    return invoke_operation(operation, context);
  }

  const BulkheadConfig& config() const noexcept { return config_; }
  BulkheadMetrics metrics() const noexcept;
  // Called on the thread that was refused.
  Subscription on_event(Listeners<BulkheadEvent>::Listener listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  friend class Permit;
  enum class Counter : std::uint8_t { Granted, Rejected, Queued, TimedOut, Cancelled, Count };

  bool enter() noexcept {
    Occupancy seen(occupancy_.load(std::memory_order_relaxed));
    while (seen.can_enter(config_)) {
      if (exchange(seen, seen.entered())) {
        counters_.add(Counter::Granted);
        return true;
      }
    }
    return false;
  }

  void leave() noexcept {
    Occupancy seen(occupancy_.load(std::memory_order_relaxed));
    for (;;) {
      if (seen.waiting() == 0) [[likely]] {
        if (exchange(seen, seen.left())) return;
      } else {
        if (hand_over()) return;
        seen = Occupancy(occupancy_.load(std::memory_order_relaxed));
      }
    }
  }

  bool exchange(Occupancy& seen, Occupancy next) noexcept {
    std::uint64_t word = seen.word();
    const bool done = occupancy_.compare_exchange_weak(word, next.word(), std::memory_order_acq_rel,
                                                       std::memory_order_relaxed);
    seen = Occupancy(word);
    return done;
  }

  Unexpected<Rejection> reject() {
    counters_.add(Counter::Rejected);
    if (!listeners_.empty()) [[unlikely]]
      listeners_.emit({BulkheadEvent::Kind::Rejected});
    return Unexpected(Rejection{.kind = ErrorKind::BulkheadFull});
  }

  enum class Place : std::uint8_t { Entered, Queued, Full };
  Place enter_or_queue(Waiter& waiter) noexcept;
  // Gives the caller's permit to the first waiter; false when the last one has just given up.
  bool hand_over() noexcept;
  // True: the waiter was still in the queue and has left it.
  bool withdraw(Waiter& waiter) noexcept;
  Result<Permit> wait_in_queue(Instant deadline, const std::stop_token& stop);

  // REQUIRES: mutex_ is held.
  void link(Waiter& waiter) noexcept;
  void unlink(Waiter& waiter) noexcept;

  // Its upper half, the number of waiters, changes only under mutex_; while it is not 0 the lower
  // half does not change at all.
  alignas(64) std::atomic<std::uint64_t> occupancy_{0};
  const BulkheadConfig config_;
  Clock& clock_;
  Waiter* first_ = nullptr;
  Waiter* last_ = nullptr;
  std::mutex mutex_;
  Listeners<BulkheadEvent> listeners_;
  Counters<Counter> counters_;
};

inline void Permit::release() noexcept {
  if (Bulkhead* owner = std::exchange(owner_, nullptr)) owner->leave();
}

}  // namespace recover::bulkhead

namespace recover {
using bulkhead::Bulkhead;
using bulkhead::BulkheadConfig;
using bulkhead::BulkheadEvent;
using bulkhead::BulkheadMetrics;
}  // namespace recover
