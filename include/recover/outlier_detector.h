// Takes a target out of use after a row of failures and lets it back in later: longer each time it
// is taken out, shorter again while it stays well.
//
// The semantics are those of Envoy's outlier detection for consecutive failures
// (source/common/upstream/outlier_detection_impl.cc). Success-rate and failure-percentage ejection
// compare many hosts with each other and are left out: a failover chain has a handful.
// Pure: no clock, no random source, no allocation, not thread-safe.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include <recover/result.h>
#include <recover/time.h>

namespace recover::failover {

inline constexpr std::size_t kTargetsMax = 16;

// Defaults are Envoy's (envoy.config.cluster.v3.OutlierDetection).
struct OutlierDetectorConfig {
  std::uint32_t consecutive_failures = 5;        // In a row, until ejection; at least 1.
  Duration interval = std::chrono::seconds{10};  // Between sweeps; at least 1 ms.
  // An ejection lasts min(base * backoff, max) + jitter, and ends with the first sweep after that.
  Duration base_ejection_time = std::chrono::seconds{30};  // More than 0.
  Duration max_ejection_time = std::chrono::seconds{300};  // At least base_ejection_time.
  std::chrono::milliseconds max_ejection_time_jitter{0};   // 0 to 24 h, both included in the draw.
  // No ejection that would leave more than this share of the targets out; 0 to 100. With fewer
  // than ten targets Envoy's 10 % means "none": set always_eject_one_host or a larger share.
  std::uint32_t max_ejection_percent = 10;
  bool always_eject_one_host = false;  // The first ejection is exempt from the share.

  // InvalidConfig naming the field.
  Result<void> validate() const;
};

// random % (max + 1) in milliseconds, as Envoy draws it. REQUIRES: max >= 0.
constexpr std::chrono::milliseconds ejection_jitter(std::uint64_t random,
                                                    std::chrono::milliseconds max) noexcept {
  const auto range = static_cast<std::uint64_t>(max.count()) + 1;
  return std::chrono::milliseconds{static_cast<std::int64_t>(random % range)};
}

// What a failure did to its target.
enum class Detection : std::uint8_t {
  Tolerated,  // Not enough in a row, or the target is ejected already.
  Ejected,
  Overflowed,  // Enough in a row, but max_ejection_percent are out already.
};

// REQUIRES of every member that takes a target: target < targets().
class OutlierDetector {
 public:
  // `now`: sweeps are due at now + interval, now + 2 * interval, …
  // REQUIRES: valid config, 1 <= targets <= kTargetsMax.
  OutlierDetector(const OutlierDetectorConfig& config, std::size_t targets, Instant now);

  void record_success(std::size_t target) noexcept;
  // `random` is drawn uniformly from 64 bits; it feeds the jitter of an ejection.
  Detection record_failure(std::size_t target, Instant now, std::uint64_t random) noexcept;

  // One sweep at `now`: lets back in what has served its time, then lowers the backoff of every
  // target that has been back for at least an interval.
  void sweep(Instant now) noexcept;
  // All the sweeps that were due up to `now`, each at its own instant, in constant time a target.
  void catch_up(Instant now) noexcept;
  // Lets an ejected target back in before its time, for instance when it was seen to answer.
  void readmit(std::size_t target, Instant now) noexcept;

  std::size_t targets() const noexcept { return targets_; }
  bool ejected(std::size_t target) const noexcept { return hosts_[target].ejected; }
  std::uint32_t ejected_count() const noexcept { return ejected_count_; }
  // How many times base_ejection_time the last ejection lasts, or the next one does less one.
  std::uint32_t backoff(std::size_t target) const noexcept { return hosts_[target].backoff; }
  std::uint32_t consecutive_failures(std::size_t target) const noexcept {
    return hosts_[target].consecutive_failures;
  }
  // How long the present ejection lasts, jitter included. REQUIRES: ejected(target).
  Duration ejection_time(std::size_t target) const noexcept;
  // The sweep that lets the target back in. REQUIRES: ejected(target).
  Instant readmission(std::size_t target) const noexcept;
  // When it was last let back in; Instant::min() when it never was out.
  Instant last_unejection(std::size_t target) const noexcept {
    return hosts_[target].last_unejection;
  }

 private:
  struct Host {
    std::uint32_t consecutive_failures = 0;
    std::uint32_t backoff = 0;
    bool ejected = false;
    std::chrono::milliseconds jitter{0};
    Instant last_ejection = Instant::min();
    Instant last_unejection = Instant::min();
  };

  bool may_eject_one_more() const noexcept;
  void eject(Host& host, Instant now, std::uint64_t random) noexcept;
  void let_in(Host& host, Instant now) noexcept;
  Duration ejection_time(const Host& host) const noexcept;
  Instant first_sweep_from(Instant instant) const noexcept;
  void catch_up(Host& host, Instant last_sweep) noexcept;

  OutlierDetectorConfig config_;
  std::size_t targets_;
  Instant next_sweep_;
  std::uint32_t ejected_count_ = 0;
  std::array<Host, kTargetsMax> hosts_{};
};

}  // namespace recover::failover

namespace recover {
using failover::OutlierDetector;
using failover::OutlierDetectorConfig;
}  // namespace recover
