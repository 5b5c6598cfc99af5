#include "view.h"

#include <algorithm>
#include <utility>

namespace flaky {
namespace {

constexpr std::ptrdiff_t kMoment = 4;  // Columns.

Tally difference(const Tally& now, const Tally& before) {
  return {.fresh = now.fresh - before.fresh,
          .replica = now.replica - before.replica,
          .cache = now.cache - before.cache,
          .failed = now.failed - before.failed};
}

}  // namespace

View Observer::observe(Instant now, const Outlook& outlook, std::size_t events_max) {
  const auto due = static_cast<std::uint64_t>((now - started_) / column_length_);
  while (columns_added_ < due) add_column(outlook.now);
  View view{.elapsed = now - started_,
            .outlook = outlook,
            .tally = crowd_.tally(),
            .column_length = column_length_,
            .columns = columns_,
            .started = started_,
            .events = chronicle_.latest(events_max)};
  const std::vector<Duration> latencies = crowd_.latencies();
  if (!latencies.empty()) {
    view.median = latencies[latencies.size() / 2];
    view.slowest = latencies.back();
  }
  const auto moment = std::min<std::ptrdiff_t>(kMoment, std::ssize(columns_));
  view.lost_one = std::any_of(columns_.end() - moment, columns_.end(),
                              [](const Column& column) { return column.answers.failed > 0; });
  observe_policies(view);
  return view;
}

void Observer::add_column(Weather weather) {
  const Tally now = crowd_.tally();
  columns_.push_back({.weather = weather,
                      .breaker = breaker_since_column(),
                      .answers = difference(now, before_),
                      .slowest = crowd_.take_slowest()});
  before_ = now;
  ++columns_added_;
  if (columns_.size() > kColumnsMax) columns_.pop_front();
}

// Probing is often over within milliseconds: it counts for the whole column.
recover::circuitbreaker::State Observer::breaker_since_column() {
  const unsigned probed = chronicle_.probed();
  if (std::exchange(probed_before_, probed) != probed) {
    return recover::circuitbreaker::State::HalfOpen;
  }
  return client_.primary().breaker.metrics().state;
}

void Observer::observe_policies(View& view) const {
  PrimaryPolicies& primary = client_.primary();
  ReplicaPolicies& replica = client_.replica();
  const recover::circuitbreaker::CircuitBreakerMetrics breaker = primary.breaker.metrics();
  view.breaker = primary.breaker.snapshot();
  view.window_size = primary.breaker.config().sliding_window.size;
  view.threshold_percent = primary.breaker.config().failure_rate_threshold.ppm() / 10'000.0;
  view.opened = chronicle_.opened();
  view.retries = primary.retry.metrics().retries;
  view.timeouts = primary.attempt_timeout.metrics().timed_out;
  view.rejected = breaker.not_permitted + primary.bulkhead.metrics().rejected +
                  primary.rate_limiter.metrics().rejected + replica.rate_limiter.metrics().rejected;
  view.late = breaker.late;
  view.budget = primary.budget->tokens();
  view.budget_max = kRetryBudget.max_tokens;
}

}  // namespace flaky
