#include "core/facts.h"

#include <algorithm>

#include "core/error_rate.h"
#include "core/health.h"

namespace recover::core {
namespace {

double in_seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

}  // namespace

bool ServiceFacts::counts(const ProbeHealth& probe) const {
  if (probe.state == ProbeState::Unknown) return false;
  return recovery_ == nullptr || probe.observed_from >= recovery_->last_effect_at;
}

Fact ServiceFacts::running() const {
  const InstanceCount count = count_instances(health());
  if (count.wanted > 0) return count.up == count.wanted;
  // Nobody tells us of its processes: it runs when its probes say so.
  const Fact healthy = passing();
  if (health().probes.empty() || !std::holds_alternative<bool>(healthy)) return {};
  return std::get<bool>(healthy) ? healthy : Fact();
}

// Where not all checks are required one that passes is enough, and none may be unknown for a no.
Fact ServiceFacts::any_passing() const {
  bool all_known = true;
  for (const ProbeHealth& probe : health().probes) {
    const bool known = counts(probe);
    all_known = all_known && known;
    const bool failed_since = recovery_ != nullptr && probe.failures > 0;
    if (known && probe.state == ProbeState::Passing && !failed_since) return true;
  }
  if (!all_known) return {};
  return health().probes.empty();
}

Fact ServiceFacts::passing() const {
  if (!policy_.require_all_checks) return any_passing();
  bool passing = true;
  for (const ProbeHealth& probe : health().probes) {
    if (!counts(probe)) return {};
    // After an effect a probe that has just failed does not pass on what it saw before.
    const bool failed_since = recovery_ != nullptr && probe.failures > 0;
    passing = passing && probe.state == ProbeState::Passing && !failed_since;
  }
  return passing;
}

Fact ServiceFacts::error_rate() const {
  if (recovery_ == nullptr) {
    const LookCount count = looks_of(policy_, state_, service_, now_);
    if (count.passed + count.failed == 0) return {};
    return count.failed / (static_cast<double>(count.passed) + count.failed);
  }
  const double all = recovery_->probes_passed + recovery_->probes_failed;
  if (all == 0.0) return {};
  return recovery_->probes_failed / all;
}

Fact ServiceFacts::response_time() const {
  std::optional<Duration> longest;
  for (const ProbeHealth& probe : health().probes) {
    if (counts(probe)) longest = std::max(longest.value_or(Duration::zero()), probe.latency);
  }
  if (!longest) return {};
  return in_seconds(*longest);
}

Fact ServiceFacts::restarts() const {
  double restarts = 0;
  for (const InstanceHealth& instance : health().instances) restarts += instance.restarts;
  return restarts;
}

Fact ServiceFacts::used(Symptom symptom) const {
  std::optional<double> most;
  for (const ResourceLevel& level : state_.resources) {
    // Pressure is a share of time, not of what there is.
    if (level.what.starts_with("pressure:")) continue;
    if (level.symptom == symptom) most = std::max(most.value_or(0.0), level.ratio);
  }
  if (!most) return {};
  return *most;
}

Fact ServiceFacts::queue_depth() const {
  std::optional<double> deepest;
  for (const ProbeHealth& probe : health().probes) {
    if (!counts(probe) || !probe.queue_depth) continue;
    deepest = std::max(deepest.value_or(0.0), *probe.queue_depth);
  }
  if (!deepest) return {};
  return *deepest;
}

Fact ServiceFacts::value(std::string_view name) const {
  if (name == "service_running") return running();
  if (name == "health_check_passing") return passing();
  if (name == "error_rate") return error_rate();
  if (name == "queue_depth") return queue_depth();
  if (name == "response_time") return response_time();
  if (name == "restart_count") return restarts();
  if (name == "maintenance") return in_maintenance(state_, service_, now_);
  if (name == "disk_usage") return used(Symptom::DiskFull);
  if (name == "memory_usage") return used(Symptom::MemoryPressure);
  if (name == "cpu_usage") return used(Symptom::CpuPressure);
  if (name == "disk_available") {
    const Fact disk = used(Symptom::DiskFull);
    if (const double* ratio = std::get_if<double>(&disk)) return 1.0 - *ratio;
  }
  return {};
}

bool in_maintenance(const State& state, ServiceIndex service, Instant now) {
  return now < state.maintenance_until || now < state.services.at(service.value).maintenance_until;
}

bool needs_probes(const Expression& expression) {
  const auto is_measured = [](std::string_view name) {
    return name == "error_rate" || name == "response_time" || name == "queue_depth";
  };
  return expression.names_any(is_measured) &&
         !expression.names_any([&](std::string_view name) { return !is_measured(name); });
}

}  // namespace recover::core
