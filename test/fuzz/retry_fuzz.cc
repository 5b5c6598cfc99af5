// Bytes are a retry configuration and the failures of one call: whatever they are, the schedule
// ends, within its attempts, and never waits past its deadline.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include <recover/retry_schedule.h>

#include "script.h"

namespace recover::retry {
namespace {

using std::chrono::milliseconds;
using test::require;
using test::Script;

BackoffConfig read_backoff(Script& script) {
  BackoffConfig backoff;
  backoff.kind =
      script.pick({BackoffKind::Constant, BackoffKind::Linear, BackoffKind::Exponential});
  backoff.initial_interval = script.flip() ? milliseconds{script.byte()} : Duration::max();
  backoff.multiplier = 1.0 + script.byte() / 16.0;
  backoff.max_interval = script.flip() ? milliseconds{script.byte()} : kNoMaxInterval;
  backoff.jitter = script.pick({Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated,
                                Jitter::Proportional, Jitter::DecorrelatedV2});
  backoff.randomization_factor = script.byte() / 255.0;
  backoff.cap_after_jitter = script.flip();
  backoff.tick = script.flip() ? milliseconds{1} : Duration::zero();
  return backoff;
}

RetryConfig read_config(Script& script) {
  RetryConfig config;
  config.max_attempts = 1 + script.below(8);
  config.backoff = read_backoff(script);
  config.idempotent = script.flip();
  config.retry_after =
      script.pick({RetryAfterRule::Clamp, RetryAfterRule::Ignore, RetryAfterRule::Replace});
  config.max_retry_after = milliseconds{script.byte()};
  return config;
}

Classification read_failure(Script& script) {
  Classification failure;
  failure.persistence = script.pick({Persistence::Transient, Persistence::Throttled,
                                     Persistence::Permanent, Persistence::Cancelled});
  failure.delivery = script.pick({Delivery::NotSent, Delivery::Unknown});
  if (script.flip()) failure.retry_after = milliseconds{script.byte() - 8};
  return failure;
}

void check_step(const RetryConfig& config, const Schedule& schedule, const Decision& decision,
                const Classification& failure, Instant now) {
  if (decision.verdict == Decision::Verdict::GiveUp) {
    require(decision.reason.has_value(), "giving up has a reason");
    return;
  }
  require(decision.delay >= Duration::zero(), "no negative delay");
  require(schedule.attempt() <= config.max_attempts, "max_attempts");
  require(saturating_add(now, decision.delay) < schedule.deadline(), "the deadline");
  require(config.idempotent || failure.delivery == Delivery::NotSent, "nothing is sent twice");
  require(failure.persistence != Persistence::Permanent &&
              failure.persistence != Persistence::Cancelled,
          "only what may pass is retried");
}

void run(Script script) {
  const RetryConfig config = read_config(script);
  require(config.validate().has_value(), "a valid configuration");
  Instant now{milliseconds{1000}};
  Schedule schedule(config, script.flip() ? now + milliseconds{4 * script.byte()} : kNever);
  for (unsigned failed = 1; !script.done(); ++failed) {
    const Classification failure = read_failure(script);
    const double u = script.byte() / 256.0;
    const Decision decision = schedule.on_failure(failure, now, u, script.below(8) != 1);
    check_step(config, schedule, decision, failure, now);
    if (decision.verdict == Decision::Verdict::GiveUp) return;
    require(schedule.attempt() == failed + 1, "attempts are counted");
    now = saturating_add(saturating_add(now, decision.delay), milliseconds{script.byte()});
  }
}

}  // namespace
}  // namespace recover::retry

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  recover::retry::run(recover::test::Script(data, size));
  return 0;
}
