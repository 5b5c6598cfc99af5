#include <cmath>
#include <string>

#include <recover/cubic_rate.h>
#include <recover/error.h>

namespace recover::adaptive {
namespace {

// The K of RFC 9438, section 4.2: how long a cubic that starts at beta * rate_max takes to
// rate_max.
double recovery_time_of(const CubicRateConfig& config) noexcept {
  return std::cbrt(config.rate_max * (1.0 - config.beta) / config.scale);
}

Error bad(const char* field, const char* rule, double got) {
  return Error::invalid_config(std::string("cubic_rate.") + field + ": must be " + rule + ", got " +
                               std::to_string(got));
}

}  // namespace

Result<void> CubicRateConfig::validate() const {
  if (!(rate_max >= 0.0)) return Unexpected(bad("rate_max", "at least 0", rate_max));
  if (!(beta > 0.0 && beta < 1.0)) return Unexpected(bad("beta", "between 0 and 1", beta));
  if (!(scale > 0.0)) return Unexpected(bad("scale", "more than 0", scale));
  return {};
}

CubicRate::CubicRate(const CubicRateConfig& config, Instant start)
    : config_(config), recovery_time_(recovery_time_of(config)), last_throttle_(start) {
  RECOVER_CHECK_VALID(config);
}

double CubicRate::rate_at(Instant now) const noexcept {
  const double elapsed = std::chrono::duration<double>(now - last_throttle_).count();
  const double from_flat = elapsed - recovery_time_;
  return config_.scale * from_flat * from_flat * from_flat + config_.rate_max;
}

double CubicRate::throttled(double rate, Instant now) noexcept {
  config_.rate_max = rate;
  recovery_time_ = recovery_time_of(config_);
  last_throttle_ = now;
  return rate * config_.beta;
}

}  // namespace recover::adaptive
