#include <recover/adaptive_limiter.h>
#include <recover/shared_random.h>

namespace recover::adaptive {
namespace {

const AdaptiveLimiterConfig& checked(const AdaptiveLimiterConfig& config) {
  RECOVER_CHECK_VALID(config);
  return config;
}

bool is_overload(const Classification& failure) noexcept {
  return failure.persistence == Persistence::Throttled ||
         failure.error_class == ErrorClass::Timeout ||
         failure.error_class == ErrorClass::ResourceExhaustion;
}

}  // namespace

AdaptiveLimiter::AdaptiveLimiter(const AdaptiveLimiterConfig& config, Clock& clock)
    : limit_(checked(config).initial_limit),
      clock_(clock),
      machine_(config),
      random_(seed_or_entropy(config.seed)) {}

AdaptiveLimiter::~AdaptiveLimiter() {
  RECOVER_CHECK(in_flight_.load(std::memory_order_acquire) == 0);
}

void AdaptiveLimiter::settle(Permit& permit, const std::optional<Classification>& failure) {
  if (!failure) {
    permit.success();
  } else if (failure->persistence != Persistence::Cancelled && is_overload(*failure)) {
    permit.dropped();
  } else {
    permit.ignore();
  }
}

void AdaptiveLimiter::finished(Sample sample) {
  leave();
  counters_.add(sample.dropped ? Counter::Dropped : Counter::Succeeded);
  bool changed = false;
  {
    // A success more or less teaches nothing: when another thread is learning, go on. A drop is the
    // signal that must not be lost.
    std::unique_lock lock(learning_, std::defer_lock);
    if (sample.dropped) {
      lock.lock();
    } else if (!lock.try_lock()) {
      counters_.add(Counter::Skipped);
      return;
    }
    changed = learn(sample);
  }
  if (changed) listeners_.emit({AdaptiveLimiterEvent::Kind::LimitChanged, limit()});
}

bool AdaptiveLimiter::learn(Sample sample) {
  sample.unit = random_.unit();
  const std::uint32_t before = limit();
  const std::uint32_t after = machine_.update(sample);
  if (after == before) return false;
  limit_.store(after, std::memory_order_relaxed);
  return true;
}

AdaptiveLimiterMetrics AdaptiveLimiter::metrics() const noexcept {
  return {.succeeded = counters_.value(Counter::Succeeded),
          .dropped = counters_.value(Counter::Dropped),
          .ignored = counters_.value(Counter::Ignored),
          .rejected = counters_.value(Counter::Rejected),
          .skipped = counters_.value(Counter::Skipped),
          .in_flight = in_flight_.load(std::memory_order_relaxed),
          .limit = limit()};
}

}  // namespace recover::adaptive
