#include <recover/sliding_window.h>

namespace recover::circuitbreaker {
namespace {

constexpr std::uint8_t kFailedBit = 1;
constexpr std::uint8_t kSlowBit = 2;

Counts from_bits(std::uint8_t bits) {
  return single((bits & kFailedBit) != 0, (bits & kSlowBit) != 0);
}

std::uint8_t to_bits(const Counts& outcome) {
  return static_cast<std::uint8_t>((outcome.failed != 0 ? kFailedBit : 0) |
                                   (outcome.slow != 0 ? kSlowBit : 0));
}

std::int64_t floor_div(std::int64_t value, std::int64_t by) {
  return value / by - (value % by < 0 ? 1 : 0);
}

}  // namespace

Window::Window(const SlidingWindow& config, Boundary boundary, Instant now)
    : config_(config), boundary_(boundary), entered_(now) {
  if (config_.kind == WindowKind::Count) ring_.resize(config_.size);
  if (config_.kind == WindowKind::Time) {
    // One more than fit: a new bucket opens before the oldest is dropped.
    buckets_.resize(static_cast<std::size_t>(config_.duration / config_.bucket) + 1);
  }
}

void Window::reset(Instant now) {
  entered_ = now;
  totals_ = {};
  next_ = 0;
  head_ = 0;
  live_ = 0;
}

bool Window::advance(Instant now) {
  if (config_.kind == WindowKind::Tumbling) {
    const Instant end = saturating_add(entered_, config_.duration);
    const bool over = boundary_ == Boundary::Inclusive ? now >= end : now > end;
    if (over) reset(now);
    return over;
  }
  if (config_.kind == WindowKind::Time) record_in_bucket({}, now);
  return false;
}

void Window::record(const Counts& outcome, Instant now) {
  switch (config_.kind) {
    case WindowKind::Count: record_in_ring(outcome); break;
    case WindowKind::Time: record_in_bucket(outcome, now); break;
    case WindowKind::Tumbling:
    case WindowKind::None: totals_ = totals_ + outcome; break;
  }
}

void Window::record_in_ring(const Counts& outcome) {
  std::uint8_t& slot = ring_[next_];
  if (totals_.total == ring_.size()) totals_ = totals_ - from_bits(slot);
  slot = to_bits(outcome);
  totals_ = totals_ + outcome;
  next_ = (next_ + 1) % ring_.size();
}

void Window::record_in_bucket(const Counts& outcome, Instant now) {
  const std::int64_t current = bucket_start(now);
  while (live_ > 0 && is_out(buckets_[head_], current, now)) {
    totals_ = totals_ - buckets_[head_].counts;
    head_ = (head_ + 1) % buckets_.size();
    --live_;
  }
  if (begins_bucket(current)) {
    buckets_[(head_ + live_) % buckets_.size()] = {current, {}};
    ++live_;
  }
  Bucket& newest = buckets_[(head_ + live_ - 1) % buckets_.size()];
  newest.counts = newest.counts + outcome;
  totals_ = totals_ + outcome;
}

std::int64_t Window::bucket_start(Instant now) const {
  switch (config_.alignment) {
    case Alignment::Epoch: return floor_div(now.time_since_epoch().count(), config_.bucket.count());
    case Alignment::StateEntry: return floor_div((now - entered_).count(), config_.bucket.count());
    case Alignment::Event: return now.time_since_epoch().count();
  }
  return 0;
}

bool Window::is_out(const Bucket& bucket, std::int64_t current, Instant now) const {
  if (config_.alignment == Alignment::Event) {
    return now.time_since_epoch().count() - bucket.start >= config_.duration.count();
  }
  return current - bucket.start >= config_.duration / config_.bucket;
}

bool Window::begins_bucket(std::int64_t current) const {
  if (live_ == 0) return true;
  const Bucket& newest = buckets_[(head_ + live_ - 1) % buckets_.size()];
  const std::int64_t step = config_.alignment == Alignment::Event ? config_.bucket.count() : 1;
  return current - newest.start >= step;
}

}  // namespace recover::circuitbreaker
