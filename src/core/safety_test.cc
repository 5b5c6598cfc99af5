// Each gate alone, all gates together, and the life of a recovery as a table.
#include "core/safety.h"

#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/recovery_table.h"

namespace recover::core {
namespace {

struct Case {
  std::string name;
  Rule rule;
  Verdict verdict;
  std::function<void(GateInputs&)> change;
};

const std::vector<Case>& cases() {
  static const std::vector<Case> kCases = {
      {"shadow", Rule::Mode, Verdict::Refuse, [](GateInputs& in) { in.mode = Mode::Shadow; }},
      {"disabled", Rule::Conditions, Verdict::Refuse, [](GateInputs& in) { in.enabled = false; }},
      {"condition", Rule::Conditions, Verdict::Refuse,
       [](GateInputs& in) { in.condition_allowed = false; }},
      {"maintenance", Rule::Maintenance, Verdict::Wait,
       [](GateInputs& in) { in.maintenance = true; }},
      {"quarantine", Rule::Quarantine, Verdict::Refuse,
       [](GateInputs& in) { in.quarantined = true; }},
      {"breaker", Rule::ServiceBreaker, Verdict::Refuse,
       [](GateInputs& in) { in.breaker = BreakerState::Open; }},
      {"half-open", Rule::ServiceBreaker, Verdict::Pass,
       [](GateInputs& in) { in.breaker = BreakerState::HalfOpen; }},
      {"playbook breaker", Rule::PlaybookBreaker, Verdict::Refuse,
       [](GateInputs& in) { in.playbook_breaker_open = true; }},
      {"playbook breaker, this service", Rule::PlaybookBreaker, Verdict::Refuse,
       [](GateInputs& in) { in.playbook_open_for_service = true; }},
      {"demoted", Rule::PlaybookBreaker, Verdict::Refuse,
       [](GateInputs& in) { in.demoted = true; }},
      {"cooldown", Rule::Cooldown, Verdict::Wait,
       [](GateInputs& in) { in.cooldown_left = Duration{1}; }},
      {"concurrent", Rule::ConcurrentRecoveries, Verdict::Wait,
       [](GateInputs& in) { in.recoveries = in.recoveries_max; }},
      {"last free", Rule::ConcurrentRecoveries, Verdict::Pass,
       [](GateInputs& in) { in.recoveries = in.recoveries_max - 1; }},
      {"per hour", Rule::RecoveriesPerHour, Verdict::Wait,
       [](GateInputs& in) { in.recoveries_last_hour = in.recoveries_per_hour_max; }},
      {"blast at the limit", Rule::BlastRadius, Verdict::Pass,
       [](GateInputs& in) {
         in.unhealthy_others = 1;
         in.recoveries = 1;
       }},
      {"blast above the limit", Rule::BlastRadius, Verdict::Wait,
       [](GateInputs& in) {
         in.unhealthy_others = 2;
         in.recoveries = 1;
       }},
      {"blast, one at a time", Rule::BlastRadius, Verdict::Pass,
       [](GateInputs& in) { in.unhealthy_others = 5; }},
      {"prerequisite false", Rule::Prerequisites, Verdict::Wait,
       [](GateInputs& in) {
         in.prerequisites = {{"a", "a = false", Truth::False}};
       }},
      {"prerequisite missing", Rule::Prerequisites, Verdict::Refuse,
       [](GateInputs& in) {
         in.prerequisites = {{"a", "a = missing", Truth::Missing}, {"b", "", Truth::False}};
       }},
      {"semi-automatic", Rule::RiskAndApproval, Verdict::Wait,
       [](GateInputs& in) { in.mode = Mode::SemiAutomatic; }},
      {"limited, low risk", Rule::RiskAndApproval, Verdict::Pass,
       [](GateInputs& in) { in.mode = Mode::AutomaticLimited; }},
      {"limited, medium risk", Rule::RiskAndApproval, Verdict::Wait,
       [](GateInputs& in) {
         in.mode = Mode::AutomaticLimited;
         in.risk = Risk::Medium;
       }},
      {"high risk, automatic", Rule::RiskAndApproval, Verdict::Pass,
       [](GateInputs& in) { in.risk = Risk::High; }},
      {"unsure", Rule::RiskAndApproval, Verdict::Wait, [](GateInputs& in) { in.confidence = 0.5; }},
      {"permission", Rule::RiskAndApproval, Verdict::Wait,
       [](GateInputs& in) { in.failure = FailureClass::Permission; }},
      {"authentication", Rule::RiskAndApproval, Verdict::Wait,
       [](GateInputs& in) { in.failure = FailureClass::Authentication; }},
      {"authentication named", Rule::RiskAndApproval, Verdict::Pass,
       [](GateInputs& in) {
         in.failure = FailureClass::Authentication;
         in.names_authentication = true;
       }},
      {"approved", Rule::RiskAndApproval, Verdict::Pass,
       [](GateInputs& in) {
         in.mode = Mode::SemiAutomatic;
         in.approved = true;
       }},
      {"kill switch", Rule::KillSwitch, Verdict::Wait,
       [](GateInputs& in) { in.kill_switch = true; }},
      {"storm", Rule::Storm, Verdict::Wait, [](GateInputs& in) { in.storm = true; }},
      {"journal", Rule::JournalDegraded, Verdict::Wait,
       [](GateInputs& in) { in.journal_degraded = true; }},
      {"journal, safe", Rule::JournalDegraded, Verdict::Pass,
       [](GateInputs& in) {
         in.journal_degraded = true;
         in.safe_without_journal = true;
       }},
  };
  return kCases;
}

GateInputs all_clear() {
  GateInputs in;
  in.services = 8;
  return in;
}

TEST(Gates, EachIsRecordedInOrder) {
  const std::vector<Reason> reasons = evaluate_gates(all_clear());
  ASSERT_EQ(reasons.size(), static_cast<std::size_t>(Rule::JournalDegraded) + 1);
  for (std::size_t index = 0; index < reasons.size(); ++index) {
    EXPECT_EQ(reasons[index].rule, static_cast<Rule>(index));
    EXPECT_EQ(reasons[index].verdict, Verdict::Pass) << to_string(reasons[index].rule);
    EXPECT_FALSE(reasons[index].detail.empty());
  }
}

TEST(Gates, OneCauseChangesOneVerdict) {
  for (const Case& each : cases()) {
    GateInputs in = all_clear();
    each.change(in);
    for (const Reason& reason : evaluate_gates(in)) {
      if (reason.rule == each.rule) {
        EXPECT_EQ(reason.verdict, each.verdict) << each.name << ": " << reason.detail;
      } else {
        EXPECT_EQ(reason.verdict, Verdict::Pass) << each.name << ": " << reason.detail;
      }
    }
  }
}

// What makes a difference to a reason, its numbers included, makes one to the fingerprint: from any
// of the cases, one more cause at a time.
TEST(Gates, WhatChangesAReasonChangesTheFingerprint) {
  std::vector<std::function<void(GateInputs&)>> changes = {
      [](GateInputs& in) { in.requested = !in.requested; },
      [](GateInputs& in) { in.approved = !in.approved; },
      [](GateInputs& in) { in.recoveries += 1; },
      [](GateInputs& in) { in.recoveries_max += 1; },
      [](GateInputs& in) { in.recoveries_last_hour += 1; },
      [](GateInputs& in) { in.recoveries_per_hour_max += 1; },
      [](GateInputs& in) { in.unhealthy_others += 1; },
      [](GateInputs& in) { in.services += 40; },
      [](GateInputs& in) { in.blast_radius = 0.5; },
      [](GateInputs& in) { in.group = "g"; },
      [](GateInputs& in) { in.group_services += 40; },
      [](GateInputs& in) { in.group_recoveries += 1; },
      [](GateInputs& in) { in.group_unhealthy_others += 1; },
      [](GateInputs& in) { in.group_recoveries_max = in.group_recoveries_max.value_or(1) + 1; },
      [](GateInputs& in) { in.group_blast_radius = in.group_blast_radius ? 0.75 : 0.5; },
      [](GateInputs& in) { in.facts_overdue = !in.facts_overdue; },
      [](GateInputs& in) { in.names_authentication = !in.names_authentication; },
      [](GateInputs& in) { in.confidence = in.confidence == 0.1 ? 0.2 : 0.1; },
      [](GateInputs& in) { in.confidence_threshold = 0.9; },
      [](GateInputs& in) { in.safe_without_journal = !in.safe_without_journal; },
      [](GateInputs& in) { in.failure = FailureClass::Timeout; },
      [](GateInputs& in) {
        in.prerequisites.push_back({"c", "c = 1", Truth::False});
      },
      [](GateInputs& in) {
        in.prerequisites.push_back({"c", "c = 2", Truth::Missing});
      },
      [](GateInputs& in) {
        in.prerequisites.push_back({"d", "", Truth::True});
      },
      [](GateInputs& in) { in.cooldown_left += milliseconds{7}; },
      [](GateInputs& in) { in.cooldown_left += seconds{7}; },
  };
  for (const Case& each : cases()) changes.push_back(each.change);
  std::size_t told = 0;
  for (const auto& first : changes) {
    GateInputs before = all_clear();
    first(before);
    for (const auto& second : changes) {
      GateInputs after = before;
      second(after);
      if (evaluate_gates(before) == evaluate_gates(after)) continue;
      ++told;
      EXPECT_NE(fingerprint(before), fingerprint(after));
    }
  }
  EXPECT_GT(told, changes.size() * changes.size() / 3);
}

TEST(Gates, ACooldownIsToldInWholeSecondsAndSoIsItsFingerprint) {
  const auto with = [](Duration left) {
    GateInputs in = all_clear();
    in.cooldown_left = left;
    return in;
  };
  const auto same = [&](Duration a, Duration b) {
    const bool told = evaluate_gates(with(a)) == evaluate_gates(with(b));
    EXPECT_EQ(told, fingerprint(with(a)) == fingerprint(with(b)));
    return told;
  };
  EXPECT_TRUE(same(milliseconds{5'200}, milliseconds{5'900}));
  EXPECT_FALSE(same(milliseconds{5'900}, milliseconds{6'000}));
  EXPECT_TRUE(same(Duration{500'100'000}, Duration{500'900'000}));
  EXPECT_FALSE(same(milliseconds{500}, milliseconds{501}));
  EXPECT_FALSE(same(milliseconds{5}, seconds{5}));
  EXPECT_FALSE(same(Duration{0}, Duration{1}));
}

TEST(Gates, AnOperatorsOwnRequestPassesModeButNotTheRest) {
  GateInputs in = all_clear();
  in.requested = true;
  in.mode = Mode::Shadow;
  in.enabled = false;
  in.kill_switch = true;
  in.maintenance = true;
  in.breaker = BreakerState::Open;
  const std::vector<Reason> reasons = evaluate_gates(in);
  for (const Reason& reason : reasons) {
    const bool stands = reason.rule == Rule::KillSwitch || reason.rule == Rule::Maintenance ||
                        reason.rule == Rule::ServiceBreaker;
    EXPECT_EQ(reason.verdict != Verdict::Pass, stands) << to_string(reason.rule);
  }
}

TEST(Gates, TheBlastLimitIsRoundedDownButNeverZero) {
  EXPECT_EQ(blast_limit(0, 0.25), 1U);
  EXPECT_EQ(blast_limit(3, 0.25), 1U);
  EXPECT_EQ(blast_limit(7, 0.25), 1U);
  EXPECT_EQ(blast_limit(8, 0.25), 2U);
  EXPECT_EQ(blast_limit(10, 1.0), 10U);
  EXPECT_EQ(blast_limit(10, 7.0), 10U);
}

TEST(RecoveryTable, OnlyWhatIsRunningCanSucceedOrBeUndone) {
  for (std::size_t s = 0; s < kRecoveryStateCount; ++s) {
    const auto state = static_cast<RecoveryState>(s);
    EXPECT_EQ(next_state(state, Signal::Stable).has_value(), state == RecoveryState::Validating);
    EXPECT_EQ(next_state(state, Signal::RollbackOver).has_value(),
              state == RecoveryState::RollingBack);
    EXPECT_EQ(next_state(state, Signal::Shadowed).has_value(), state == RecoveryState::Planned);
  }
  EXPECT_EQ(next_state(RecoveryState::Running, Signal::Undone), RecoveryState::RollingBack);
  EXPECT_EQ(next_state(RecoveryState::Planned, Signal::Rejected), RecoveryState::Rejected);
}

}  // namespace
}  // namespace recover::core
