#include <algorithm>
#include <cmath>
#include <string>

#include <recover/concurrency_limit.h>
#include <recover/error.h>

namespace recover::adaptive {
namespace {

Error bad(const char* field, const char* rule, const std::string& got) {
  return Error::invalid_config(std::string("adaptive_limiter.") + field + ": must be " + rule +
                               ", got " + got);
}

// The caller does not use what it has: its latency is no reason to give it more.
bool app_limited(const Sample& sample, double limit) noexcept {
  return 2.0 * sample.in_flight < limit;
}

double clamped(double limit, const AdaptiveLimiterConfig& config) noexcept {
  return std::clamp(limit, static_cast<double>(config.limit_min),
                    static_cast<double>(config.limit_max));
}

// The unit of Vegas's thresholds and steps: the whole part of log10, at least 1.
double vegas_unit(double limit) noexcept {
  return std::max(1.0, std::floor(std::log10(limit)));
}

Result<void> validate_shares(const AdaptiveLimiterConfig& config) {
  if (!(config.backoff_ratio >= 0.5 && config.backoff_ratio < 1.0)) {
    return Unexpected(
        bad("backoff_ratio", "at least 0.5 and less than 1", std::to_string(config.backoff_ratio)));
  }
  if (!(config.rtt_tolerance >= 1.0)) {
    return Unexpected(bad("rtt_tolerance", "at least 1", std::to_string(config.rtt_tolerance)));
  }
  if (!(config.smoothing > 0.0 && config.smoothing <= 1.0)) {
    return Unexpected(
        bad("smoothing", "more than 0 and at most 1", std::to_string(config.smoothing)));
  }
  return {};
}

std::variant<Aimd, Vegas, Gradient2> make_machine(const AdaptiveLimiterConfig& config) noexcept {
  switch (config.algorithm) {
    case Algorithm::Aimd: return Aimd(config);
    case Algorithm::Vegas: return Vegas(config);
    case Algorithm::Gradient2: break;
  }
  return Gradient2(config);
}

}  // namespace

Result<void> AdaptiveLimiterConfig::validate() const {
  constexpr std::uint32_t kLimitMax = 1'000'000;
  if (limit_min == 0) return Unexpected(bad("limit_min", "at least 1", "0"));
  if (limit_max < limit_min || limit_max > kLimitMax) {
    return Unexpected(bad("limit_max", "from limit_min to 1000000", std::to_string(limit_max)));
  }
  if (initial_limit < limit_min || initial_limit > limit_max) {
    return Unexpected(
        bad("initial_limit", "from limit_min to limit_max", std::to_string(initial_limit)));
  }
  if (timeout <= Duration::zero()) {
    return Unexpected(bad("timeout", "more than 0 ns", std::to_string(timeout.count())));
  }
  if (probe_multiplier == 0) return Unexpected(bad("probe_multiplier", "at least 1", "0"));
  if (long_window == 0) return Unexpected(bad("long_window", "at least 1", "0"));
  return validate_shares(*this);
}

std::uint32_t Aimd::update(const Sample& sample) noexcept {
  if (sample.dropped || sample.rtt > config_.timeout) {
    limit_ = static_cast<std::uint32_t>(limit_ * config_.backoff_ratio);
  } else if (!app_limited(sample, limit_)) {
    ++limit_;
  }
  limit_ = std::clamp(limit_, config_.limit_min, config_.limit_max);
  return limit_;
}

std::uint32_t Vegas::update(const Sample& sample) noexcept {
  const bool measured = sample.rtt > Duration::zero();
  if (measured && !sample.dropped) {
    ++since_probe_;
    if (probe_share_ * config_.probe_multiplier * estimate_ <= static_cast<double>(since_probe_)) {
      probe_share_ = 0.5 + 0.5 * sample.unit;
      since_probe_ = 0;
      shortest_ = sample.rtt;
      return limit();
    }
    if (shortest_ == Duration::zero() || sample.rtt < shortest_) {
      shortest_ = sample.rtt;
      return limit();
    }
  }
  if (measured || sample.dropped) estimate_ = clamped(next(sample), config_);
  return limit();
}

double Vegas::next(const Sample& sample) const noexcept {
  const double unit = vegas_unit(estimate_);
  if (sample.dropped) return estimate_ - unit;
  if (app_limited(sample, estimate_)) return estimate_;
  const double alpha = 3.0 * unit;
  const double beta = 6.0 * unit;
  const double unloaded = static_cast<double>(shortest_.count());
  const double queued =
      std::ceil(estimate_ * (1.0 - unloaded / static_cast<double>(sample.rtt.count())));
  if (queued <= unit) return estimate_ + beta;
  if (queued < alpha) return estimate_ + unit;
  if (queued > beta) return estimate_ - unit;
  return estimate_;
}

std::uint32_t Gradient2::update(const Sample& sample) noexcept {
  constexpr double kSteepest = 0.5;
  if (sample.dropped) {
    follow(estimate_ * kSteepest);
  } else if (sample.rtt > Duration::zero()) {
    const auto rtt = static_cast<double>(sample.rtt.count());
    const double long_rtt = learn(rtt);
    if (!app_limited(sample, estimate_)) {
      const double gradient = std::clamp(config_.rtt_tolerance * long_rtt / rtt, kSteepest, 1.0);
      follow(estimate_ * gradient + config_.queue_size);
    }
  }
  return limit();
}

double Gradient2::learn(double rtt) noexcept {
  constexpr std::uint32_t kWarmup = 10;  // Samples that are averaged plainly.
  if (warmup_count_ < kWarmup) {
    ++warmup_count_;
    warmup_sum_ += rtt;
    long_rtt_ = warmup_sum_ / warmup_count_;
  } else {
    const double weight = 2.0 / (config_.long_window + 1.0);
    long_rtt_ = long_rtt_ * (1.0 - weight) + rtt * weight;
  }
  const double long_rtt = long_rtt_;
  // After long overload the average is far too high; come down faster than it would by itself.
  if (long_rtt > 2.0 * rtt) long_rtt_ *= 0.95;
  return long_rtt;
}

void Gradient2::follow(double target) noexcept {
  estimate_ = clamped(estimate_ * (1.0 - config_.smoothing) + target * config_.smoothing, config_);
}

ConcurrencyLimit::ConcurrencyLimit(const AdaptiveLimiterConfig& config) noexcept
    : machine_(make_machine(config)) {}

}  // namespace recover::adaptive
