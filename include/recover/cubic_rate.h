// CubicRate: the sending rate of a client that is throttled, after CUBIC (RFC 9438) as the AWS SDKs
// use it in their adaptive retry mode (botocore, retries/throttling.py).
//
// A throttle cuts the rate to beta of what it was; successes then bring it back along a cubic that
// is flat around the rate of the last throttle and steep beyond it. Pure: no clock, lock or
// allocation. Rates are calls per second.
#pragma once

#include <recover/result.h>
#include <recover/time.h>

namespace recover::adaptive {

// Defaults are those of the AWS SDKs.
struct CubicRateConfig {
  double rate_max = 0.0;  // Where the first cubic flattens: the rate believed to be sustainable.
  double beta = 0.7;      // What a throttle leaves of the rate; in (0, 1).
  double scale = 0.4;     // How steep the cubic is: calls per second, per second cubed. Above 0.

  Result<void> validate() const;
};

class CubicRate {
 public:
  // REQUIRES: config.validate().
  CubicRate(const CubicRateConfig& config, Instant start);

  // The rate to send at after a call that was not throttled. Changes nothing, can be below 0 when
  // `now` is before the last throttle only.
  double rate_at(Instant now) const noexcept;

  // A call was throttled while the client sent `rate`. The rate to send at from now on.
  double throttled(double rate, Instant now) noexcept;

  double rate_max() const noexcept { return config_.rate_max; }
  // Seconds from the last throttle until the rate is back at rate_max().
  double recovery_time() const noexcept { return recovery_time_; }
  Instant last_throttle() const noexcept { return last_throttle_; }

 private:
  CubicRateConfig config_;
  double recovery_time_;
  Instant last_throttle_;
};

}  // namespace recover::adaptive

namespace recover {
using adaptive::CubicRate;
using adaptive::CubicRateConfig;
}  // namespace recover
