// A bounded set of objects that are costly to open, such as connections: borrowed one at a time,
// checked before use when they have been idle, opened again with backoff when they broke.
//
// No background thread: evict() keeps the pool trim when the program calls it, and borrowing
// replaces what is past its time. Invariant: never more than max_size objects are open or being
// opened, and capacity never leaks, whatever the factory does.
#pragma once

#include <algorithm>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <type_traits>
#include <utility>
#include <vector>

#include <recover/backoff.h>
#include <recover/check.h>
#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/pool_ledger.h>
#include <recover/result.h>
#include <recover/shared_random.h>
#include <recover/time.h>

namespace recover::pool {

enum class EventKind : std::uint8_t {
  OpenFailed,        // One attempt of the factory failed.
  ValidationFailed,  // An idle object was found broken.
  Exhausted,         // A borrower left without an object.
};

struct Event {
  EventKind kind = EventKind::Exhausted;
  Instant at;
  std::optional<Classification> failure = std::nullopt;  // Of OpenFailed.
};

struct Metrics {
  std::uint64_t borrowed = 0;
  std::uint64_t waited = 0;  // Borrowers that had to queue.
  std::uint64_t exhausted = 0;
  std::uint64_t opened = 0;
  std::uint64_t open_failed = 0;  // Attempts, not borrowers.
  std::uint64_t closed = 0;
  std::uint64_t validation_failed = 0;
  std::size_t idle = 0;
  std::size_t out = 0;  // Lent, or being opened or closed.
};

// Whether a failed call leaves its connection unfit for the next one. Only errors that are known to
// be a complete answer leave it fit.
constexpr bool breaks_connection(const Classification& failure) noexcept {
  if (failure.persistence == Persistence::Cancelled) return true;
  switch (failure.error_class) {
    case ErrorClass::Authentication:
    case ErrorClass::Permission:
    case ErrorClass::ResourceExhaustion: return false;
    case ErrorClass::Connection:
    case ErrorClass::Timeout:
    case ErrorClass::DataIntegrity:
    case ErrorClass::Unknown: return true;
  }
  return true;
}

// An operation on a pooled object, with the object filled in.
template <class F, class T>
struct OnObject {
  F& operation;
  T& object;

  template <class... Args>
  requires std::invocable<F&, T&, Args...>
  decltype(auto) operator()(Args&&... args) const {
    return std::invoke(operation, object, std::forward<Args>(args)...);
  }
};

template <class F, class T>
concept ObjectOperation = Operation<OnObject<F, T>>;

// Any thread. One short lock to borrow and one to give back, and no allocation when an idle object
// is at hand; the factory, the validator and the destructor of T run outside the lock, on the
// thread that borrows, gives back or evicts, and for different objects at the same time.
template <class T>
class Pool {
 public:
  // A borrowed object; dropping it gives it back. Must not outlive the pool. Any one thread at a
  // time.
  class Lease {
   public:
    Lease(Lease&& other) noexcept
        : pool_(std::exchange(other.pool_, nullptr)), slot_(other.slot_) {}
    Lease& operator=(Lease&& other) noexcept {
      if (this == &other) return *this;
      give_back();
      pool_ = std::exchange(other.pool_, nullptr);
      slot_ = other.slot_;
      return *this;
    }
    ~Lease() { give_back(); }

    // REQUIRES of the four: not moved from, not invalidated.
    T& operator*() const { return *object(); }
    T* operator->() const { return &*object(); }

    // Destroys the object now; its place in the pool is free for a new one.
    void invalidate() {
      RECOVER_CHECK(object().has_value());
      pool_->close(slot_);
      give_back();
    }

   private:
    friend class Pool;
    Lease(Pool& pool, std::size_t slot) noexcept : pool_(&pool), slot_(slot) {}

    std::optional<T>& object() const {
      RECOVER_CHECK(pool_ != nullptr);
      return pool_->objects_[slot_];
    }
    void give_back() noexcept {
      if (pool_ != nullptr) std::exchange(pool_, nullptr)->take_back(slot_);
    }

    Pool* pool_;
    std::size_t slot_;
  };

