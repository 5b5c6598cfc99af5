#include <condition_variable>
#include <mutex>

#include <recover/time.h>

namespace recover {
namespace {

// A stop request wakes the waiter at once; nothing polls.
bool block_until(Instant deadline, const std::stop_token& stop) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  if (deadline == kNever) {
    wake.wait(lock, stop, [] { return false; });
    return false;
  }
  wake.wait_until(lock, stop, deadline, [] { return false; });
  return !stop.stop_requested();
}

}  // namespace

SteadyClock& SteadyClock::instance() noexcept {
  static SteadyClock clock;
  return clock;
}

bool SteadyClock::wait_until(Instant deadline, const std::stop_token& stop) {
  return block_until(deadline, stop);
}

CoarseClock& CoarseClock::instance() noexcept {
  static CoarseClock clock;
  return clock;
}

bool CoarseClock::wait_until(Instant deadline, const std::stop_token& stop) {
  return block_until(deadline, stop);
}

bool ManualClock::wait_until(Instant deadline, const std::stop_token& stop) {
  if (stop.stop_requested()) return false;
  advance_to(deadline);
  return true;
}

void ManualClock::advance_to(Instant instant) noexcept {
  const std::int64_t target = instant.time_since_epoch().count();
  std::int64_t seen = ticks_.load();
  while (seen < target && !ticks_.compare_exchange_weak(seen, target)) {
  }
}

}  // namespace recover
