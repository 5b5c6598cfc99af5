#include "backup/store/bandwidth.h"

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include <recover/time.h>

namespace recover::backup {
namespace {

constexpr std::size_t kUnit = 1024;
// Of a bucket: what may go at one moment. Little, so that the rate is even.
constexpr std::uint32_t kBurstDivisor = 8;

}  // namespace

Bandwidth::Bandwidth(const BandwidthLimits& limits)
    : upload_(direction_of(limits.upload_kib_per_second)),
      download_(direction_of(limits.download_kib_per_second)) {}

Bandwidth::Direction Bandwidth::direction_of(std::uint64_t kib_per_second) {
  Direction direction;
  if (kib_per_second == 0) return direction;
  constexpr std::uint64_t kMost = 100'000'000;  // 95 GiB/s: more is no limit.
  const auto limit = static_cast<std::uint32_t>(std::min(kib_per_second, kMost));
  direction.bucket.emplace(ratelimiter::Quota{.limit = limit,
                                              .period = std::chrono::seconds(1),
                                              .burst = std::max(1U, limit / kBurstDivisor)},
                           SteadyClock::instance().now());
  return direction;
}

void Bandwidth::pass(Direction& direction, std::size_t bytes) {
  if (!direction.bucket) return;
  Duration wait = Duration::zero();
  {
    const std::lock_guard lock(mutex_);
    const std::size_t owed = direction.change + bytes;
    direction.change = owed % kUnit;
    const auto permits = static_cast<std::uint32_t>(
        std::min<std::size_t>(owed / kUnit, std::numeric_limits<std::uint32_t>::max()));
    if (permits == 0) return;
    wait = direction.bucket->reserve(SteadyClock::instance().now(), permits, Duration::max())
               .value_or(Duration::zero());
  }
  std::this_thread::sleep_for(wait);
}

}  // namespace recover::backup
