// Remembers the last good result for each key, so that a dependency that is slow or down need not
// be asked again, or can be answered for.
//
// The lifetimes are those of HTTP: fresh for max_age (RFC 9111), then usable while one caller
// revalidates and when that fails (RFC 5861). Not a store of record: bounded, forgets the least
// recently used. Invariant: at most one load of a key is under way at a time.
#pragma once

#include <algorithm>
#include <atomic>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <list>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <unordered_map>
#include <utility>
#include <variant>

#include <recover/cache_config.h>
#include <recover/check.h>
#include <recover/counters.h>
#include <recover/error.h>
#include <recover/event.h>
#include <recover/operation.h>
#include <recover/result.h>
#include <recover/time.h>
#include <recover/timer.h>

namespace recover::cache {

// Any thread. One short lock a lookup, in which V is copied: for large values use
// std::shared_ptr<const T>. Loaders run outside the lock. A hit allocates what copying V does.
template <class K, class V, class Hash = std::hash<K>>
class Cache {
  static_assert(std::copy_constructible<K> && std::copy_constructible<V>);

 public:
  // REQUIRES: config valid; clock outlives the cache.
  explicit Cache(const CacheConfig& config = {}, Clock& clock = SteadyClock::instance())
      : config_(config), clock_(clock) {
    RECOVER_CHECK_VALID(config);
  }

  // What is known for `key`, however stale but not expired.
  std::optional<Lookup<V>> find(const K& key) { return find(key, clock_.now()); }
  std::optional<Lookup<V>> find(const K& key, Instant now) {
    const std::lock_guard lock(mutex_);
    const Entry* entry = touch(key, now);
    if (entry == nullptr || !entry->value) return std::nullopt;
    return lookup(*entry, now);
  }

  void store(const K& key, V value) { store(key, std::move(value), clock_.now()); }
  void store(const K& key, V value, Instant now) {
    const std::lock_guard lock(mutex_);
    overtake(key);
    put(key, {.value = std::move(value), .stored_at = now});
  }
  // A load under way still answers those who wait for it, but what it brings is not kept; so it is
  // with store().
  bool erase(const K& key);

  // The fresh value, else the result of `loader`: an operation that returns V or Result<V>. While
  // one caller loads, others for the same key wait for its result and do not load. Errors: the
  // loader's, Cancelled, and TimeoutExceeded when the context's deadline ends a wait for another
  // caller's load. The loader must not call get_or_load for the same key.
  template <OperationReturning<V> F>
  Result<Lookup<V>> get_or_load(const K& key, F&& loader, const CallContext& context = {}) {
    return get_or_load(key, loader, context, clock_.now());
  }
  template <OperationReturning<V> F>
  Result<Lookup<V>> get_or_load(const K& key, F&& loader, const std::stop_token& stop) {
    return get_or_load(key, loader, CallContext{.stop = stop});
  }
  template <OperationReturning<V> F>
  Result<Lookup<V>> get_or_load(const K& key, F&& loader, const CallContext& context, Instant now);

  // No lock.
  Metrics metrics() const noexcept;
  Subscription on_event(std::function<void(const Event&)> listener) {
    return listeners_.add(std::move(listener));
  }

 private:
  enum class Counter : std::uint8_t {
    Hit,
    StaleHit,
    Load,
    LoadFailed,
    ServedOnError,
    Joined,
    NegativeHit,
    Evicted,
    Count,
  };

  struct Entry {
    std::optional<V> value = std::nullopt;
    Instant stored_at = {};
    std::optional<Result<V>> failure = std::nullopt;  // Of the latest load; for negative_ttl.
    Instant failed_at = {};
  };

  // One load under way. `outcome` is set before `done` fires, or never when the load was cancelled.
  struct Flight {
    std::stop_source done;
    std::optional<Result<V>> outcome;
    bool overtaken = false;  // By a store or an erase: its outcome is old. Under the mutex.
  };

