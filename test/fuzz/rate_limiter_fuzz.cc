// Bytes are a limit and the calls made under it: the thread-safe limiter grants what the token
// bucket grants, and no more than the burst and the rate allow.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <recover/rate_limiter.h>
#include <recover/token_bucket.h>

#include "script.h"

namespace recover::ratelimiter {
namespace {

using test::require;
using test::Script;

RateLimiterConfig read_config(Script& script) {
  constexpr std::int64_t kPeriods[] = {1'000'000'000, 7, 1'000, 999'999'937, 500'000};
  RateLimiterConfig config;
  config.algorithm = script.pick({Algorithm::TokenBucket, Algorithm::Gcra, Algorithm::FixedWindow});
  config.limit_for_period = 1 + script.below(7);
  config.limit_refresh_period = Duration{script.pick(kPeriods)};
  config.timeout_duration = config.limit_refresh_period * script.below(4);
  config.burst = config.algorithm == Algorithm::FixedWindow ? 0 : script.below(5);
  return config;
}

// Permits that time alone could have paid for since the start, rounded up, and the burst.
std::uint64_t most(const RateLimiterConfig& config, Duration since) {
  const auto period = static_cast<std::uint64_t>(config.limit_refresh_period.count());
  const auto elapsed = static_cast<std::uint64_t>(since.count());
  const std::uint64_t cycles = elapsed / period + 1;
  return cycles * config.limit_for_period + config.quota().burst;
}

void run(Script script) {
  const RateLimiterConfig config = read_config(script);
  require(config.validate().has_value(), "a valid configuration");
  const Instant start{Duration{1'000'000'007}};
  ManualClock clock(start);
  RateLimiter limiter(config, clock);
  TokenBucket bucket(config.quota(), start);
  const bool even = config.algorithm != Algorithm::FixedWindow;
  std::uint64_t granted = 0;
  while (!script.done()) {
    const unsigned choice = script.byte();
    clock.advance(config.limit_refresh_period * (choice % 16) / (1 + script.below(16)));
    const Instant now = clock.now();
    const std::uint32_t permits = choice / 16 % 4;
    const bool waits = choice >= 128;
    const Duration wait_max = waits ? config.timeout_duration : Duration::zero();
    const Result<Duration, Rejection> answer = limiter.reserve(now, permits, wait_max);
    if (even) {
      const std::optional<Duration> wanted = bucket.reserve(now, permits, wait_max);
      require(answer.has_value() == wanted.has_value(), "the limiter grants what the bucket does");
      require(!wanted || *answer == *wanted, "the same wait");
      require(limiter.available(now) == bucket.available(now), "the same number available");
    }
    if (!answer.has_value()) {
      require(answer.error().retry_after.value_or(Duration{1}) > Duration::zero(),
              "a refusal says to wait");
      continue;
    }
    require(*answer >= Duration::zero() && *answer <= wait_max, "no longer wait than allowed");
    granted += permits;
    require(granted <= most(config, now + *answer - start), "no more than the rate and the burst");
  }
}

}  // namespace
}  // namespace recover::ratelimiter

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  recover::ratelimiter::run(recover::test::Script(data, size));
  return 0;
}
