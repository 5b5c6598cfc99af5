#include <algorithm>
#include <string>

#include <recover/check.h>
#include <recover/failover.h>
#include <recover/shared_random.h>

namespace recover::failover {

Result<void> FailoverConfig::validate() const {
  if (targets < 1 || targets > kTargetsMax) {
    return Unexpected(Error::invalid_config("failover.targets: must be 1 to " +
                                            std::to_string(kTargetsMax) + ", got " +
                                            std::to_string(targets)));
  }
  if (return_to_primary_after < Duration::zero()) {
    return Unexpected(
        Error::invalid_config("failover.return_to_primary_after: must be at least 0 ns, got " +
                              std::to_string(return_to_primary_after.count())));
  }
  if (probe_max_wait <= Duration::zero()) {
    return Unexpected(
        Error::invalid_config("failover.probe_max_wait: must be more than 0 ns, got " +
                              std::to_string(probe_max_wait.count())));
  }
  return outlier.validate();
}

Chain::Chain(const FailoverConfig& config, Instant now)
    : detector_(config.outlier, config.targets, now),
      return_after_(config.return_to_primary_after),
      probe_max_wait_(config.probe_max_wait),
      last_resort_(config.last_resort) {
  RECOVER_CHECK_VALID(config);
  last_failure_.fill(Instant::min());
}

std::optional<Choice> Chain::select(Instant now, TargetSet tried) noexcept {
  detector_.catch_up(now);
  settle_active();
  const auto usable = [&](std::size_t target) {
    return !tried.contains(target) && !detector_.ejected(target);
  };
  const auto choose = [](std::size_t target, bool last_resort) {
    return Choice{.target = static_cast<std::uint8_t>(target), .last_resort = last_resort};
  };
  if (tried.empty()) {
    if (const std::optional<Choice> probe = return_probe(now)) return probe;
  }
  if (usable(active_)) return choose(active_, false);
  for (std::size_t i = 0; i < detector_.targets(); ++i) {
    if (usable(i)) return choose(i, false);
  }
  if (!last_resort_ || detector_.ejected_count() < detector_.targets()) return std::nullopt;
  for (std::size_t i = 0; i < detector_.targets(); ++i) {
    if (!tried.contains(i)) return choose(i, true);
  }
  return std::nullopt;
}

std::optional<Choice> Chain::return_probe(Instant now) noexcept {
  if (now < probe_until_) return std::nullopt;
  for (std::size_t i = 0; i < active_; ++i) {
    if (detector_.ejected(i)) continue;
    const Instant well_since = std::max(detector_.last_unejection(i), last_failure_[i]);
    if (now < saturating_add(well_since, return_after_)) continue;
    probe_until_ = saturating_add(now, probe_max_wait_);
    if (++probe_ == 0) ++probe_;  // 0 means "no probe".
    return Choice{.target = static_cast<std::uint8_t>(i), .probe = probe_};
  }
  return std::nullopt;
}

void Chain::record(const Choice& choice, Outcome outcome, Instant now,
                   std::uint64_t random) noexcept {
  RECOVER_CHECK(choice.target < detector_.targets());
  const bool is_live_probe =
      choice.probe != 0 && choice.probe == probe_ && probe_until_ != Instant::min();
  if (is_live_probe) probe_until_ = Instant::min();
  switch (outcome) {
    case Outcome::Success:
      if (choice.last_resort) detector_.readmit(choice.target, now);
      detector_.record_success(choice.target);
      if (is_live_probe && !detector_.ejected(choice.target)) {
        active_ = std::min<std::size_t>(active_, choice.target);
      }
      break;
    case Outcome::Failure:
      last_failure_[choice.target] = now;
      detector_.record_failure(choice.target, now, random);
      break;
    case Outcome::Ignored: break;
  }
  settle_active();
}

// An ejected active target hands over to the best one that is in use; with none left it stays.
void Chain::settle_active() noexcept {
  if (!detector_.ejected(active_)) return;
  for (std::size_t i = 0; i < detector_.targets(); ++i) {
    if (detector_.ejected(i)) continue;
    active_ = i;
    return;
  }
}

std::optional<Duration> Chain::retry_after(Instant now) const noexcept {
  Instant first = kNever;
  for (std::size_t i = 0; i < detector_.targets(); ++i) {
    if (!detector_.ejected(i)) return std::nullopt;
    first = std::min(first, detector_.readmission(i));
  }
  return std::max(first - now, Duration::zero());
}

Chain::Status Chain::status() const noexcept {
  Status status{.active = active_};
  for (std::size_t i = 0; i < detector_.targets(); ++i) {
    if (detector_.ejected(i)) status.ejected.insert(i);
  }
  return status;
}

bool Chain::undisturbed() const noexcept {
  return active_ == 0 && !detector_.ejected(0) && detector_.consecutive_failures(0) == 0;
}

FailoverChain::FailoverChain(const FailoverConfig& config, Clock& clock)
    : config_(config),
      clock_(clock),
      chain_(config, clock.now()),
      random_(seed_or_entropy(config.seed)) {}

Result<FailoverChain::Attempt, Rejection> FailoverChain::select(Instant now, TargetSet tried) {
  std::optional<Choice> choice;
  Rejection rejection{.kind = ErrorKind::NoHealthyTarget};
  Chain::Status before;
  Chain::Status after;
  {
    const std::lock_guard lock(mutex_);
    before = chain_.status();
    choice = chain_.select(now, tried);
    if (!choice) rejection.retry_after = chain_.retry_after(now);
    after = chain_.status();
    publish();
  }
  announce(before, after, now);
  if (choice) return Attempt(*this, *choice);
  if (tried.empty()) counters_.add(Counter::Exhausted);
  return Unexpected(rejection);
}

void FailoverChain::record_disturbed(const Choice& choice, Outcome outcome) noexcept {
  if (outcome == Outcome::Failure) counters_.add(Counter::Failed);
  const bool changes_nothing = outcome == Outcome::Ignored && choice.probe == 0;
  if (changes_nothing) return;
  Chain::Status before;
  Chain::Status after;
  Instant now;
  {
    const std::lock_guard lock(mutex_);
    now = clock_.now();
    before = chain_.status();
    chain_.record(choice, outcome, now, random_.next());
    after = chain_.status();
    publish();
  }
  announce(before, after, now);
}

// REQUIRES: mutex_ held.
void FailoverChain::publish() noexcept {
  active_.store(chain_.status().active, std::memory_order_relaxed);
  undisturbed_.store(chain_.undisturbed(), std::memory_order_release);
}

void FailoverChain::announce(const Chain::Status& before, const Chain::Status& after, Instant now) {
  if (before == after) return;
  for (std::size_t i = 0; i < config_.targets; ++i) {
    if (before.ejected.contains(i) == after.ejected.contains(i)) continue;
    const bool out = after.ejected.contains(i);
    counters_.add(out ? Counter::Ejected : Counter::Readmitted);
    listeners_.emit({.kind = out ? EventKind::TargetEjected : EventKind::TargetReadmitted,
                     .from = i,
                     .to = i,
                     .at = now});
  }
  if (before.active == after.active) return;
  const bool worse = after.active > before.active;
  counters_.add(worse ? Counter::FailedOver : Counter::Returned);
  listeners_.emit({.kind = worse ? EventKind::FailedOver : EventKind::Returned,
                   .from = before.active,
                   .to = after.active,
                   .at = now});
}

Outcome FailoverChain::outcome_of(const std::optional<Classification>& failure) const {
  if (!failure) return Outcome::Success;
  if (failure->persistence == Persistence::Cancelled) return Outcome::Ignored;
  const bool worthy =
      config_.failover_on ? config_.failover_on(*failure) : is_failover_worthy(*failure);
  return worthy ? Outcome::Failure : Outcome::Success;
}

bool FailoverChain::may_move_on(const Classification& failure, const CallContext& context) const {
  if (outcome_of(failure) != Outcome::Failure) return false;
  if (!config_.idempotent && failure.delivery != Delivery::NotSent) return false;
  if (context.stop.stop_requested()) return false;
  return context.deadline == kNever || clock_.now() < context.deadline;
}

Metrics FailoverChain::metrics() const noexcept {
  return {.successful = counters_.value(Counter::Successful),
          .failed = counters_.value(Counter::Failed),
          .moved_on = counters_.value(Counter::MovedOn),
          .exhausted = counters_.value(Counter::Exhausted),
          .failovers = counters_.value(Counter::FailedOver),
          .returns = counters_.value(Counter::Returned),
          .ejections = counters_.value(Counter::Ejected),
          .readmissions = counters_.value(Counter::Readmitted),
          .active_target = active_.load(std::memory_order_relaxed)};
}

Subscription FailoverChain::on_event(std::function<void(const Event&)> listener) {
  return listeners_.add(std::move(listener));
}

}  // namespace recover::failover
