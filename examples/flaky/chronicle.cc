#include "chronicle.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "text.h"

namespace flaky {

namespace breaker = recover::circuitbreaker;
using recover::retry::RetryBudgetEvent;

namespace {

// "failure rate 60 % of 10", or the published name of the cause.
std::string reason_of(const breaker::Event& event, const breaker::Snapshot& snapshot) {
  switch (event.cause) {
    case breaker::Cause::FailureRate:
      return "failure rate " + std::to_string(std::lround(snapshot.failure_rate().value_or(0))) +
             " % of " + std::to_string(snapshot.counts.total);
    case breaker::Cause::WaitElapsed: return "the wait is over, probes may pass";
    case breaker::Cause::ProbesFailed: return "probes failed, waits " + seconds(event.open_wait);
    case breaker::Cause::ProbesSucceeded: return "probes succeeded";
    case breaker::Cause::SlowCallRate:
    case breaker::Cause::FailureCount:
    case breaker::Cause::ConsecutiveFailures:
    case breaker::Cause::HalfOpenTimedOut:
    case breaker::Cause::Manual:
    case breaker::Cause::Reset: return std::string(to_string(event.cause));
  }
  return {};
}

Tone tone_of(breaker::State to) {
  if (to == breaker::State::Closed) return Tone::Good;
  return to == breaker::State::Open ? Tone::Bad : Tone::Warning;
}

}  // namespace

Chronicle::Chronicle(Client& client) {
  recover::CircuitBreaker& breaker = client.primary().breaker;
  breaker.on_event([this, &breaker](const breaker::Event& event) { note_breaker(event, breaker); });
  client.primary().budget->on_event([this](const RetryBudgetEvent& event) { note_budget(event); });
}

void Chronicle::note_weather(Weather weather) {
  const bool good = weather == Weather::Healthy || weather == Weather::Recovering;
  add("server", std::string(name_of(weather)) + ": " + std::string(describe(weather)),
      good ? Tone::Good : Tone::Warning);
}

void Chronicle::note_breaker(const breaker::Event& event, recover::CircuitBreaker& breaker) {
  if (event.kind != breaker::Event::Kind::StateTransition) return;
  if (event.to == breaker::State::Open) ++opened_;
  if (event.to == breaker::State::HalfOpen) ++probed_;
  if (event.to == breaker::State::Closed) ++closed_;
  add("breaker",
      std::string(to_string(event.from)) + " -> " + std::string(to_string(event.to)) + ": " +
          reason_of(event, breaker.snapshot()),
      tone_of(event.to));
}

void Chronicle::note_budget(const RetryBudgetEvent& event) {
  switch (event.type) {
    case RetryBudgetEvent::Type::Exhausted:
      return add("retry", "budget used up: no retries until calls succeed again", Tone::Warning);
    case RetryBudgetEvent::Type::Restored:
      return add("retry", "budget restored: retries again", Tone::Good);
  }
}

void Chronicle::add(std::string who, std::string what, Tone tone) {
  const std::lock_guard lock(mutex_);
  occurrences_.push_back({std::chrono::steady_clock::now(), std::move(who), std::move(what), tone});
  if (occurrences_.size() > kOccurrencesMax) occurrences_.pop_front();
  ++count_;
}

std::vector<Occurrence> Chronicle::latest(std::size_t count) const {
  const std::lock_guard lock(mutex_);
  const auto shown = static_cast<std::ptrdiff_t>(std::min(count, occurrences_.size()));
  return {occurrences_.end() - shown, occurrences_.end()};
}

std::vector<Occurrence> Chronicle::since(std::uint64_t seen) const {
  return latest(static_cast<std::size_t>(count() - seen));
}

std::uint64_t Chronicle::count() const {
  const std::lock_guard lock(mutex_);
  return count_;
}

}  // namespace flaky
