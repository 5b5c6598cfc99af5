#include <algorithm>
#include <cmath>
#include <string>
#include <system_error>

#include <recover/check.h>
#include <recover/hedge.h>

namespace recover::hedge {
namespace {

Unexpected<Error> bad_field(const std::string& field, const char* rule, const std::string& got) {
  return Unexpected(Error::invalid_config("hedge." + field + ": must be " + rule + ", got " + got));
}

}  // namespace

Result<void> HedgeConfig::validate() const {
  if (!idempotent) return bad_field("idempotent", "true, since attempts overlap", "false");
  if (max_hedged_attempts < 1 || max_hedged_attempts > kHedgedAttemptsMax) {
    return bad_field("max_hedged_attempts", "1 to 10", std::to_string(max_hedged_attempts));
  }
  if (delay < Duration::zero()) {
    return bad_field("delay", "at least 0 ns", std::to_string(delay.count()));
  }
  if (!(delay_quantile >= 0.0 && delay_quantile < 1.0)) {
    return bad_field("delay_quantile", "in [0, 1)", std::to_string(delay_quantile));
  }
  if (delay_min < Duration::zero()) {
    return bad_field("delay_min", "at least 0 ns", std::to_string(delay_min.count()));
  }
  if (delay_max < delay_min) {
    return bad_field("delay_max", "at least delay_min", std::to_string(delay_max.count()));
  }
  if (samples_min < 5) return bad_field("samples_min", "at least 5", std::to_string(samples_min));
  if (budget_percent > 100) {
    return bad_field("budget_percent", "0 to 100", std::to_string(budget_percent));
  }
  if (budget_burst < 1 || budget_burst > 10'000) {
    return bad_field("budget_burst", "1 to 10000", std::to_string(budget_burst));
  }
  return {};
}

Schedule::Decision Schedule::decide(Instant now) const noexcept {
  if (started_ < attempts_max_ && (running_ == 0 || now >= next_at_)) return {.kind = Kind::Start};
  if (running_ == 0) return {.kind = Kind::Done};
  return {.kind = Kind::Wait, .until = started_ < attempts_max_ ? next_at_ : kNever};
}

void Schedule::attempt_started(Instant now) noexcept {
  ++started_;
  ++running_;
  next_at_ = saturating_add(now, delay_);
}

P2Quantile::P2Quantile(double quantile) noexcept
    : quantile_(quantile),
      desired_{1, 1 + 2 * quantile, 1 + 4 * quantile, 3 + 2 * quantile, 5},
      increments_{0, quantile / 2, quantile, (1 + quantile) / 2, 1} {}

void P2Quantile::add_initial(double sample) noexcept {
  heights_[count_++] = sample;
  std::sort(heights_.begin(), heights_.begin() + static_cast<std::ptrdiff_t>(count_));
}

// The index of the marker below `sample`, widening the extremes to hold it.
std::size_t P2Quantile::cell_of(double sample) noexcept {
  if (sample < heights_[0]) {
    heights_[0] = sample;
    return 0;
  }
  if (sample >= heights_[4]) {
    heights_[4] = sample;
    return 3;
  }
  std::size_t cell = 0;
  while (sample >= heights_[cell + 1]) ++cell;
  return cell;
}

void P2Quantile::add(double sample) noexcept {
  if (count_ < kMarkers) {
    add_initial(sample);
    return;
  }
  const std::size_t cell = cell_of(sample);
  for (std::size_t i = cell + 1; i < kMarkers; ++i) positions_[i] += 1;
  for (std::size_t i = 0; i < kMarkers; ++i) desired_[i] += increments_[i];
  for (std::size_t i = 1; i + 1 < kMarkers; ++i) adjust(i);
  ++count_;
}

// Moves a marker one place towards where it should be: along a parabola through its neighbours, or
// along a line when the parabola would break their order.
void P2Quantile::adjust(std::size_t i) noexcept {
  const double off = desired_[i] - positions_[i];
  const double above = positions_[i + 1] - positions_[i];
  const double below = positions_[i - 1] - positions_[i];
  const bool moves = (off >= 1 && above > 1) || (off <= -1 && below < -1);
  if (!moves) return;
  const double step = off >= 1 ? 1 : -1;
  const double rise_above = (heights_[i + 1] - heights_[i]) / above;
  const double rise_below = (heights_[i - 1] - heights_[i]) / below;
  const double parabola =
      heights_[i] +
      step / (above - below) * ((step - below) * rise_above + (above - step) * rise_below);
  if (heights_[i - 1] < parabola && parabola < heights_[i + 1]) {
    heights_[i] = parabola;
  } else {
    heights_[i] += step * (step > 0 ? rise_above : rise_below);
  }
  positions_[i] += step;
}

double P2Quantile::value() const noexcept {
  if (count_ == 0) return 0;
  if (count_ > kMarkers) return heights_[2];
  const double rank = std::ceil(quantile_ * static_cast<double>(count_));
  return heights_[static_cast<std::size_t>(std::max(rank, 1.0)) - 1];
}

Delay::Delay(const HedgeConfig& config)
    : quantile_(config.delay_quantile),
      min_(config.delay_min),
      max_(config.delay_max),
      samples_min_(config.samples_min),
      ticks_(config.delay.count()),
      estimate_(config.delay_quantile) {}

void Delay::record(Duration latency) noexcept {
  if (quantile_ <= 0.0) return;
  const std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock()) return;
  estimate_.add(static_cast<double>(latency.count()));
  if (estimate_.count() < samples_min_) return;
  const auto low = static_cast<double>(min_.count());
  const auto high = static_cast<double>(max_.count());
  const Duration delay{static_cast<std::int64_t>(std::clamp(estimate_.value(), low, high))};
  ticks_.store(std::min(delay, max_).count(), std::memory_order_relaxed);
  if (estimate_.count() >= std::max<std::uint64_t>(kWindow, samples_min_)) {
    estimate_ = P2Quantile(quantile_);
  }
}

