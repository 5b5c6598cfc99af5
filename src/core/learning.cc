#include "core/learning.h"

#include <algorithm>
#include <cmath>

namespace recover::core {
namespace {

// Of the standard normal distribution, for p in (0.5, 1): formula 26.2.23 of Abramowitz and Stegun,
// "Handbook of Mathematical Functions"; its error is below 4.5e-4.
double normal_quantile(double p) noexcept {
  const double t = std::sqrt(-2.0 * std::log(1.0 - p));
  return t - (2.515517 + t * (0.802853 + t * 0.010328)) /
                 (1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
}

constexpr double kNeutral = 0.5;

// Of every service it was tried for. Where it is there for several, one of them counts with half
// of the samples that are needed at most, its rate kept.
Outcomes outcomes_of(const Turn& turn, PlaybookIndex playbook) {
  std::map<ServiceIndex, Outcomes> services;
  for (const auto& [signature, outcomes] : turn.state.outcomes) {
    if (signature.playbook != playbook) continue;
    Outcomes& of_service = services[signature.service];
    of_service.succeeded += outcomes.succeeded;
    of_service.failed += outcomes.failed;
  }
  const auto uses = [playbook](const ServicePolicy& service) {
    return std::ranges::find(service.playbooks, playbook) != service.playbooks.end();
  };
  const bool shared = std::ranges::count_if(turn.policy.services, uses) > 1;
  const std::uint32_t most = counted_max(turn.policy.learning.min_samples);
  Outcomes sum;
  for (const auto& [service, outcomes] : services) {
    const std::uint32_t samples = outcomes.succeeded + outcomes.failed;
    const bool capped = shared && samples > most;
    const std::uint32_t helped =
        capped ? static_cast<std::uint32_t>(std::uint64_t{outcomes.succeeded} * most / samples)
               : outcomes.succeeded;
    sum.succeeded += helped;
    sum.failed += capped ? most - helped : outcomes.failed;
  }
  return sum;
}

// Learning may take a playbook out of service; only people put it back.
void demote_if_useless(Turn& turn, PlaybookIndex playbook) {
  const LearningPolicy& policy = turn.policy.learning;
  PlaybookHealth& health = turn.state.playbooks.at(playbook.value);
  const Outcomes all = outcomes_of(turn, playbook);
  if (health.demoted || all.succeeded + all.failed < policy.min_samples) return;
  if (wilson(all.succeeded, all.failed, policy.confidence_threshold).high >= kNeutral) return;
  health.demoted = true;
  turn.notice("playbook:demoted", Severity::High,
              text({turn.policy.playbook(playbook).id, " helped ", std::to_string(all.succeeded),
                    " times of ", std::to_string(all.succeeded + all.failed),
                    "; only a person can put it back"}));
}

// It helped: the row of this service is over, and so is that of all of them together.
void end_row(PlaybookHealth& health, ServiceIndex service) {
  health.failures_in_row = 0;
  const auto row = health.rows.find(service);
  if (row != health.rows.end() && !row->second.breaker_open) health.rows.erase(row);
  for (auto& [other, known] : health.rows) known.counted = 0;
}

void open_breaker_for(Turn& turn, const Recovery& recovery, PlaybookRow& row) {
  row.breaker_open = true;
  const std::string& service = turn.service(recovery.service).name;
  turn.notice("playbook:breaker_open", Severity::High, recovery.service,
              text({turn.policy.playbook(recovery.playbook).id, " failed ",
                    std::to_string(row.failures), " times in a row for ", service,
                    "; it is not used for it until `recoverctl breaker reset ", service, "`"}));
}

void open_breaker(Turn& turn, const Recovery& recovery, PlaybookHealth& health) {
  health.breaker_open = true;
  const std::string& id = turn.policy.playbook(recovery.playbook).id;
  const auto services =
      std::ranges::count_if(health.rows, [](const auto& row) { return row.second.counted > 0; });
  turn.notice(
      "playbook:breaker_open", Severity::High,
      text({id, " failed ", std::to_string(health.failures_in_row), " times in a row, for ",
            std::to_string(services), " services; it is not used until `recoverctl breaker reset ",
            turn.service(recovery.service).name, " --playbook ", id, "`"}));
}

}  // namespace

Interval wilson(std::uint32_t succeeded, std::uint32_t failed, double confidence) noexcept {
  const double n = static_cast<double>(succeeded) + failed;
  if (n == 0.0) return {};
  const double z = normal_quantile(0.5 + std::clamp(confidence, 0.01, 0.999) / 2.0);
  const double rate = succeeded / n;
  const double scale = 1.0 / (1.0 + z * z / n);
  const double centre = rate + z * z / (2.0 * n);
  const double spread = z * std::sqrt(rate * (1.0 - rate) / n + z * z / (4.0 * n * n));
  return {.low = (centre - spread) * scale, .high = (centre + spread) * scale};
}

double learned_factor(const LearningPolicy& policy, Outcomes outcomes) noexcept {
  const double s = outcomes.succeeded;
  const double f = outcomes.failed;
  if (!policy.enabled || s + f == 0.0 || s + f < policy.min_samples) return kNeutral;
  const Interval interval =
      wilson(outcomes.succeeded, outcomes.failed, policy.confidence_threshold);
  if (interval.low <= kNeutral && interval.high >= kNeutral) return kNeutral;
  return (s + 1.0) / (s + f + 2.0);
}

Signature signature_of(const Incident& incident, PlaybookIndex playbook) {
  return {.service = incident.service,
          .failure = incident.failure,
          .symptom = incident.symptoms.empty() ? Symptom::ProbeFailed : incident.symptoms.front(),
          .playbook = playbook};
}

Instant learning_deadline(const Policy& policy, const State& state) noexcept {
  if (!state.outcomes_are_new) return kNever;
  return saturating_add(state.learned_at, policy.learning.update_interval);
}

void advance_learning(Turn& turn) {
  if (learning_deadline(turn.policy, turn.state) > turn.now) return;
  turn.state.learned = turn.state.outcomes;
  turn.state.learned_at = turn.now;
  turn.state.outcomes_are_new = false;
}

void learn(Turn& turn, const Recovery& recovery, bool succeeded) {
  const Incident* incident = turn.incident(recovery.incident);
  if (incident != nullptr && turn.policy.learning.enabled) {
    Outcomes& outcomes = turn.state.outcomes[signature_of(*incident, recovery.playbook)];
    ++(succeeded ? outcomes.succeeded : outcomes.failed);
    turn.state.outcomes_are_new = true;
    demote_if_useless(turn, recovery.playbook);
  }
  PlaybookHealth& health = turn.state.playbooks.at(recovery.playbook.value);
  if (succeeded) return end_row(health, recovery.service);
  const std::uint32_t threshold = std::max(turn.policy.safety.playbook_breaker_threshold, 1U);
  PlaybookRow& row = health.rows[recovery.service];
  if (row.failures < threshold) ++row.failures;
  if (row.counted < counted_max(threshold)) {
    ++row.counted;
    ++health.failures_in_row;
  }
  if (!row.breaker_open && row.failures >= threshold) open_breaker_for(turn, recovery, row);
  if (!health.breaker_open && health.failures_in_row >= threshold) {
    open_breaker(turn, recovery, health);
  }
}

bool is_open_for(const PlaybookHealth& playbook, ServiceIndex service) noexcept {
  const auto row = playbook.rows.find(service);
  return playbook.breaker_open || (row != playbook.rows.end() && row->second.breaker_open);
}

}  // namespace recover::core
