// A breaker's sliding window as the list of everything that happened, added up from scratch at each
// question: slow and obvious, to test the real windows against.
#pragma once

#include <cstddef>
#include <vector>

#include <recover/circuit_breaker_config.h>

namespace recover::circuitbreaker {

class OutcomeList {
 public:
  OutcomeList(const SlidingWindow& config, Boundary boundary, Instant now)
      : config_(config), boundary_(boundary), entered_(now), period_(now) {}

  void restart(Instant now) {
    entered_ = now;
    period_ = now;
    moments_.clear();
  }

  // Somebody looks. True when a tumbling period ended.
  bool touch(Instant now) {
    moments_.push_back({now, {}});
    if (config_.kind != WindowKind::Tumbling) return false;
    const Instant end = period_ + config_.duration;
    if (boundary_ == Boundary::Inclusive ? now < end : now <= end) return false;
    period_ = now;
    moments_.clear();
    return true;
  }

  void add(const Counts& outcome, Instant now) { moments_.push_back({now, outcome}); }

  // As of the last touch or add.
  Counts totals() const {
    Counts sum;
    std::size_t newer = 0;
    for (std::size_t i = moments_.size(); i-- > 0;) {
      if (is_in(i, newer)) sum = sum + moments_[i].outcome;
      newer += moments_[i].outcome.total;
    }
    return sum;
  }

 private:
  struct Moment {
    Instant at;
    Counts outcome;  // All zero: somebody only looked.
  };

  static long long floored(Duration value, Duration by) {
    long long quotient = value / by;
    while (by * quotient > value) --quotient;
    return quotient;
  }

  long long bucket_number(Instant at) const {
    const bool from_entry = config_.alignment == Alignment::StateEntry;
    return floored(from_entry ? at - entered_ : at.time_since_epoch(), config_.bucket);
  }

  // Event alignment: when the bucket that moment `index` falls into was opened.
  Instant bucket_opened(std::size_t index) const {
    Instant opened = moments_.front().at;
    for (std::size_t i = 0; i <= index; ++i) {
      if (moments_[i].at - opened >= config_.bucket) opened = moments_[i].at;
    }
    return opened;
  }

  bool is_in(std::size_t index, std::size_t newer) const {
    const Instant now = moments_.back().at;
    switch (config_.kind) {
      case WindowKind::Count: return newer < config_.size;
      case WindowKind::Time:
        if (config_.alignment == Alignment::Event) {
          return now - bucket_opened(index) < config_.duration;
        }
        return bucket_number(now) - bucket_number(moments_[index].at) <
               config_.duration / config_.bucket;
      case WindowKind::Tumbling:
      case WindowKind::None: return true;
    }
    return true;
  }

  SlidingWindow config_;
  Boundary boundary_;
  Instant entered_;
  Instant period_;
  std::vector<Moment> moments_;
};

}  // namespace recover::circuitbreaker
