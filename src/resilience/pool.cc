#include <algorithm>
#include <string>

#include <recover/pool.h>
#include <recover/timer.h>

namespace recover::pool {
namespace {

Result<void> check(bool good, const char* field, const char* rule, std::int64_t got) {
  if (good) return {};
  return Unexpected(Error::invalid_config("pool." + std::string(field) + ": must be " + rule +
                                          ", got " + std::to_string(got)));
}

Result<void> check_sizes(const PoolConfig& config) {
  const auto max_size = static_cast<std::int64_t>(config.max_size);
  const auto min_idle = static_cast<std::int64_t>(config.min_idle);
  const auto waiters = static_cast<std::int64_t>(config.max_waiters);
  Result<void> verdict = check(config.max_size >= 1 && config.max_size <= kPoolSizeMax, "max_size",
                               "1 to 4096", max_size);
  if (verdict) verdict = check(min_idle <= max_size, "min_idle", "at most max_size", min_idle);
  if (verdict) {
    verdict = check(config.max_waiters <= kPoolWaitersMax, "max_waiters", "at most 65536", waiters);
  }
  if (verdict) {
    verdict = check(config.connect_attempts >= 1, "connect_attempts", "at least 1", 0);
  }
  return verdict;
}

Result<void> check_times(const PoolConfig& config) {
  constexpr Duration kZero = Duration::zero();
  Result<void> verdict =
      check(config.max_wait >= kZero, "max_wait", "at least 0 ns", config.max_wait.count());
  if (verdict) {
    verdict = check(config.validate_after_idle >= kZero, "validate_after_idle", "at least 0 ns",
                    config.validate_after_idle.count());
  }
  if (verdict) {
    verdict = check(config.idle_timeout > kZero, "idle_timeout", "more than 0 ns",
                    config.idle_timeout.count());
  }
  if (verdict) {
    verdict = check(config.max_lifetime > kZero, "max_lifetime", "more than 0 ns",
                    config.max_lifetime.count());
  }
  return verdict;
}

}  // namespace

Result<void> PoolConfig::validate() const {
  Result<void> verdict = check_sizes(*this);
  if (verdict) verdict = check_times(*this);
  if (verdict) verdict = backoff.validate();
  return verdict;
}

Ledger::Ledger(const PoolConfig& config)
    : validate_after_idle_(config.validate_after_idle),
      idle_timeout_(config.idle_timeout),
      max_lifetime_(config.max_lifetime),
      min_idle_(config.min_idle),
      slots_(config.max_size) {
  idle_.reserve(config.max_size);
  free_.reserve(config.max_size);
  for (std::size_t slot = config.max_size; slot > 0; --slot) free_.push_back(slot - 1);
}

bool Ledger::expired(const Slot& slot, Instant now) const noexcept {
  return now - slot.opened_at >= max_lifetime_ || now - slot.idle_since >= idle_timeout_;
}

std::optional<Grant> Ledger::acquire(Instant now) noexcept {
  if (idle_.empty()) {
    if (free_.empty()) return std::nullopt;
    const std::size_t slot = free_.back();
    free_.pop_back();
    slots_[slot].out = true;
    return Grant{.slot = slot, .todo = Todo::Open};
  }
  const std::size_t slot = idle_.back();
  idle_.pop_back();
  slots_[slot].out = true;
  if (expired(slots_[slot], now)) return Grant{.slot = slot, .todo = Todo::Open};
  const bool check_first = now - slots_[slot].idle_since >= validate_after_idle_;
  return Grant{.slot = slot, .todo = check_first ? Todo::Validate : Todo::Nothing};
}

std::optional<std::size_t> Ledger::acquire_for_min_idle() noexcept {
  if (idle_.size() >= min_idle_ || free_.empty()) return std::nullopt;
  const std::size_t slot = free_.back();
  free_.pop_back();
  slots_[slot].out = true;
  return slot;
}

std::optional<std::size_t> Ledger::acquire_expired(Instant now) noexcept {
  const auto found = std::find_if(idle_.begin(), idle_.end(), [&](std::size_t slot) {
    const bool worn_out = now - slots_[slot].opened_at >= max_lifetime_;
    return worn_out || (idle_.size() > min_idle_ && expired(slots_[slot], now));
  });
  if (found == idle_.end()) return std::nullopt;
  const std::size_t slot = *found;
  idle_.erase(found);
  slots_[slot].out = true;
  return slot;
}

void Ledger::opened(std::size_t slot, Instant now) noexcept {
  RECOVER_CHECK(slots_[slot].out);
  slots_[slot].opened_at = now;
}

void Ledger::keep(std::size_t slot, Instant now) noexcept {
  RECOVER_CHECK(slots_[slot].out);
  slots_[slot].out = false;
  slots_[slot].idle_since = now;
  idle_.push_back(slot);
}

void Ledger::discard(std::size_t slot) noexcept {
  RECOVER_CHECK(slots_[slot].out);
  slots_[slot].out = false;
  free_.push_back(slot);
}

Turnstile::Turnstile(const PoolConfig& config, Clock& clock)
    : clock_(clock), max_waiters_(config.max_waiters), ledger_(config) {
  RECOVER_CHECK_VALID(config);
}

Turnstile::~Turnstile() {
  RECOVER_CHECK(waiters_.empty());
  RECOVER_CHECK(ledger_.out() == 0);  // A lease outlives its pool.
}

Result<Grant> Turnstile::enter(Instant now, Instant deadline, const std::stop_token& stop) {
  if (stop.stop_requested()) return Unexpected(Error::cancelled());
  std::unique_lock lock(mutex_);
  if (waiters_.empty()) {
    if (const std::optional<Grant> grant = ledger_.acquire(now)) {
      publish();
      return *grant;
    }
  }
  if (deadline <= now || waiters_.size() >= max_waiters_) {
    return Unexpected(Error(Rejection{.kind = ErrorKind::PoolExhausted}));
  }
  Waiter waiter;
  waiters_.push_back(&waiter);
  waits_.fetch_add(1, std::memory_order_relaxed);
  lock.unlock();
  wait_for_signal(clock_, deadline, waiter.wake.get_token(), stop);
  lock.lock();
  if (waiter.grant) return *waiter.grant;
  std::erase(waiters_, &waiter);
  if (stop.stop_requested()) return Unexpected(Error::cancelled());
  return Unexpected(Error(Rejection{.kind = ErrorKind::PoolExhausted}));
}

std::optional<std::size_t> Turnstile::enter_for_min_idle() {
  const std::lock_guard lock(mutex_);
  const std::optional<std::size_t> slot = ledger_.acquire_for_min_idle();
  publish();
  return slot;
}

std::optional<std::size_t> Turnstile::enter_for_expired(Instant now) {
  const std::lock_guard lock(mutex_);
  const std::optional<std::size_t> slot = ledger_.acquire_expired(now);
  publish();
  return slot;
}

void Turnstile::opened(std::size_t slot) {
  const Instant now = clock_.now();
  const std::lock_guard lock(mutex_);
  ledger_.opened(slot, now);
}

void Turnstile::keep(std::size_t slot) {
  const Instant now = clock_.now();
  const std::lock_guard lock(mutex_);
  ledger_.keep(slot, now);
  serve_waiters(now);
  publish();
}

void Turnstile::discard(std::size_t slot) {
  const Instant now = clock_.now();
  const std::lock_guard lock(mutex_);
  ledger_.discard(slot);
  serve_waiters(now);
  publish();
}

// REQUIRES: mutex_ held. Waking under the lock keeps the waiter's frame alive: it cannot leave
// enter() before it has the lock.
void Turnstile::serve_waiters(Instant now) {
  while (!waiters_.empty()) {
    const std::optional<Grant> grant = ledger_.acquire(now);
    if (!grant) return;
    Waiter& waiter = *waiters_.front();
    waiters_.erase(waiters_.begin());
    waiter.grant = grant;
    waiter.wake.request_stop();
  }
}

// REQUIRES: mutex_ held.
void Turnstile::publish() noexcept {
  idle_.store(ledger_.idle(), std::memory_order_relaxed);
  out_.store(ledger_.out(), std::memory_order_relaxed);
}

}  // namespace recover::pool
