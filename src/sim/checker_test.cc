// Every checker is shown a trace that it must not accept.
#include "sim/checker.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "sim/forger.h"

namespace recover::sim {
namespace {

using core::seconds;

TEST(Checkers, AcceptAnHonestTrace) {
  Forger forger;
  forger.started(1, 0).command(1, core::ActionKind::Exec, 0, core::Part::Step, 1);
  forger.finished(1, core::CommandOutcome::Done).to(1, 0, "validating");
  EXPECT_EQ(forger.verdict(), "none");
}

TEST(Checkers, I01EffectWithoutIntent) {
  Forger forger;
  forger.checker().command(command_of(9), forger.now());
  EXPECT_EQ(forger.verdict(), "I01");
}

TEST(Checkers, I02EffectTwice) {
  Forger forger;
  forger.checker().effect(command_of(1), forger.now());
  forger.checker().effect(command_of(2), forger.now());
  EXPECT_EQ(forger.verdict(), "I02");
}

TEST(Checkers, I03TwoRecoveriesForOneTarget) {
  Forger forger;
  forger.started(1, 0).planned(2, 0, 1).to(2, 0, "running");
  EXPECT_EQ(forger.verdict(), "I03");
}

TEST(Checkers, I04OldEpoch) {
  Forger forger;
  forger.started(1, 0);
  forger.command(1, core::ActionKind::Exec, 0, core::Part::Step, 1)
      .command(2, core::ActionKind::Exec, 0, core::Part::Step, 1);
  forger.checker().command(command_of(1, 5), forger.now());
  forger.checker().command(command_of(2, 5), forger.now());
  EXPECT_EQ(forger.verdict(), "I04");
}

TEST(Checkers, I05StaleResult) {
  Forger forger;
  forger.finished(77, core::CommandOutcome::Done);
  EXPECT_EQ(forger.verdict(), "I05");
}

TEST(Checkers, I06BlastRadius) {
  core::Policy policy = small_policy();
  policy.safety.blast_radius = 0.4;  // One of three.
  Forger forger(policy);
  forger.started(1, 0).started(2, 1);
  EXPECT_EQ(forger.verdict(), "I06");
}

TEST(Checkers, I07TooManyAtOnce) {
  Forger forger;
  forger.started(1, 0).started(2, 1).started(3, 2);
  EXPECT_EQ(forger.verdict(), "I07");
}

TEST(Checkers, I08Cooldown) {
  Forger forger;
  forger.started(1, 0).to(1, 0, "failed").pass(seconds{1}).planned(2, 0, 1).to(2, 0, "running");
  EXPECT_EQ(forger.verdict(), "I08");
}

TEST(Checkers, I09HourlyRate) {
  core::Policy policy = small_policy();
  policy.recovery.max_attempts = 9;
  Forger forger(policy);
  forger.started(1, 0).to(1, 0, "failed");
  for (std::uint64_t id = 2; id <= 4; ++id) {
    forger.pass(seconds{60}).planned(id, 0, 1).to(id, 0, "running").to(id, 0, "failed");
  }
  EXPECT_EQ(forger.verdict(), "I09");
}

TEST(Checkers, I10Attempts) {
  Forger forger;
  forger.started(1, 0).to(1, 0, "failed");
  for (std::uint64_t id = 2; id <= 3; ++id) {
    forger.pass(seconds{60}).planned(id, 0, 1).to(id, 0, "running").to(id, 0, "failed");
  }
  EXPECT_EQ(forger.verdict(), "I10");
}

TEST(Checkers, I11RefusedCountsAsDone) {
  Forger forger;
  forger.started(1, 0).command(1, core::ActionKind::Exec, 0, core::Part::Step, 1);
  forger.finished(1, core::CommandOutcome::Refused);
  forger.notice("recovery:action", 0, "step0 (exec): done", 1);
  EXPECT_EQ(forger.verdict(), "I11");
}

TEST(Checkers, I12ShadowStarts) {
  core::Policy policy = small_policy();
  policy.recovery.mode = core::Mode::Shadow;
  Forger forger(policy);
  forger.started(1, 0);
  EXPECT_EQ(forger.verdict(), "I12");
}

TEST(Checkers, I12GoesOnInShadow) {
  Forger forger;
  forger.started(1, 0).event(
      core::OperatorSetMode{.service = {}, .mode = core::Mode::Shadow, .actor = "ann"});
  forger.command(1, core::ActionKind::Exec, 0, core::Part::Step, 1);
  EXPECT_EQ(forger.verdict(), "I12");
}

TEST(Checkers, I13NoApproval) {
  core::Policy policy = small_policy();
  policy.recovery.mode = core::Mode::SemiAutomatic;
  Forger forger(policy);
  forger.started(1, 0);
  EXPECT_EQ(forger.verdict(), "I13");
}

TEST(Checkers, I13ApprovalExpired) {
  core::Policy policy = small_policy();
  policy.recovery.mode = core::Mode::SemiAutomatic;
  Forger forger(policy);
  forger.notice("incident:opened", 0, "s", 0, 1).planned(1, 0, 1);
  forger.to(1, 0, "awaiting_approval").notice("recovery:approval_required", 0, "p0; plan 42", 1);
  forger.event(core::OperatorApprove{{1}, 42, "a", ""}).to(1, 0, "planned");
  forger.pass(seconds{31}).to(1, 0, "running");
  EXPECT_EQ(forger.verdict(), "I13");
}

TEST(Checkers, I14KillSwitch) {
  Forger forger;
  forger.started(1, 0).event(core::OperatorKillSwitch{true, "a"});
  forger.event(core::TimerFired{});
  forger.checker().timer_armed(Instant::min());
  EXPECT_EQ(Forger()
                .started(1, 0)
                .event(core::OperatorKillSwitch{true, "a"})
                .command(1, core::ActionKind::Exec, 0, core::Part::Step, 1)
                .verdict(),
            "I14");
}

TEST(Checkers, I15StalePrerequisites) {
  Forger forger;
  forger.started(1, 0).event(core::OperatorMaintenance{std::nullopt, true, kNever, "a"});
  forger.pass(seconds{6}).command(1, core::ActionKind::Exec, 0, core::Part::Step, 1);
  EXPECT_EQ(forger.verdict(), "I15");
}

TEST(Checkers, I16SuccessUnseen) {
  Forger forger;
  forger.started(1, 0).to(1, 0, "validating").to(1, 0, "succeeded");
  EXPECT_EQ(forger.verdict(), "I16");
}

TEST(Checkers, I17UndoOfNothing) {
  Forger forger;
  forger.started(1, 0)
      .to(1, 0, "rolling_back")
      .command(1, core::ActionKind::Exec, 0, core::Part::Undo, 1, 1);
  EXPECT_EQ(forger.verdict(), "I17");
}

TEST(Checkers, I17StepNotUndone) {
  Forger forger;
  forger.started(1, 0).command(1, core::ActionKind::Exec, 0, core::Part::Step, 1);
  forger.finished(1, core::CommandOutcome::Unknown).to(1, 0, "rolling_back");
  EXPECT_EQ(forger.to(1, 0, "rolled_back").verdict(), "I17");
}

TEST(Checkers, I18UnknownIsFailed) {
  Forger forger;
  forger.started(1, 0).command(1, core::ActionKind::Exec, 0, core::Part::Step, 1);
  forger.finished(1, core::CommandOutcome::Unknown);
  forger.notice("recovery:action", 0, "step0 (exec): failed", 1);
  EXPECT_EQ(forger.verdict(), "I18");
}

TEST(Checkers, I19BeyondItsDeadline) {
  Forger forger;
  forger.started(1, 0).pass(seconds{200}).event(core::JournalDegraded{});
  EXPECT_EQ(forger.verdict(), "I19");
}

TEST(Checkers, I20StateReadBackDiffers) {
  Forger forger;
  forger.checker().restarted(1, 2);
  EXPECT_EQ(forger.verdict(), "I20");
}

TEST(Checkers, I22Gap) {
  Forger forger;
  forger.notice("a", -1, "").skip_sequence().notice("b", -1, "");
  EXPECT_EQ(forger.verdict(), "I22");
}

TEST(Checkers, I23NoSuchWay) {
  Forger forger;
  forger.started(1, 0).to(1, 0, "failed").to(1, 0, "running");
  EXPECT_EQ(forger.verdict(), "I23");
}

TEST(Checkers, I24SecondIncident) {
  Forger forger;
  forger.notice("incident:opened", 0, "s", 0, 1).notice("incident:opened", 0, "s", 0, 2);
  EXPECT_EQ(forger.verdict(), "I24");
}

TEST(Checkers, I25PageForNothing) {
  Forger forger;
  forger.command(1, core::ActionKind::Notify, 0);
  EXPECT_EQ(forger.verdict(), "I25");
}

TEST(Checkers, I26EarlyTimer) {
  Forger forger;
  forger.checker().timer_armed(forger.now() + seconds{1});
  EXPECT_EQ(forger.event(core::TimerFired{}).verdict(), "I26");
}

TEST(Checkers, I28PlaybookNotAllowed) {
  Forger forger;
  forger.notice("recovery:planned", 0, "p7 for s0", 1, 1);
  EXPECT_EQ(forger.verdict(), "I28");
}

TEST(Checkers, I29BreakerOpen) {
  Forger forger;
  forger.notice("incident:opened", 0, "s", 0, 1).planned(1, 0, 1);
  forger.notice("playbook:breaker_open", -1, "p0 failed").to(1, 0, "running");
  EXPECT_EQ(forger.verdict(), "I29");
}

TEST(Checkers, I29BreakerOpenForTheService) {
  Forger forger;
  forger.notice("incident:opened", 0, "s", 0, 1).planned(1, 0, 1);
  forger.notice("playbook:breaker_open", 0, "p0 failed").to(1, 0, "running");
  EXPECT_EQ(forger.verdict(), "I29");
}

TEST(Checkers, I29FailedTooOften) {
  core::Policy policy = small_policy();
  policy.safety.playbook_breaker_threshold = 1;
  Forger forger(policy);
  forger.started(1, 0).to(1, 0, "failed").pass(seconds{200});
  forger.planned(2, 0, 1).to(2, 0, "running");
  EXPECT_EQ(forger.verdict(), "I29");
}

TEST(Checkers, I30StartInAStorm) {
  Forger forger;
  for (int service = 0; service < 3; ++service) {
    forger.notice("incident:opened", service, "s", 0, static_cast<std::uint64_t>(service) + 1);
  }
  forger.notice("storm:entered", -1, "").planned(1, 0, 1).to(1, 0, "running");
  EXPECT_EQ(forger.verdict(), "I30");
}

TEST(Checkers, I31TooFewLooks) {
  Forger forger;
  core::ProbeFinished look;
  look.outcome = core::ProbeOutcome::Failed;
  forger.event(look).notice("incident:opened", 0, "s0: probe_failed", 0, 1);
  EXPECT_EQ(forger.verdict(), "I31");
}

TEST(Checkers, I32WithoutBound) {
  Forger forger;
  forger.notice("x", 0, std::string(100'000, 'a'));
  EXPECT_EQ(forger.verdict(), "I32");
}

TEST(Checkers, I32TimersWithoutEnd) {
  Forger forger;
  forger.checker().timer_armed(Instant::min());
  for (int timer = 0; timer < 40; ++timer) {
    forger.pass(core::milliseconds{10}).event(core::TimerFired{});
  }
  EXPECT_EQ(forger.verdict(), "I32");
}

TEST(Checkers, I34Secret) {
  Forger forger;
  forger.notice("x", 0, std::string(kCanary));
  EXPECT_EQ(forger.verdict(), "I34");
}

TEST(Checkers, I35NobodyNamed) {
  Forger forger;
  forger.notice("operator:mode", 0, "mode");
  EXPECT_EQ(forger.verdict(), "I35");
}

TEST(Checkers, L01RecoveryNeverEnds) {
  Forger forger;
  forger.started(1, 0);
  forger.checker().end(forger.truth(true));
  EXPECT_EQ(forger.verdict(), "L01");
}

TEST(Checkers, L02NobodyCares) {
  Forger forger;
  forger.checker().end(forger.truth(false));
  EXPECT_EQ(forger.verdict(), "L02");
}

TEST(Checkers, I28DemotedPlaybook) {
  Forger forger;
  forger.notice("incident:opened", 0, "s", 0, 1)
      .notice("playbook:demoted", -1, "p0 helped 0 times");
  EXPECT_EQ(forger.planned(1, 0, 1).verdict(), "I28");
}

TEST(Checkers, I30StormLeftBeforeItIsCalm) {
  core::Policy policy = small_policy();
  policy.safety.storm_exit = 0.5;
  policy.safety.storm_cooldown = seconds{30};
  Forger forger(policy);
  for (int service = 0; service < 3; ++service) {
    forger.notice("incident:opened", service, "s", 0, static_cast<std::uint64_t>(service) + 1);
  }
  forger.notice("storm:entered", -1, "").pass(seconds{40}).event(core::JournalDegraded{});
  forger.notice("incident:resolved", 0, "s", 0, 1).notice("incident:resolved", 1, "s", 0, 2);
  EXPECT_EQ(forger.pass(seconds{5}).notice("storm:left", -1, "").verdict(), "I30");
}

TEST(Checkers, L03OvertakenForEver) {
  core::Policy policy = small_policy();
  policy.playbooks[0].prerequisites.clear();
  policy.playbooks[0].risk = core::Risk::Low;
  policy.recovery.max_attempts = 9;
  policy.safety.playbook_breaker_threshold = 99;
  policy.safety.max_recoveries_per_hour = 99;
  Forger forger(policy);
  forger.notice("incident:opened", 0, "s", 0, 1).planned(1, 0, 1);
  for (std::uint64_t id = 2; id <= 14; ++id) {
    forger.pass(seconds{60}).notice("incident:opened", 1, "s", 0, id).planned(id, 1, id);
    forger.to(id, 1, "running").to(id, 1, "failed").notice("incident:resolved", 1, "s", 0, id);
  }
  EXPECT_EQ(forger.verdict(), "L03");
}

TEST(Checkers, L04NobodyIsTold) {
  Forger forger;
  forger.notice("incident:opened", 0, "s", 0, 1).notice("incident:escalated", 0, "s", 0, 1);
  forger.notice("incident:resolved", 0, "s", 0, 1);
  forger.checker().end(forger.truth(true));
  EXPECT_EQ(forger.verdict(), "L04");
}

TEST(Checkers, L05BreakerStaysOpen) {
  Forger forger;
  forger.notice("circuit:open", 0, "s").pass(core::hours{1});
  forger.checker().end(forger.truth(true));
  EXPECT_EQ(forger.verdict(), "L05");
}

TEST(Checkers, EachIsShownADoctoredTrace) {
  const core::Policy policy = small_policy();
  std::set<std::string> ids;
  for (const auto& each : make_invariants(policy)) ids.insert(std::string(each->id()));
  // One of the tests above for each.
  EXPECT_EQ(ids.size(), 37U);
}

}  // namespace
}  // namespace recover::sim
