#include <array>
#include <cstddef>
#include <string>

#include <recover/check.h>
#include <recover/time_limiter.h>

namespace recover::timelimiter {
namespace {

// Stop sources that no call has used up, for reuse by later calls of the same thread. One call
// nests in another no deeper than a pipeline does (total timeout around attempt timeout), so a few
// suffice; deeper nesting only allocates.
class SpareSources {
 public:
  static constexpr std::size_t kSparesMax = 4;

  std::stop_source take() {
    if (count_ == 0) return std::stop_source();
    return std::move(spares_[--count_]);
  }
  void give_back(std::stop_source source) noexcept {
    if (source.stop_requested() || count_ == kSparesMax) return;
    spares_[count_++] = std::move(source);
  }

 private:
  std::array<std::stop_source, kSparesMax> spares_{
      std::stop_source(std::nostopstate), std::stop_source(std::nostopstate),
      std::stop_source(std::nostopstate), std::stop_source(std::nostopstate)};
  std::size_t count_ = 0;
};

SpareSources& spare_sources() noexcept {
  thread_local SpareSources spares;
  return spares;
}

}  // namespace

Result<void> TimeLimiterConfig::validate() const {
  if (timeout_duration > Duration::zero()) return {};
  return Unexpected(
      Error::invalid_config("time_limiter.timeout_duration: must be more than 0 ns, got " +
                            std::to_string(timeout_duration.count())));
}

DeadlineStop::DeadlineStop(Timer& timer, Instant deadline, std::stop_token callers, StopSource from)
    : timer_(timer),
      from_(from),
      source_(from == StopSource::Pooled ? spare_sources().take() : std::stop_source()),
      armed_(true),
      waiting_(false) {
  if (callers.stop_possible()) callers_.emplace(std::move(callers), Forward{source_});
  if (deadline == kNever) return;
  armed_ = timer_.schedule(*this, deadline);
  waiting_ = armed_;
}

DeadlineStop::~DeadlineStop() {
  disarm();
  callers_.reset();
  if (from_ == StopSource::Pooled) spare_sources().give_back(std::move(source_));
}

bool DeadlineStop::disarm() noexcept {
  if (!waiting_) return false;
  waiting_ = false;
  return !timer_.cancel(*this);
}

TimeLimiter::TimeLimiter(const TimeLimiterConfig& config, Clock& clock, Timer& timer)
    : timeout_duration_(config.timeout_duration),
      stop_source_(config.retainable_tokens ? StopSource::Fresh : StopSource::Pooled),
      clock_(clock),
      timer_(timer) {
  RECOVER_CHECK_VALID(config);
}

Metrics TimeLimiter::metrics() const noexcept {
  return {.successful = counters_.value(Counter::Successful),
          .failed = counters_.value(Counter::Failed),
          .timed_out = counters_.value(Counter::TimedOut),
          .cancelled = counters_.value(Counter::Cancelled)};
}

Subscription TimeLimiter::on_event(std::function<void(const CallTimedOut&)> listener) {
  return listeners_.add(std::move(listener));
}

Result<Instant> TimeLimiter::begin(const CallContext& context, Instant now) {
  if (const std::optional<Verdict> verdict = judge_start(now, context)) {
    return Unexpected(refuse(*verdict, now, now));
  }
  return deadline_for(timeout_duration_, now, context.deadline);
}

std::optional<Error> TimeLimiter::end(const Finish& finish, Instant started_at) {
  const Verdict verdict = judge(finish);
  if (verdict != Verdict::InTime) return give_up(verdict, started_at, finish.finished_at);
  counters_.add(finish.failed ? Counter::Failed : Counter::Successful);
  return std::nullopt;
}

Error TimeLimiter::refuse(Verdict verdict, Instant started_at, Instant at) {
  count(verdict, started_at, at);
  if (verdict == Verdict::Cancelled) return Error::cancelled();
  return Error::timeout_exceeded(Delivery::NotSent);
}

Error TimeLimiter::give_up(Verdict verdict, Instant started_at, Instant at) {
  count(verdict, started_at, at);
  return verdict == Verdict::Cancelled ? Error::cancelled() : Error::timeout_exceeded();
}

void TimeLimiter::count(Verdict verdict, Instant started_at, Instant at) {
  RECOVER_CHECK(verdict != Verdict::InTime);
  if (verdict == Verdict::Cancelled) {
    counters_.add(Counter::Cancelled);
    return;
  }
  counters_.add(Counter::TimedOut);
  listeners_.emit({.at = at, .elapsed = at - started_at});
}

}  // namespace recover::timelimiter