  // `factory`: a callable like an operation that returns T or Result<T>; CallContext carries the
  // attempt and the borrower's deadline. `validator(T&)` returns false, or throws, for a broken
  // object; empty means every object is fine.
  // REQUIRES: config valid; clock outlives the pool; every lease is back before it is destroyed.
  template <OperationReturning<T> F>
  explicit Pool(const PoolConfig& config, F factory, std::function<bool(T&)> validator = {},
                Clock& clock = SteadyClock::instance())
      : config_(config),
        clock_(clock),
        factory_([open = std::move(factory)](const CallContext& context) mutable {
          return invoke_operation(open, context);
        }),
        validator_(std::move(validator)),
        objects_(config.max_size),
        turnstile_(config, clock),
        random_(config.seed) {}

  // An object to use. Waits for one to come back, and between attempts to open one, until max_wait
  // or the context's deadline is over. Errors: PoolExhausted, Cancelled, and the factory's last.
  Result<Lease> borrow(const CallContext& context = {}) { return borrow(context, clock_.now()); }
  Result<Lease> borrow(const std::stop_token& stop) { return borrow(CallContext{.stop = stop}); }
  Result<Lease> borrow(const CallContext& context, Instant now) {
    CallContext bounded = context;
    bounded.deadline = std::min(saturating_add(now, config_.max_wait), context.deadline);
    return borrow_until(bounded.deadline, now, bounded, config_.connect_attempts);
  }

  // The same without any wait of its own: for no other borrower, and with one attempt to open.
  Result<Lease> try_acquire() { return try_acquire(clock_.now()); }
  Result<Lease> try_acquire(Instant now) {
    return borrow_until(now, now, {.deadline = saturating_add(now, config_.max_wait)}, 1);
  }

  // Borrows, calls operation(object) or operation(object, context), either with a std::stop_token
  // at the end, and gives back; invalidates the object when the failure breaks_connection().
  template <ObjectOperation<T> F>
  OperationResult<OnObject<F, T>> execute(F&& operation, const CallContext& context = {}) {
    Result<Lease> lease = borrow(context);
    if (!lease) return Unexpected(std::move(lease).error());
    OnObject<F, T> on_object{operation, **lease};
    OperationResult<OnObject<F, T>> result = invoke_operation(on_object, context);
    try {
      const std::optional<Classification> failure = failure_of(result);
      if (failure && breaks_connection(*failure)) lease->invalidate();
    } catch (...) {  // Of the user's traits: nobody knows what state the object is in.
      lease->invalidate();
      throw;
    }
    return result;
  }

  template <ObjectOperation<T> F>
  OperationResult<OnObject<F, T>> execute(F&& operation, const std::stop_token& stop) {
    return execute(operation, CallContext{.stop = stop});
  }

  // Closes idle objects past their time, then opens objects until min_idle are idle. Returns how
  // many it closed. Call it now and then; each failure to open ends the call.
  std::size_t evict() { return evict(clock_.now()); }
  std::size_t evict(Instant now);