  // Ends a flight whatever happens, so that nobody waits for it for ever.
  class Landing {
   public:
    Landing(Cache& cache, const K& key, std::shared_ptr<Flight> flight)
        : cache_(cache), key_(key), flight_(std::move(flight)) {}
    Landing(const Landing&) = delete;
    Landing& operator=(const Landing&) = delete;
    ~Landing() {
      {
        const std::lock_guard lock(cache_.mutex_);
        cache_.flights_.erase(key_);
      }
      flight_->done.request_stop();
    }

   private:
    Cache& cache_;
    const K& key_;
    std::shared_ptr<Flight> flight_;
  };

  // What the lock-holding part of a lookup found: an answer, a flight to join, or one to fly.
  struct Next {
    std::optional<Result<Lookup<V>>> answer = std::nullopt;
    std::shared_ptr<Flight> flight = nullptr;
    bool leads = false;
  };
  using Node = std::pair<K, Entry>;

  template <class F>
  Result<Lookup<V>> lead(const K& key, F& loader, const CallContext& context,
                         const std::shared_ptr<Flight>& flight);
  std::optional<Result<Lookup<V>>> follow(const K& key, const CallContext& context,
                                          const Flight& flight);
  Next look(const K& key, Instant now);
  Entry* touch(const K& key, Instant now);
  void put(const K& key, Entry entry);
  void overtake(const K& key) {
    const auto found = flights_.find(key);
    if (found != flights_.end()) found->second->overtaken = true;
  }
  Lookup<V> lookup(const Entry& entry, Instant now) const {
    const Duration age = std::max(now - entry.stored_at, Duration::zero());
    return {.value = *entry.value, .age = age, .freshness = freshness_of(config_, age)};
  }
  bool negative(const Entry& entry, Instant now) const {
    return entry.failure && now - entry.failed_at < config_.negative_ttl;
  }
  void remember(const K& key, const Result<V>& outcome, const Flight& flight);
  static Result<Lookup<V>> as_it_is(Result<V> outcome) {
    if (!outcome) return Unexpected(std::move(outcome).error());
    return Lookup<V>{.value = std::move(*outcome)};
  }
  Result<Lookup<V>> answer_for(const K& key, Result<V> outcome);

