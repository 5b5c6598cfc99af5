#include <algorithm>
#include <string>

#include <recover/check.h>
#include <recover/error.h>
#include <recover/outlier_detector.h>

namespace recover::failover {
namespace {

constexpr Duration kIntervalMin = std::chrono::milliseconds{1};
constexpr Duration kEjectionTimeMax = std::chrono::hours{24 * 365};
constexpr std::chrono::milliseconds kJitterMax = std::chrono::hours{24};

Unexpected<Error> bad_field(const std::string& field, const char* rule, std::int64_t got) {
  return Unexpected(Error::invalid_config("outlier_detector." + field + ": must be " + rule +
                                          ", got " + std::to_string(got)));
}

}  // namespace

Result<void> OutlierDetectorConfig::validate() const {
  if (consecutive_failures < 1) return bad_field("consecutive_failures", "at least 1", 0);
  if (interval < kIntervalMin || interval > kEjectionTimeMax) {
    return bad_field("interval", "1 ms to 365 days", interval.count());
  }
  if (base_ejection_time <= Duration::zero()) {
    return bad_field("base_ejection_time", "more than 0 ns", base_ejection_time.count());
  }
  if (max_ejection_time < base_ejection_time || max_ejection_time > kEjectionTimeMax) {
    return bad_field("max_ejection_time", "base_ejection_time to 365 days",
                     max_ejection_time.count());
  }
  if (max_ejection_time_jitter.count() < 0 || max_ejection_time_jitter > kJitterMax) {
    return bad_field("max_ejection_time_jitter", "0 to 24 h", max_ejection_time_jitter.count());
  }
  if (max_ejection_percent > 100) {
    return bad_field("max_ejection_percent", "0 to 100", max_ejection_percent);
  }
  return {};
}

OutlierDetector::OutlierDetector(const OutlierDetectorConfig& config, std::size_t targets,
                                 Instant now)
    : config_(config), targets_(targets), next_sweep_(saturating_add(now, config.interval)) {
  RECOVER_CHECK_VALID(config);
  RECOVER_CHECK(targets >= 1 && targets <= kTargetsMax);
}

void OutlierDetector::record_success(std::size_t target) noexcept {
  hosts_[target].consecutive_failures = 0;
}

Detection OutlierDetector::record_failure(std::size_t target, Instant now,
                                          std::uint64_t random) noexcept {
  Host& host = hosts_[target];
  if (++host.consecutive_failures < config_.consecutive_failures || host.ejected) {
    return Detection::Tolerated;
  }
  host.consecutive_failures = 0;
  if (!may_eject_one_more()) return Detection::Overflowed;
  eject(host, now, random);
  return Detection::Ejected;
}

bool OutlierDetector::may_eject_one_more() const noexcept {
  if (config_.always_eject_one_host && ejected_count_ == 0) return true;
  return std::size_t{100} * (ejected_count_ + 1U) <= config_.max_ejection_percent * targets_;
}

// The backoff grows one step beyond what reaches max_ejection_time and no further, so that the
// longest ejection is followed by shorter ones only after two healthy sweeps.
void OutlierDetector::eject(Host& host, Instant now, std::uint64_t random) noexcept {
  host.ejected = true;
  host.last_ejection = now;
  host.jitter = ejection_jitter(random, config_.max_ejection_time_jitter);
  if (config_.base_ejection_time * host.backoff <
      config_.max_ejection_time + config_.base_ejection_time) {
    ++host.backoff;
  }
  ++ejected_count_;
}

void OutlierDetector::let_in(Host& host, Instant now) noexcept {
  host.ejected = false;
  host.consecutive_failures = 0;
  host.last_unejection = now;
  --ejected_count_;
}

Duration OutlierDetector::ejection_time(const Host& host) const noexcept {
  return std::min(config_.base_ejection_time * host.backoff, config_.max_ejection_time) +
         host.jitter;
}

Duration OutlierDetector::ejection_time(std::size_t target) const noexcept {
  return ejection_time(hosts_[target]);
}

void OutlierDetector::sweep(Instant now) noexcept {
  for (std::size_t i = 0; i < targets_; ++i) {
    Host& host = hosts_[i];
    if (host.ejected && now - host.last_ejection >= ejection_time(host)) let_in(host, now);
    const bool back_for_an_interval = !host.ejected && host.last_unejection != Instant::min() &&
                                      now - host.last_unejection >= config_.interval;
    if (back_for_an_interval && host.backoff > 0) --host.backoff;
  }
}

void OutlierDetector::readmit(std::size_t target, Instant now) noexcept {
  if (hosts_[target].ejected) let_in(hosts_[target], now);
}

// The first sweep that is due and not yet done, at or after `instant`.
Instant OutlierDetector::first_sweep_from(Instant instant) const noexcept {
  if (instant <= next_sweep_) return next_sweep_;
  const Duration past = instant - next_sweep_;
  const std::int64_t sweeps = (past + config_.interval - Duration{1}) / config_.interval;
  return saturating_add(next_sweep_, sweeps * config_.interval);
}

Instant OutlierDetector::readmission(std::size_t target) const noexcept {
  const Host& host = hosts_[target];
  return first_sweep_from(saturating_add(host.last_ejection, ejection_time(host)));
}

void OutlierDetector::catch_up(Host& host, Instant last_sweep) noexcept {
  if (host.ejected) {
    const Instant in = first_sweep_from(saturating_add(host.last_ejection, ejection_time(host)));
    if (in > last_sweep) return;
    let_in(host, in);
  }
  if (host.last_unejection == Instant::min()) return;
  const Instant first = first_sweep_from(saturating_add(host.last_unejection, config_.interval));
  if (first > last_sweep) return;
  const std::int64_t lowerings = (last_sweep - first) / config_.interval + 1;
  host.backoff -= static_cast<std::uint32_t>(std::min<std::int64_t>(host.backoff, lowerings));
}

void OutlierDetector::catch_up(Instant now) noexcept {
  if (now < next_sweep_) return;
  const Instant last_sweep =
      next_sweep_ + (now - next_sweep_) / config_.interval * config_.interval;
  for (std::size_t i = 0; i < targets_; ++i) catch_up(hosts_[i], last_sweep);
  next_sweep_ = saturating_add(last_sweep, config_.interval);
}

}  // namespace recover::failover