  Metrics metrics() const noexcept;
  Subscription on_event(std::function<void(const Event&)> listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  enum class Counter : std::uint8_t {
    Borrowed,
    Exhausted,
    Opened,
    OpenFailed,
    Closed,
    ValidationFailed,
    Count,
  };

  Result<Lease> borrow_until(Instant wait_deadline, Instant now, const CallContext& context,
                             std::uint32_t attempts_max);
  Result<void> open(std::size_t slot, CallContext context, std::uint32_t attempts_max);
  Result<void> pause(Duration delay, const CallContext& context, const Error& cause);
  bool is_valid(std::size_t slot);
  void close(std::size_t slot);
  void take_back(std::size_t slot) noexcept;

  const PoolConfig config_;
  Clock& clock_;
  const std::function<Result<T>(const CallContext&)> factory_;
  const std::function<bool(T&)> validator_;
  std::vector<std::optional<T>> objects_;  // Each is touched only by whoever has its slot out.
  Turnstile turnstile_;
  SharedRandom random_;
  Counters<Counter> counters_;
  Listeners<Event> listeners_;
};

template <class T>
Result<typename Pool<T>::Lease> Pool<T>::borrow_until(Instant wait_deadline, Instant now,
                                                      const CallContext& context,
                                                      std::uint32_t attempts_max) {
  Result<Grant> grant = turnstile_.enter(now, wait_deadline, context.stop);
  if (!grant) {
    counters_.add(Counter::Exhausted);
    listeners_.emit({.kind = EventKind::Exhausted, .at = now});
    return Unexpected(std::move(grant).error());
  }
  Lease lease(*this, grant->slot);
  if (grant->todo == Todo::Open || (grant->todo == Todo::Validate && !is_valid(grant->slot))) {
    close(grant->slot);
    Result<void> opened = open(grant->slot, context, attempts_max);
    if (!opened) return Unexpected(std::move(opened).error());
  }
  counters_.add(Counter::Borrowed);
  return lease;
}

template <class T>
Result<void> Pool<T>::open(std::size_t slot, CallContext context, std::uint32_t attempts_max) {
  retry::Backoff backoff(config_.backoff);
  for (context.attempt = 1;; ++context.attempt) {
    Result<T> opened = factory_(context);
    if (opened) {
      objects_[slot].emplace(std::move(*opened));
      turnstile_.opened(slot);
      counters_.add(Counter::Opened);
      return {};
    }
    const Classification& failure = opened.error().classification();
    counters_.add(Counter::OpenFailed);
    listeners_.emit({.kind = EventKind::OpenFailed, .at = clock_.now(), .failure = failure});
    const bool final = context.attempt >= attempts_max ||
                       failure.persistence == Persistence::Permanent ||
                       failure.persistence == Persistence::Cancelled;
    if (final) return Unexpected(std::move(opened).error());
    const Duration delay =
        std::max(backoff.next(random_.unit()), failure.retry_after.value_or(Duration::zero()));
    Result<void> paused = pause(delay, context, opened.error());
    if (!paused) return paused;
  }
}

// Sleeps between attempts; never past the deadline, where the attempt before it is the last.
template <class T>
Result<void> Pool<T>::pause(Duration delay, const CallContext& context, const Error& cause) {
  const Instant wake = saturating_add(clock_.now(), delay);
  if (wake >= context.deadline) return Unexpected(cause);
  if (!clock_.wait_until(wake, context.stop)) return Unexpected(Error::cancelled());
  return {};
}

template <class T>
bool Pool<T>::is_valid(std::size_t slot) {
  bool valid = true;
  try {
    valid = !validator_ || validator_(*objects_[slot]);
  } catch (...) {  // A check that blows up has found something.
    valid = false;
  }
  if (valid) return true;
  counters_.add(Counter::ValidationFailed);
  listeners_.emit({.kind = EventKind::ValidationFailed, .at = clock_.now()});
  return false;
}

template <class T>
void Pool<T>::close(std::size_t slot) {
  if (!objects_[slot]) return;
  objects_[slot].reset();
  counters_.add(Counter::Closed);
}

template <class T>
void Pool<T>::take_back(std::size_t slot) noexcept {
  if (objects_[slot]) {
    turnstile_.keep(slot);
  } else {
    turnstile_.discard(slot);
  }
}

template <class T>
std::size_t Pool<T>::evict(Instant now) {
  std::size_t closed = 0;
  while (const std::optional<std::size_t> slot = turnstile_.enter_for_expired(now)) {
    const Lease lease(*this, *slot);
    close(*slot);
    ++closed;
  }
  while (const std::optional<std::size_t> slot = turnstile_.enter_for_min_idle()) {
    const Lease lease(*this, *slot);
    const CallContext context{.deadline = saturating_add(now, config_.max_wait)};
    if (!open(*slot, context, config_.connect_attempts)) break;
  }
  return closed;
}

template <class T>
Metrics Pool<T>::metrics() const noexcept {
  return {.borrowed = counters_.value(Counter::Borrowed),
          .waited = turnstile_.waits(),
          .exhausted = counters_.value(Counter::Exhausted),
          .opened = counters_.value(Counter::Opened),
          .open_failed = counters_.value(Counter::OpenFailed),
          .closed = counters_.value(Counter::Closed),
          .validation_failed = counters_.value(Counter::ValidationFailed),
          .idle = turnstile_.idle(),
          .out = turnstile_.out()};
}

}  // namespace recover::pool

namespace recover {
using pool::Pool;
}  // namespace recover
