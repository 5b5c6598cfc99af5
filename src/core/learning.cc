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

// Over every signature it was tried for.
Outcomes outcomes_of(const State& state, PlaybookIndex playbook) {
  Outcomes sum;
  for (const auto& [signature, outcomes] : state.outcomes) {
    if (signature.playbook != playbook) continue;
    sum.succeeded += outcomes.succeeded;
    sum.failed += outcomes.failed;
  }
  return sum;
}

// Learning may take a playbook out of service; only people put it back.
void demote_if_useless(Turn& turn, PlaybookIndex playbook) {
  const LearningPolicy& policy = turn.policy.learning;
  PlaybookHealth& health = turn.state.playbooks.at(playbook.value);
  const Outcomes all = outcomes_of(turn.state, playbook);
  if (health.demoted || all.succeeded + all.failed < policy.min_samples) return;
  if (wilson(all.succeeded, all.failed, policy.confidence_threshold).high >= kNeutral) return;
  health.demoted = true;
  turn.notice("playbook:demoted", Severity::High,
              text({turn.policy.playbook(playbook).id, " helped ", std::to_string(all.succeeded),
                    " times of ", std::to_string(all.succeeded + all.failed),
                    "; only a person can put it back"}));
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
  health.failures_in_row = succeeded ? 0 : health.failures_in_row + 1;
  if (health.breaker_open || succeeded) return;
  if (health.failures_in_row < std::max(turn.policy.safety.playbook_breaker_threshold, 1U)) return;
  health.breaker_open = true;
  turn.notice("playbook:breaker_open", Severity::High,
              text({turn.policy.playbook(recovery.playbook).id, " failed ",
                    std::to_string(health.failures_in_row),
                    " times in a row; only a person can put it back"}));
}

}  // namespace recover::core
