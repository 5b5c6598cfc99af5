#include <algorithm>
#include <condition_variable>
#include <string>

#include <recover/bulkhead.h>

namespace recover::bulkhead {
namespace {

const BulkheadConfig& checked(const BulkheadConfig& config) {
  RECOVER_CHECK_VALID(config);
  return config;
}

Error bad(const char* field, const char* rule, std::int64_t got) {
  return Error::invalid_config(std::string("bulkhead.") + field + ": must be " + rule + ", got " +
                               std::to_string(got));
}

// Blocks its own thread until granted. Its stop state is what a blocked wait allocates.
class BlockedCaller final : public Waiter {
 public:
  void granted(Permit permit) noexcept override {
    // All under the lock: the waiter is gone as soon as its thread has seen the permit.
    const std::lock_guard lock(mutex_);
    permit_ = std::move(permit);
    wake_.request_stop();
    arrived_.notify_one();
  }

  // Returns when granted, at the deadline, or on `stop`.
  void wait(Clock& clock, Instant deadline, const std::stop_token& stop) {
    {
      const std::lock_guard lock(mutex_);
      if (permit_.held()) return;
      wake_ = std::stop_source();
    }
    const std::stop_callback forward(stop, [this] { wake_.request_stop(); });
    clock.wait_until(deadline, wake_.get_token());
  }

  // REQUIRES: this waiter has been granted or is being granted.
  Permit take() {
    std::unique_lock lock(mutex_);
    arrived_.wait(lock, [this] { return permit_.held(); });
    return std::move(permit_);
  }

 private:
  std::mutex mutex_;
  std::condition_variable arrived_;
  std::stop_source wake_{std::nostopstate};
  Permit permit_;
};

}  // namespace

Result<void> BulkheadConfig::validate() const {
  constexpr std::uint32_t kMax = std::uint32_t{1} << 31U;
  if (max_concurrent_calls == 0 || max_concurrent_calls > kMax) {
    return Unexpected(bad("max_concurrent_calls", "from 1 to 2^31", max_concurrent_calls));
  }
  if (max_queued > kMax) return Unexpected(bad("max_queued", "at most 2^31", max_queued));
  if (max_wait_duration < Duration::zero()) {
    return Unexpected(bad("max_wait_duration", "at least 0", max_wait_duration.count()));
  }
  if (max_wait_duration > Duration::zero() && max_queued == 0) {
    return Unexpected(bad("max_queued", "at least 1 with a max_wait_duration", max_queued));
  }
  return {};
}

Bulkhead::Bulkhead(const BulkheadConfig& config, Clock& clock)
    : config_(checked(config)), clock_(clock) {}

Bulkhead::~Bulkhead() {
  RECOVER_CHECK(occupancy_.load(std::memory_order_acquire) == 0);
}

Result<Permit, Rejection> Bulkhead::enqueue(Waiter& waiter) {
  switch (enter_or_queue(waiter)) {
    case Place::Entered: counters_.add(Counter::Granted); return Permit(*this);
    case Place::Queued: counters_.add(Counter::Queued); return Permit();
    case Place::Full: break;
  }
  return reject();
}

bool Bulkhead::cancel(Waiter& waiter) noexcept {
  if (!withdraw(waiter)) return false;
  counters_.add(Counter::Cancelled);
  return true;
}

bool Bulkhead::expire(Waiter& waiter) {
  if (!withdraw(waiter)) return false;
  counters_.add(Counter::TimedOut);
  listeners_.emit({BulkheadEvent::Kind::WaitTimedOut});
  return true;
}

Result<Permit> Bulkhead::acquire(const CallContext& context) {
  if (context.stop.stop_requested()) return Unexpected(Error::cancelled());
  if (enter()) [[likely]]
    return Permit(*this);
  if (config_.max_wait_duration > Duration::zero()) {
    const Instant now = clock_.now();
    const Instant deadline =
        std::min(saturating_add(now, config_.max_wait_duration), context.deadline);
    if (deadline > now) return wait_in_queue(deadline, context.stop);
  }
  return Unexpected(Error(reject().error()));
}

Result<Permit> Bulkhead::wait_in_queue(Instant deadline, const std::stop_token& stop) {
  BlockedCaller caller;
  Result<Permit, Rejection> place = enqueue(caller);
  if (!place) return Unexpected(Error(place.error()));
  if (place->held()) return std::move(*place);
  caller.wait(clock_, deadline, stop);
  const bool stopped = stop.stop_requested();
  const bool left = stopped ? cancel(caller) : expire(caller);
  if (!left) return caller.take();
  if (stopped) return Unexpected(Error::cancelled());
  return Unexpected(Error(Rejection{.kind = ErrorKind::BulkheadFull}));
}

BulkheadMetrics Bulkhead::metrics() const noexcept {
  const Occupancy now(occupancy_.load(std::memory_order_relaxed));
  return {.granted = counters_.value(Counter::Granted),
          .rejected = counters_.value(Counter::Rejected),
          .queued = counters_.value(Counter::Queued),
          .timed_out = counters_.value(Counter::TimedOut),
          .cancelled = counters_.value(Counter::Cancelled),
          .in_use = now.in_use(),
          .waiting = now.waiting()};
}

Bulkhead::Place Bulkhead::enter_or_queue(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  RECOVER_CHECK(!waiter.queued_);
  Occupancy seen(occupancy_.load(std::memory_order_relaxed));
  for (;;) {
    if (seen.can_enter(config_)) {
      if (exchange(seen, seen.entered())) return Place::Entered;
    } else if (!seen.can_queue(config_)) {
      return Place::Full;
    } else if (exchange(seen, seen.queued())) {
      link(waiter);
      return Place::Queued;
    }
  }
}

bool Bulkhead::hand_over() noexcept {
  Waiter* next = nullptr;
  {
    const std::lock_guard lock(mutex_);
    next = first_;
    if (next == nullptr) return false;
    unlink(*next);
  }
  counters_.add(Counter::Granted);
  next->granted(Permit(*this));
  return true;
}

bool Bulkhead::withdraw(Waiter& waiter) noexcept {
  const std::lock_guard lock(mutex_);
  if (!waiter.queued_) return false;
  unlink(waiter);
  return true;
}

void Bulkhead::link(Waiter& waiter) noexcept {
  waiter.queued_ = true;
  waiter.next_ = nullptr;
  waiter.previous_ = last_;
  (last_ != nullptr ? last_->next_ : first_) = &waiter;
  last_ = &waiter;
}

void Bulkhead::unlink(Waiter& waiter) noexcept {
  waiter.queued_ = false;
  (waiter.previous_ != nullptr ? waiter.previous_->next_ : first_) = waiter.next_;
  (waiter.next_ != nullptr ? waiter.next_->previous_ : last_) = waiter.previous_;
  const Occupancy seen(occupancy_.load(std::memory_order_relaxed));
  occupancy_.store(seen.dequeued().word(), std::memory_order_release);
}

}  // namespace recover::bulkhead
