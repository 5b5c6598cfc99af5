#include "core/validation.h"

#include <algorithm>

#include "core/facts.h"
#include "core/recovery.h"
#include "core/saga.h"

namespace recover::core {
namespace {

// While criteria are not met, probes look again after so long, whatever their interval.
constexpr Duration kLookAgain = seconds{1};
const std::vector<Expression>& criteria_of(const PlaybookPolicy& playbook) {
  static const std::vector<Expression> kDefault = {
      *Expression::parse("service_running == true"),
      *Expression::parse("health_check_passing == true")};
  const std::vector<Expression>& own = playbook.validation.success_criteria;
  return own.empty() ? kDefault : own;
}

// Without these nothing has recovered, however many others hold.
bool is_essential(const Expression& criterion) {
  return criterion.names_any([](std::string_view name) {
    return name == "service_running" || name == "health_check_passing";
  });
}

bool criteria_met(Turn& turn, Recovery& recovery) {
  const ServiceIndex service = recovery.successor.value_or(recovery.service);
  const bool blind = turn.service(service).probes.empty();
  const ServiceFacts facts(turn.policy, turn.state, service, turn.now, &recovery);
  const std::vector<Expression>& criteria = criteria_of(turn.policy.playbook(recovery.playbook));
  recovery.validation.resize(criteria.size());
  std::size_t met = 0;
  bool essentials = true;
  for (std::size_t at = 0; at < criteria.size(); ++at) {
    const Expression& criterion = criteria[at];
    // What only probes measure is not asked of a service without any.
    const bool skipped = blind && needs_probes(criterion);
    CriterionResult& result = recovery.validation[at];
    result.criterion = criterion.text();
    result.observed = skipped ? "no probes to measure it" : criterion.observed(facts);
    result.met = skipped || criterion.evaluate(facts) == Truth::True;
    met += result.met ? 1U : 0U;
    essentials = essentials && (result.met || !is_essential(criterion));
  }
  const std::size_t all = recovery.validation.size();
  return turn.policy.require_all_checks ? met == all : essentials && 2 * met > all;
}

std::string unmet_of(const Recovery& recovery) {
  std::string unmet;
  for (const CriterionResult& result : recovery.validation) {
    if (result.met) continue;
    unmet += text({unmet.empty() ? "" : "; ", result.criterion, " (", result.observed, ")"});
  }
  return unmet;
}

}  // namespace

void begin_validation(Turn& turn, Recovery& recovery) {
  const PlaybookPolicy& playbook = turn.policy.playbook(recovery.playbook);
  if (recovery.last_effect_at == Instant::min()) recovery.last_effect_at = turn.now;
  recovery.validation_until = saturating_add(turn.now, playbook.validation.within);
  recovery.stable_since = kNever;
  recovery.probes_passed = 0;
  recovery.probes_failed = 0;
  signal(turn, recovery, Signal::StepsOver, "every step is over");
  turn.look(recovery.successor.value_or(recovery.service));
}

void validate(Turn& turn, Recovery& recovery) {
  if (recovery.crashed) {
    return fail_recovery(turn, recovery, Rule::Validation, "it crashed while being validated");
  }
  const Duration stable_for = turn.policy.playbook(recovery.playbook).validation.stable_for;
  if (criteria_met(turn, recovery)) {
    recovery.wake_at = kNever;
    if (recovery.stable_since == kNever) {
      recovery.stable_since = turn.now;
      turn.moved = true;
    }
    if (saturating_add(recovery.stable_since, stable_for) > turn.now) return;
    return end(turn, recovery, Signal::Stable, Rule::Validation,
               text({"all criteria held for ", shown(stable_for)}));
  }
  recovery.stable_since = kNever;
  // The rate is that of one uninterrupted try: looks at a service still coming up do not stain it.
  if (recovery.probes_failed > 0) recovery.probes_passed = recovery.probes_failed = 0;
  if (recovery.validation_until <= turn.now) {
    return fail_recovery(turn, recovery, Rule::Validation, "not met: " + unmet_of(recovery));
  }
  if (recovery.wake_at == kNever || recovery.wake_at <= turn.now) {
    if (recovery.wake_at != kNever) turn.look(recovery.successor.value_or(recovery.service));
    recovery.wake_at = saturating_add(turn.now, kLookAgain);
  }
}

}  // namespace recover::core