void Budget::earn() noexcept {
  std::int64_t seen = hundredths_.load(std::memory_order_relaxed);
  while (seen < full_ && !hundredths_.compare_exchange_weak(seen, std::min(seen + percent_, full_),
                                                            std::memory_order_relaxed)) {
  }
}

bool Budget::spend() noexcept {
  std::int64_t seen = hundredths_.load(std::memory_order_relaxed);
  while (seen >= 100) {
    if (hundredths_.compare_exchange_weak(seen, seen - 100, std::memory_order_relaxed)) return true;
  }
  return false;
}

ThreadPool::ThreadPool(const ThreadPoolConfig& config) : config_(config) {
  RECOVER_CHECK(config.threads >= 1 && config.threads <= kThreadsMax);
}

ThreadPool::~ThreadPool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
}

bool ThreadPool::run(std::function<void()> task) {
  {
    const std::lock_guard lock(mutex_);
    if (stopping_ || queue_.size() >= config_.queue_max) return false;
    start_thread();
    if (threads_.empty()) return false;
    queue_.push_back(std::move(task));
  }
  wake_.notify_one();
  return true;
}

// One with each task until there are enough: a pool that is hardly used stays small.
// REQUIRES: mutex_ held.
void ThreadPool::start_thread() {
  if (threads_.size() >= config_.threads) return;
  try {
    threads_.emplace_back([this] { work(); });
  } catch (const std::system_error&) {
    return;  // Out of threads: those there are will do.
  }
}

void ThreadPool::work() {
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
    if (queue_.empty()) return;
    std::function<void()> task = std::move(queue_.front());
    queue_.pop_front();
    lock.unlock();
    task();
    task = nullptr;  // What it owns goes before the lock is taken again.
    lock.lock();
  }
}

Hedge::Hedge(const HedgeConfig& config, Executor& executor, Clock& clock)
    : attempts_max_(config.max_hedged_attempts + 1),
      executor_(executor),
      clock_(clock),
      delay_(config),
      budget_(config.budget_percent, config.budget_burst) {
  RECOVER_CHECK_VALID(config);
}

bool Hedge::may_hedge(Schedule& schedule) {
  if (budget_.spend()) return true;
  counters_.add(Counter::HedgeDenied);
  schedule.start_no_more();
  return false;
}

void Hedge::hedge_started(Instant now, std::uint32_t attempt) {
  counters_.add(Counter::HedgeStarted);
  listeners_.emit({.kind = EventKind::HedgeStarted, .at = now, .attempt = attempt});
}

void Hedge::settled(bool success, std::uint32_t winner, Instant started_at) {
  counters_.add(success ? Counter::Successful : Counter::Failed);
  if (!success) return;
  const Instant now = clock_.now();
  delay_.record(now - started_at);
  if (winner == 0) return;
  counters_.add(Counter::HedgeWon);
  listeners_.emit({.kind = EventKind::HedgeWon, .at = now, .attempt = winner + 1});
}

std::optional<Error> Hedge::give_up(const CallContext& context, Instant now) {
  const bool stopped = context.stop.stop_requested();
  if (!stopped && now < context.deadline) return std::nullopt;
  counters_.add(Counter::Abandoned);
  return stopped ? Error::cancelled() : Error::timeout_exceeded();
}

Metrics Hedge::metrics() const noexcept {
  return {.successful = counters_.value(Counter::Successful),
          .failed = counters_.value(Counter::Failed),
          .abandoned = counters_.value(Counter::Abandoned),
          .hedges_started = counters_.value(Counter::HedgeStarted),
          .hedges_won = counters_.value(Counter::HedgeWon),
          .hedges_denied = counters_.value(Counter::HedgeDenied),
          .delay = delay_.current()};
}

Subscription Hedge::on_event(std::function<void(const Event&)> listener) {
  return listeners_.add(std::move(listener));
}

}  // namespace recover::hedge
