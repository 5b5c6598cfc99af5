// Who holds which place in a pool, and whose turn it is: the configuration, the pure ledger, and
// the turnstile that adds a lock and a queue to it.
//
// Knows nothing of the objects themselves: see pool.h. Invariant: a slot is free, idle or out, and
// out with one borrower at most.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stop_token>
#include <vector>

#include <recover/backoff.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::pool {

inline constexpr std::size_t kPoolSizeMax = 4'096;
inline constexpr std::size_t kPoolWaitersMax = 65'536;

// Resilience4j has no pool; sizes and times default to those of HikariCP 5 (maximumPoolSize,
// connectionTimeout, aliveBypassWindowMs, idleTimeout, maxLifetime), the attempts to Resilience4j's
// RetryConfig.
struct PoolConfig {
  std::size_t max_size = 10;        // 1 to kPoolSizeMax.
  std::size_t min_idle = 0;         // Kept by evict(); at most max_size.
  std::size_t max_waiters = 1'024;  // Borrowers waiting at once; at most kPoolWaitersMax.
  Duration max_wait = std::chrono::seconds{30};  // For an object to come back; 0: do not wait.
  // Objects idle for at least this long are checked before they are lent. 0: always.
  Duration validate_after_idle = std::chrono::milliseconds{500};
  Duration idle_timeout = std::chrono::minutes{10};  // More than 0.
  Duration max_lifetime = std::chrono::minutes{30};  // More than 0; counted from opening.
  std::uint32_t connect_attempts = 3;      // At least 1; a permanent failure ends them early.
  BackoffConfig backoff = {};              // Between the attempts.
  std::optional<std::uint64_t> seed = {};  // Of the backoff's jitter; nullopt: from entropy.

  // InvalidConfig naming the field.
  Result<void> validate() const;
};

// What a borrower has to do with the slot it was given.
enum class Todo : std::uint8_t {
  Nothing,   // The object is good to use.
  Validate,  // It has been idle: check it, and reopen it when the check fails.
  Open,      // Destroy what is in the slot, if anything, and open a new object.
};

struct Grant {
  std::size_t slot = 0;
  Todo todo = Todo::Open;
};

// Who holds which slot and for how long: the pure part. No clock, no lock; allocates only when
// constructed. A slot is free, idle, or out with a borrower.
class Ledger {
 public:
  // REQUIRES: config valid.
  explicit Ledger(const PoolConfig& config);

  // The most recently used idle slot, else a free one; nothing when all are out.
  std::optional<Grant> acquire(Instant now) noexcept;
  // A free slot if there are fewer than min_idle idle ones.
  std::optional<std::size_t> acquire_for_min_idle() noexcept;
  // An idle slot past max_lifetime, or past idle_timeout while more than min_idle are idle.
  std::optional<std::size_t> acquire_expired(Instant now) noexcept;

  // REQUIRES of the three: the slot is out.
  void opened(std::size_t slot, Instant now) noexcept;  // It stays out, with a new object in it.
  void keep(std::size_t slot, Instant now) noexcept;    // It becomes idle.
  void discard(std::size_t slot) noexcept;              // It becomes free; the object is gone.

  std::size_t idle() const noexcept { return idle_.size(); }
  std::size_t out() const noexcept { return slots_.size() - idle_.size() - free_.size(); }

 private:
  struct Slot {
    Instant opened_at;
    Instant idle_since;
    bool out = false;
  };

  bool expired(const Slot& slot, Instant now) const noexcept;

  Duration validate_after_idle_;
  Duration idle_timeout_;
  Duration max_lifetime_;
  std::size_t min_idle_;
  std::vector<Slot> slots_;
  std::vector<std::size_t> idle_;  // Least recently used first.
  std::vector<std::size_t> free_;
};

// The ledger with a lock and a queue before it. First come, first served. Any thread.
class Turnstile {
 public:
  // REQUIRES: config valid; clock outlives the turnstile.
  Turnstile(const PoolConfig& config, Clock& clock);
  Turnstile(const Turnstile&) = delete;
  Turnstile& operator=(const Turnstile&) = delete;
  ~Turnstile();

  // Waits for a slot until `deadline` or a stop. Errors: PoolExhausted, Cancelled.
  Result<Grant> enter(Instant now, Instant deadline, const std::stop_token& stop);

  std::optional<std::size_t> enter_for_min_idle();
  std::optional<std::size_t> enter_for_expired(Instant now);
  void opened(std::size_t slot);
  void keep(std::size_t slot);
  void discard(std::size_t slot);

  // Of some recent moment; no lock.
  std::size_t idle() const noexcept { return idle_.load(std::memory_order_relaxed); }
  std::size_t out() const noexcept { return out_.load(std::memory_order_relaxed); }
  std::uint64_t waits() const noexcept { return waits_.load(std::memory_order_relaxed); }

 private:
  struct Waiter {
    std::optional<Grant> grant;
    std::stop_source wake;
  };

  void serve_waiters(Instant now);
  void publish() noexcept;

  Clock& clock_;
  const std::size_t max_waiters_;
  std::mutex mutex_;  // Guards the two below.
  Ledger ledger_;
  std::vector<Waiter*> waiters_;  // Oldest first.
  std::atomic<std::size_t> idle_{0};
  std::atomic<std::size_t> out_{0};
  std::atomic<std::uint64_t> waits_{0};
};

}  // namespace recover::pool

namespace recover {
using pool::PoolConfig;
}  // namespace recover
