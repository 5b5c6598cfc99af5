// What evaluate_gates() would say, told apart without saying it: a plan that waits is looked at
// with every step, and mostly for the same reasons as before.
#include <algorithm>
#include <bit>

#include "core/plan.h"
#include "core/safety.h"

namespace recover::core {

std::uint64_t fingerprint(const GateInputs& in) {
  std::uint64_t hash = 1;
  const auto add = [&hash](auto value) {
    hash = (hash ^ static_cast<std::uint64_t>(value)) * 0x9e3779b97f4a7c15U;
    hash ^= hash >> 29U;
  };
  const auto add_limit = [&add](const auto& limit) {
    add(limit.has_value());
    if (limit) add(std::bit_cast<std::uint64_t>(static_cast<double>(*limit)));
  };
  for (const bool flag :
       {in.requested, in.approved, in.enabled, in.condition_allowed, in.maintenance, in.quarantined,
        in.playbook_breaker_open, in.playbook_open_for_service, in.demoted, in.facts_overdue,
        in.names_authentication, in.kill_switch, in.storm, in.journal_degraded,
        in.safe_without_journal}) {
    hash = hash * 2 + (flag ? 1 : 0);
  }
  for (const std::uint32_t count :
       {in.recoveries, in.recoveries_max, in.recoveries_last_hour, in.recoveries_per_hour_max,
        in.unhealthy_others, in.services, in.group_services, in.group_recoveries,
        in.group_unhealthy_others}) {
    add(count);
  }
  for (const double number : {in.blast_radius, in.confidence, in.confidence_threshold}) {
    add(std::bit_cast<std::uint64_t>(number));
  }
  add(in.mode);
  add(in.breaker);
  add(in.risk);
  add(in.failure);
  add(fnv1a(in.group));
  add_limit(in.group_recoveries_max);
  add_limit(in.group_blast_radius);
  const bool short_wait = in.cooldown_left < seconds{1};
  add(in.cooldown_left > Duration::zero());
  add(short_wait);
  add(in.cooldown_left / (short_wait ? Duration(milliseconds{1}) : Duration(seconds{1})));
  for (const PrerequisiteCheck& check : in.prerequisites) {
    add(check.truth);
    if (check.truth != Truth::True) add(fnv1a(check.observed, fnv1a(check.expression)));
  }
  return std::max<std::uint64_t>(hash, 1);
}

}  // namespace recover::core
