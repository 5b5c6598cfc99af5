// How many calls at once a dependency bears, learnt from how it answers: three algorithms of
// Netflix's concurrency-limits (https://github.com/Netflix/concurrency-limits, package limit).
//
// Pure machines: a finished call in, the limit from now on out. Invariant: the limit stays within
// limit_min and limit_max.
#pragma once

#include <cstdint>
#include <optional>
#include <variant>

#include <recover/result.h>
#include <recover/time.h>

namespace recover::adaptive {

// A call that has finished.
struct Sample {
  Duration rtt;             // How long it took. 0 or less teaches nothing about latency.
  std::uint32_t in_flight;  // Calls running when it started, itself included.
  bool dropped = false;     // Timed out, or the other side shed it.
  double unit = 0.0;        // Random in [0, 1): when Vegas next measures afresh.
};

enum class Algorithm : std::uint8_t {
  Aimd,       // One up for a success, a share down for a drop or a slow call: looks at losses.
  Vegas,      // Estimates the queue from the shortest rtt: looks at latency.
  Gradient2,  // Compares an rtt with their long-term average: bears bursts and slow drift.
};

// Defaults are those of concurrency-limits, except limit_min: it has 20 for Aimd and Gradient2.
struct AdaptiveLimiterConfig {
  Algorithm algorithm = Algorithm::Gradient2;
  std::uint32_t initial_limit = 20;
  std::uint32_t limit_min = 1;
  std::uint32_t limit_max = 200;

  // Aimd
  double backoff_ratio = 0.9;                  // What a drop leaves of the limit; [0.5, 1).
  Duration timeout = std::chrono::seconds{5};  // A slower call counts as dropped.
  // Vegas
  std::uint32_t probe_multiplier = 30;  // Forgets the shortest rtt every so many limits of calls.
  // Gradient2
  std::uint32_t queue_size = 4;     // Growth allowed while latency is stable.
  std::uint32_t long_window = 600;  // Samples in the long-term average.
  double rtt_tolerance = 1.5;       // How many times the average is still fine; at least 1.
  double smoothing = 0.2;           // The share of a new estimate that counts; (0, 1].

  std::optional<std::uint64_t> seed = {};  // Of Vegas's probes; nullopt: from entropy.

  Result<void> validate() const;
};

// REQUIRES of each constructor: config.validate().
class Aimd {
 public:
  explicit Aimd(const AdaptiveLimiterConfig& config) noexcept
      : config_(config), limit_(config.initial_limit) {}

  std::uint32_t limit() const noexcept { return limit_; }
  std::uint32_t update(const Sample& sample) noexcept;

 private:
  AdaptiveLimiterConfig config_;
  std::uint32_t limit_;
};

class Vegas {
 public:
  explicit Vegas(const AdaptiveLimiterConfig& config) noexcept
      : config_(config), estimate_(config.initial_limit) {}

  std::uint32_t limit() const noexcept { return static_cast<std::uint32_t>(estimate_); }
  std::uint32_t update(const Sample& sample) noexcept;

 private:
  // The estimate after a sample that is not the shortest.
  double next(const Sample& sample) const noexcept;

  AdaptiveLimiterConfig config_;
  double estimate_;
  Duration shortest_ = Duration::zero();  // 0: none yet.
  std::uint64_t since_probe_ = 0;
  double probe_share_ = 1.0;  // In [0.5, 1): spreads the probes of many clients.
};

// Unlike Netflix's, which does not look at drops, a drop shrinks the limit by the largest step and
// its rtt is not learnt: a call that was shed at once is no sign of a fast dependency.
class Gradient2 {
 public:
  explicit Gradient2(const AdaptiveLimiterConfig& config) noexcept
      : config_(config), estimate_(config.initial_limit) {}

  std::uint32_t limit() const noexcept { return static_cast<std::uint32_t>(estimate_); }
  std::uint32_t update(const Sample& sample) noexcept;

 private:
  // Takes in a sample; the long-term average before any correction.
  double learn(double rtt) noexcept;
  void follow(double target) noexcept;

  AdaptiveLimiterConfig config_;
  double estimate_;
  double long_rtt_ = 0.0;  // Nanoseconds.
  double warmup_sum_ = 0.0;
  std::uint32_t warmup_count_ = 0;
};

// The algorithm that the configuration names.
class ConcurrencyLimit {
 public:
  // REQUIRES: config.validate().
  explicit ConcurrencyLimit(const AdaptiveLimiterConfig& config) noexcept;

  std::uint32_t limit() const {
    return std::visit([](const auto& machine) { return machine.limit(); }, machine_);
  }
  // The limit after `sample`.
  std::uint32_t update(const Sample& sample) {
    return std::visit([&](auto& machine) { return machine.update(sample); }, machine_);
  }

 private:
  std::variant<Aimd, Vegas, Gradient2> machine_;
};

}  // namespace recover::adaptive