  const CacheConfig config_;
  Clock& clock_;
  std::mutex mutex_;       // Guards the three below.
  std::list<Node> nodes_;  // Most recently used first.
  std::unordered_map<K, typename std::list<Node>::iterator, Hash> index_;
  std::unordered_map<K, std::shared_ptr<Flight>, Hash> flights_;
  std::atomic<std::size_t> entries_{0};
  Counters<Counter> counters_;
  Listeners<Event> listeners_;
};

template <class K, class V, class Hash>
template <OperationReturning<V> F>
Result<Lookup<V>> Cache<K, V, Hash>::get_or_load(const K& key, F&& loader,
                                                 const CallContext& context, Instant now) {
  for (;;) {
    Next next = look(key, now);
    if (next.answer) return std::move(*next.answer);
    if (next.leads) return lead(key, loader, context, next.flight);
    std::optional<Result<Lookup<V>>> answer = follow(key, context, *next.flight);
    if (answer) return std::move(*answer);
    now = clock_.now();
  }
}

// Loads for all who wait. A load that was cancelled says nothing to them: it leaves no outcome.
template <class K, class V, class Hash>
template <class F>
Result<Lookup<V>> Cache<K, V, Hash>::lead(const K& key, F& loader, const CallContext& context,
                                          const std::shared_ptr<Flight>& flight) {
  const Landing landing(*this, key, flight);
  if (context.stop.stop_requested()) return Unexpected(Error::cancelled());
  counters_.add(Counter::Load);
  Result<V> outcome = invoke_operation(loader, context);
  const std::optional<Classification> failure = failure_of(outcome);
  if (failure && failure->persistence == Persistence::Cancelled) {
    return as_it_is(std::move(outcome));
  }
  remember(key, outcome, *flight);
  flight->outcome.emplace(outcome);
  return answer_for(key, std::move(outcome));
}

// The outcome of another caller's load; nothing when that was cancelled and it is our turn.
template <class K, class V, class Hash>
std::optional<Result<Lookup<V>>> Cache<K, V, Hash>::follow(const K& key, const CallContext& context,
                                                           const Flight& flight) {
  counters_.add(Counter::Joined);
  if (!wait_for_signal(clock_, context.deadline, flight.done.get_token(), context.stop)) {
    if (context.stop.stop_requested()) return Result<Lookup<V>>(Unexpected(Error::cancelled()));
    return answer_for(key, Unexpected(Error::timeout_exceeded()));
  }
  if (!flight.outcome) return std::nullopt;
  return answer_for(key, *flight.outcome);
}

template <class K, class V, class Hash>
auto Cache<K, V, Hash>::look(const K& key, Instant now) -> Next {
  const std::lock_guard lock(mutex_);
  const Entry* entry = touch(key, now);
  std::optional<Lookup<V>> known;
  if (entry != nullptr && entry->value) known = lookup(*entry, now);
  if (known && known->freshness == Freshness::Fresh) {
    counters_.add(Counter::Hit);
    return {.answer = std::move(*known)};
  }
  if (entry != nullptr && negative(*entry, now)) {
    counters_.add(Counter::NegativeHit);
    if (!known || !stale_may_replace(*failure_of(*entry->failure))) {
      return {.answer = as_it_is(*entry->failure)};
    }
    known->after_error = true;
    return {.answer = std::move(*known)};
  }
  const auto found = flights_.find(key);
  if (found == flights_.end()) {
    auto flight = std::make_shared<Flight>();
    flights_.emplace(key, flight);
    return {.flight = std::move(flight), .leads = true};
  }
  if (known && known->freshness == Freshness::Revalidate) {
    counters_.add(Counter::StaleHit);
    return {.answer = std::move(*known)};
  }
  return {.flight = found->second};
}

// The entry of `key`, now the most recently used; null when there is none worth keeping.
// REQUIRES: mutex_ held.
template <class K, class V, class Hash>
auto Cache<K, V, Hash>::touch(const K& key, Instant now) -> Entry* {
  const auto found = index_.find(key);
  if (found == index_.end()) return nullptr;
  nodes_.splice(nodes_.begin(), nodes_, found->second);
  Entry& entry = found->second->second;
  const bool expired =
      entry.value && freshness_of(config_, now - entry.stored_at) == Freshness::Expired;
  if (expired) entry.value.reset();
  if (entry.value || negative(entry, now)) return &entry;
  nodes_.erase(found->second);
  index_.erase(found);
  entries_.store(index_.size(), std::memory_order_relaxed);
  return nullptr;
}

// REQUIRES: mutex_ held.
template <class K, class V, class Hash>
void Cache<K, V, Hash>::put(const K& key, Entry entry) {
  const auto found = index_.find(key);
  if (found != index_.end()) {
    found->second->second = std::move(entry);
    nodes_.splice(nodes_.begin(), nodes_, found->second);
    return;
  }
  if (index_.size() >= config_.entries_max) {
    index_.erase(nodes_.back().first);
    nodes_.pop_back();
    counters_.add(Counter::Evicted);
  }
  nodes_.emplace_front(key, std::move(entry));
  index_.emplace(key, nodes_.begin());
  entries_.store(index_.size(), std::memory_order_relaxed);
}

template <class K, class V, class Hash>
bool Cache<K, V, Hash>::erase(const K& key) {
  const std::lock_guard lock(mutex_);
  overtake(key);
  const auto found = index_.find(key);
  if (found == index_.end()) return false;
  nodes_.erase(found->second);
  index_.erase(found);
  entries_.store(index_.size(), std::memory_order_relaxed);
  return true;
}

template <class K, class V, class Hash>
void Cache<K, V, Hash>::remember(const K& key, const Result<V>& outcome, const Flight& flight) {
  const Instant now = clock_.now();
  const std::lock_guard lock(mutex_);
  if (flight.overtaken) return;
  if (!failure_of(outcome)) {
    put(key, {.value = *outcome, .stored_at = now});
    return;
  }
  counters_.add(Counter::LoadFailed);
  if (config_.negative_ttl <= Duration::zero()) return;
  Entry* entry = touch(key, now);
  if (entry == nullptr) {
    put(key, {.failure = outcome, .failed_at = now});
    return;
  }
  entry->failure = outcome;
  entry->failed_at = now;
}

// A good outcome as it is; for a failure the stale value, when there is one that may stand in.
template <class K, class V, class Hash>
Result<Lookup<V>> Cache<K, V, Hash>::answer_for(const K& key, Result<V> outcome) {
  const std::optional<Classification> failure = failure_of(outcome);
  if (!failure) return as_it_is(std::move(outcome));
  const Instant now = clock_.now();
  std::optional<Lookup<V>> known;
  if (stale_may_replace(*failure)) known = find(key, now);
  if (known) counters_.add(Counter::ServedOnError);
  listeners_.emit({.kind = known ? EventKind::ServedStale : EventKind::LoadFailed,
                   .at = now,
                   .age = known ? known->age : Duration::zero(),
                   .failure = *failure});
  if (!known) return as_it_is(std::move(outcome));
  known->after_error = true;
  return std::move(*known);
}

template <class K, class V, class Hash>
Metrics Cache<K, V, Hash>::metrics() const noexcept {
  return {.hits = counters_.value(Counter::Hit),
          .stale_hits = counters_.value(Counter::StaleHit),
          .loads = counters_.value(Counter::Load),
          .load_failures = counters_.value(Counter::LoadFailed),
          .served_on_error = counters_.value(Counter::ServedOnError),
          .joined = counters_.value(Counter::Joined),
          .negative_hits = counters_.value(Counter::NegativeHit),
          .evictions = counters_.value(Counter::Evicted),
          .entries = entries_.load(std::memory_order_relaxed)};
}

// The same for one value: what a single call last returned when it went well.
template <class T>
class LastGoodCache {
 public:
  // REQUIRES: config valid (entries_max is of no account); clock outlives the cache.
  explicit LastGoodCache(const CacheConfig& config = {}, Clock& clock = SteadyClock::instance())
      : cache_(config, clock) {}

