#include <string>

#include <recover/adaptive_throttle.h>
#include <recover/check.h>

namespace recover::throttle {
namespace {

std::int64_t slot_of(Instant now, Duration width) noexcept {
  return now.time_since_epoch() / width;
}

std::size_t index_of(std::int64_t slot) noexcept {
  return static_cast<std::size_t>(slot) % kWindowSlots;
}

// The first slot to clear when the window moves from `last` to `slot`: never more than all of them.
std::int64_t first_to_clear(std::int64_t last, std::int64_t slot) noexcept {
  return std::max(last + 1, slot - static_cast<std::int64_t>(kWindowSlots) + 1);
}

Duration slot_width(Duration window) noexcept {
  return window / static_cast<std::int64_t>(kWindowSlots);
}

Result<void> invalid(const char* what, const std::string& got) {
  return Unexpected(
      Error::invalid_config(std::string("adaptive_throttle.") + what + ", got " + got));
}

}  // namespace

Result<void> AdaptiveThrottleConfig::validate() const {
  if (!(success_threshold > 0.0 && success_threshold <= 1.0)) {
    return invalid("success_threshold: must be in (0, 1]", std::to_string(success_threshold));
  }
  if (!(max_rejection_rate >= 0.0 && max_rejection_rate < 1.0)) {
    return invalid("max_rejection_rate: must be in [0, 1)", std::to_string(max_rejection_rate));
  }
  if (window < kWindowMin) {
    return invalid("window: must be at least 1 ms", std::to_string(window.count()) + " ns");
  }
  return {};
}

ThrottleMachine::ThrottleMachine(const AdaptiveThrottleConfig& config, Instant now) noexcept
    : config_(config), slot_width_(slot_width(config.window)), slot_(slot_of(now, slot_width_)) {}

bool ThrottleMachine::admit(Instant now, double u) noexcept {
  const bool admitted = u >= rejection_probability(now);
  if (!admitted) ++tallies_[index_of(slot_)].requests;
  return admitted;
}

void ThrottleMachine::record(bool accepted, Instant now) noexcept {
  advance(now);
  Tally& current = tallies_[index_of(slot_)];
  ++current.requests;
  if (accepted) ++current.accepts;
}

double ThrottleMachine::rejection_probability(Instant now) noexcept {
  return throttle::rejection_probability(tally(now), config_.success_threshold,
                                         config_.max_rejection_rate);
}

Tally ThrottleMachine::tally(Instant now) noexcept {
  advance(now);
  Tally sum;
  for (const Tally& one : tallies_) {
    sum.requests += one.requests;
    sum.accepts += one.accepts;
  }
  return sum;
}

void ThrottleMachine::advance(Instant now) noexcept {
  const std::int64_t slot = slot_of(now, slot_width_);
  if (slot <= slot_) return;
  for (std::int64_t i = first_to_clear(slot_, slot); i <= slot; ++i) tallies_[index_of(i)] = {};
  slot_ = slot;
}

AdaptiveThrottle::AdaptiveThrottle(const AdaptiveThrottleConfig& config, Clock& clock)
    : config_(config),
      clock_(&clock),
      slot_width_(slot_width(std::max(config.window, kWindowMin))),
      slot_(slot_of(clock.now(), slot_width_)),
      random_(config.seed) {
  RECOVER_CHECK_VALID(config);
}

Result<void, Rejection> AdaptiveThrottle::try_acquire(Instant now) noexcept {
  const double probability = rejection_probability(now);
  note_throttling(probability);
  if (probability > 0.0 && random_.unit() < probability) {
    current_slot(now).fetch_add(kRequest, std::memory_order_relaxed);
    counters_.add(Counter::Rejected);
    return Unexpected(Rejection{.kind = ErrorKind::RequestNotPermitted});
  }
  counters_.add(Counter::Permitted);
  return {};
}

void AdaptiveThrottle::record(bool accepted, Instant now) noexcept {
  current_slot(now).fetch_add(accepted ? kAcceptedRequest : kRequest, std::memory_order_relaxed);
  counters_.add(accepted ? Counter::Accepted : Counter::Unaccepted);
}

double AdaptiveThrottle::rejection_probability(Instant now) noexcept {
  current_slot(now);
  return throttle::rejection_probability(tally(), config_.success_threshold,
                                         config_.max_rejection_rate);
}

AdaptiveThrottleMetrics AdaptiveThrottle::metrics() noexcept {
  current_slot(clock_->now());
  return {.permitted_calls = counters_.value(Counter::Permitted),
          .rejected_calls = counters_.value(Counter::Rejected),
          .accepted_calls = counters_.value(Counter::Accepted),
          .unaccepted_calls = counters_.value(Counter::Unaccepted),
          .window = tally()};
}

std::atomic<std::uint64_t>& AdaptiveThrottle::current_slot(Instant now) noexcept {
  const std::int64_t slot = slot_of(now, slot_width_);
  if (slot > slot_.load(std::memory_order_acquire)) [[unlikely]] {
    begin_slot(slot);
  }
  return slots_[index_of(slot_.load(std::memory_order_relaxed))];
}

// One thread clears the slots that are to be used again; the others do not wait for it and count in
// the old slot meanwhile.
void AdaptiveThrottle::begin_slot(std::int64_t slot) noexcept {
  if (beginning_slot_.exchange(true, std::memory_order_acquire)) return;
  const std::int64_t last = slot_.load(std::memory_order_relaxed);
  for (std::int64_t i = first_to_clear(last, slot); i <= slot; ++i) {
    slots_[index_of(i)].store(0, std::memory_order_relaxed);
  }
  if (slot > last) slot_.store(slot, std::memory_order_release);
  beginning_slot_.store(false, std::memory_order_release);
}

Tally AdaptiveThrottle::tally() const noexcept {
  Tally sum;
  for (const auto& slot : slots_) {
    const std::uint64_t word = slot.load(std::memory_order_relaxed);
    sum.requests += word >> 32U;
    sum.accepts += word & (kRequest - 1);
  }
  return sum;
}

void AdaptiveThrottle::note_throttling(double probability) noexcept {
  const bool now_throttling = probability > 0.0;
  if (throttling_.load(std::memory_order_relaxed) == now_throttling) return;
  if (throttling_.exchange(now_throttling, std::memory_order_relaxed) == now_throttling) return;
  using Type = AdaptiveThrottleEvent::Type;
  listeners_.emit(
      {now_throttling ? Type::ThrottlingStarted : Type::ThrottlingStopped, probability});
}

}  // namespace recover::throttle
