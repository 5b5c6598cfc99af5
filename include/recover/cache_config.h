// The vocabulary of the cache: lifetimes, how fresh a value of some age is, and what is reported.
// Plain values and pure decisions; the cache itself is in cache.h.
#pragma once

#include <cstddef>
#include <cstdint>

#include <recover/error.h>
#include <recover/result.h>
#include <recover/time.h>

namespace recover::cache {

inline constexpr std::size_t kEntriesMax = std::size_t{1} << 24U;

// Resilience4j's Cache delegates lifetimes to JCache and has no defaults for them; these are ours.
struct CacheConfig {
  std::size_t entries_max = 1'024;              // 1 to kEntriesMax.
  Duration max_age = std::chrono::seconds{60};  // Fresh below this age; 0: never.
  // Beyond max_age, for this long: one caller loads, the others get the stale value at once.
  Duration stale_while_revalidate = Duration::zero();
  // Beyond max_age, for this long: the stale value is the answer when the load fails.
  Duration stale_if_error = std::chrono::hours{1};
  // How long a failed load answers for its key before the next one; 0: not at all.
  Duration negative_ttl = Duration::zero();

  // InvalidConfig naming the field.
  Result<void> validate() const;
};

enum class Freshness : std::uint8_t {
  Fresh,         // To be used as it is.
  Revalidate,    // Usable at once, while one caller loads a new one.
  StaleIfError,  // Usable only when the load fails.
  Expired,       // Not usable.
};

// REQUIRES: config valid, age >= 0. Every window includes its start and excludes its end.
constexpr Freshness freshness_of(const CacheConfig& config, Duration age) noexcept {
  if (age < config.max_age) return Freshness::Fresh;
  const Duration stale_for = age - config.max_age;
  if (stale_for < config.stale_while_revalidate) return Freshness::Revalidate;
  if (stale_for < config.stale_if_error) return Freshness::StaleIfError;
  return Freshness::Expired;
}

// Whether the old value may stand in for this failure. A permanent failure is an answer: what is
// gone or forbidden now must not be served from memory.
constexpr bool stale_may_replace(const Classification& failure) noexcept {
  return failure.persistence == Persistence::Transient ||
         failure.persistence == Persistence::Throttled;
}

template <class V>
struct Lookup {
  V value;
  Duration age{};
  Freshness freshness = Freshness::Fresh;
  bool after_error = false;  // A load failed, and this stands in for its result.
};

enum class EventKind : std::uint8_t {
  LoadFailed,   // The caller gets the failure.
  ServedStale,  // The load failed; the caller gets the value of age `age`.
};

struct Event {
  EventKind kind = EventKind::LoadFailed;
  Instant at;
  Duration age{};
  Classification failure = {};
};

struct Metrics {
  std::uint64_t hits = 0;        // Fresh.
  std::uint64_t stale_hits = 0;  // While another caller revalidates.
  std::uint64_t loads = 0;
  std::uint64_t load_failures = 0;
  std::uint64_t served_on_error = 0;
  std::uint64_t joined = 0;         // Callers that waited for another's load.
  std::uint64_t negative_hits = 0;  // Failures answered from memory.
  std::uint64_t evictions = 0;
  std::size_t entries = 0;
};

}  // namespace recover::cache

namespace recover {
using cache::CacheConfig;
}  // namespace recover