  std::optional<Lookup<T>> find() { return cache_.find({}); }
  std::optional<Lookup<T>> find(Instant now) { return cache_.find({}, now); }
  void store(T value) { cache_.store({}, std::move(value)); }
  void store(T value, Instant now) { cache_.store({}, std::move(value), now); }
  bool erase() { return cache_.erase({}); }

  // As Cache::get_or_load.
  template <OperationReturning<T> F>
  Result<Lookup<T>> get_or_load(F&& loader, const CallContext& context = {}) {
    return cache_.get_or_load({}, loader, context);
  }
  template <OperationReturning<T> F>
  Result<Lookup<T>> get_or_load(F&& loader, const std::stop_token& stop) {
    return cache_.get_or_load({}, loader, stop);
  }
  template <OperationReturning<T> F>
  Result<Lookup<T>> get_or_load(F&& loader, const CallContext& context, Instant now) {
    return cache_.get_or_load({}, loader, context, now);
  }

  Metrics metrics() const noexcept { return cache_.metrics(); }
  Subscription on_event(std::function<void(const Event&)> listener) {
    return cache_.on_event(std::move(listener));
  }

 private:
  Cache<std::monostate, T> cache_;
};

}  // namespace recover::cache

namespace recover {
using cache::Cache;
using cache::LastGoodCache;
}  // namespace recover
