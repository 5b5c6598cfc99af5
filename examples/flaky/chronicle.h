// What happened, in sentences: listens to the policies and remembers the latest events.
//
// The policies call their listeners on the thread that caused the event, outside their locks.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <string>
#include <vector>

#include <recover/circuit_breaker.h>
#include <recover/retry_budget.h>
#include <recover/time.h>

#include "client.h"
#include "weather.h"

namespace flaky {

inline constexpr std::size_t kOccurrencesMax = 64;

enum class Tone : std::uint8_t { Neutral, Good, Warning, Bad };

struct Occurrence {
  Instant at;
  std::string who;
  std::string what;
  Tone tone = Tone::Neutral;
};

// Any thread.
class Chronicle {
 public:
  // Starts to listen. REQUIRES: outlives every call of the client.
  explicit Chronicle(Client& client);
  Chronicle(const Chronicle&) = delete;
  Chronicle& operator=(const Chronicle&) = delete;

  void note_weather(Weather weather);

  // Oldest first.
  std::vector<Occurrence> latest(std::size_t count) const;
  // Those after the first `seen`, as far as they are remembered.
  std::vector<Occurrence> since(std::uint64_t seen) const;
  std::uint64_t count() const;

  unsigned opened() const noexcept { return opened_.load(); }
  unsigned probed() const noexcept { return probed_.load(); }  // Half-opened.
  unsigned closed() const noexcept { return closed_.load(); }

 private:
  void note_breaker(const recover::circuitbreaker::Event& event, recover::CircuitBreaker& breaker);
  void note_budget(const recover::retry::RetryBudgetEvent& event);
  void add(std::string who, std::string what, Tone tone);

  std::atomic<unsigned> opened_{0};
  std::atomic<unsigned> probed_{0};
  std::atomic<unsigned> closed_{0};
  mutable std::mutex mutex_;  // Guards the two below.
  std::deque<Occurrence> occurrences_;
  std::uint64_t count_ = 0;
};

}  // namespace flaky
