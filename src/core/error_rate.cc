#include "core/error_rate.h"

#include <algorithm>
#include <numeric>

#include "core/incident.h"

namespace recover::core {
namespace {

constexpr std::int64_t kBuckets = LookWindow::kBuckets;
constexpr Duration kBucket = kErrorWindow / kBuckets;

std::int64_t bucket_of(Instant at) {
  return at.time_since_epoch() / kBucket;
}

// Forgets what has left the window that ends in this bucket.
void slide(LookWindow& window, std::int64_t to) {
  if (to < 0) return;
  const std::int64_t from = std::max(window.newest + 1, to - kBuckets + 1);
  for (std::int64_t bucket = from; bucket <= to; ++bucket) {
    const auto slot = static_cast<std::size_t>(bucket % kBuckets);
    window.passed[slot] = window.failed[slot] = 0;
  }
  window.newest = std::max(window.newest, to);
}

void add(LookWindow& window, Instant at, bool failed, std::uint32_t count) {
  const std::int64_t bucket = bucket_of(at);
  if (bucket < 0 || bucket <= window.newest - kBuckets) return;
  slide(window, bucket);
  (failed ? window.failed : window.passed)[static_cast<std::size_t>(bucket % kBuckets)] += count;
}

// The outcome that looks between recorded ones had; nullopt: there were none.
std::optional<bool> failed_quietly(const ProbeHealth& probe) {
  if (probe.state == ProbeState::Passing && probe.failures == 0) return false;
  if (probe.state == ProbeState::Failing && probe.passes == 0) return true;
  return std::nullopt;
}

// Adds the looks between the latest recorded one and `until`, neither included.
void add_quiet(LookWindow& window, const ProbeHealth& probe, Duration interval, Instant until) {
  const auto failed = failed_quietly(probe);
  if (!failed || interval <= Duration::zero() || probe.observed_from == Instant::min()) return;
  const Instant oldest = until - kErrorWindow;
  Instant at = std::max(saturating_add(probe.observed_from, interval), oldest);
  while (at < until) {  // A bucket at a time.
    const Instant bucket_end = Instant{} + kBucket * (bucket_of(at) + 1);
    const Instant end = std::min(bucket_end, until);
    const std::int64_t count = (end - at + interval - Duration{1}) / interval;
    add(window, at, *failed, static_cast<std::uint32_t>(count));
    at += interval * count;
  }
}

LookCount sum(const LookWindow& window) {
  return {.passed = std::accumulate(window.passed.begin(), window.passed.end(), 0U),
          .failed = std::accumulate(window.failed.begin(), window.failed.end(), 0U)};
}

}  // namespace

void note_look(ProbeHealth& probe, Duration interval, Instant began, bool failed) {
  add_quiet(probe.looks, probe, interval, began);
  add(probe.looks, began, failed, 1);
}

LookCount looks_of(const Policy& policy, const State& state, ServiceIndex service, Instant now) {
  LookCount all;
  const ServicePolicy& wanted = policy.service(service);
  const ServiceHealth& health = state.services.at(service.value);
  for (std::size_t index = 0; index < health.probes.size(); ++index) {
    LookWindow window = health.probes[index].looks;
    add_quiet(window, health.probes[index], wanted.probes[index].interval, now);
    slide(window, bucket_of(now));
    const LookCount count = sum(window);
    all.passed += count.passed;
    all.failed += count.failed;
  }
  return all;
}

void judge_error_rate(Turn& turn, const ProbeFinished& event) {
  const std::optional<double>& threshold = turn.policy.monitoring.error_rate;
  if (!threshold || turn.health(event.service).start_deadline != kNever) return;
  const LookCount count = looks_of(turn.policy, turn.state, event.service, turn.now);
  const std::uint32_t all = count.passed + count.failed;
  if (all < kErrorLooksMin || count.failed < kErrorFailuresMin) return;
  if (count.failed <= *threshold * all) return;
  report(turn, event.service,
         {.symptom = Symptom::HighErrorRate,
          .failure = event.failure,
          .detail = text({std::to_string(count.failed), " of ", std::to_string(all),
                          " looks failed within ", shown(kErrorWindow)}),
          .began_at = turn.now,
          .in_health = false});
}

void forget_looks(ServiceHealth& health) {
  for (ProbeHealth& probe : health.probes) {
    probe.looks = LookWindow{.newest = probe.looks.newest};
  }
}

}  // namespace recover::core
