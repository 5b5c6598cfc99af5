// A few hundred histories of the real core in a simulated world, and every checker shown a trace
// that it must not accept.
#include <gtest/gtest.h>

#include <bit>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "sim/campaign.h"
#include "sim/checker.h"

namespace recover::sim {
namespace {

using core::seconds;

TEST(Simulator, ThreeHundredHistoriesViolateNothing) {
  const CampaignResult result = run_campaign({.first = 1, .last = 300});
  ASSERT_FALSE(result.violation.has_value())
      << result.violation->id << ": " << result.violation->what << "\n"
      << describe(*result.failing);
  EXPECT_EQ(result.histories, 300U);
  EXPECT_GT(result.events, 50'000U);
}

TEST(Simulator, SameSeedGivesTheSameHash) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Scenario scenario = scenario_of(seed);
    const HistoryResult once = run_history(scenario);
    const HistoryResult again = run_history(scenario, 30);  // Watching changes nothing.
    EXPECT_EQ(once.hash, again.hash) << "seed " << seed;
    EXPECT_LE(again.trace.size(), 30U);
  }
}

TEST(Simulator, TheJournalsRealJsonGivesTheSameHash) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Scenario scenario = scenario_of(seed);
    EXPECT_EQ(run_history(scenario).hash, run_history_in_json(scenario).hash) << "seed " << seed;
  }
}

TEST(Simulator, WallClockJumpsChangeNothing) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Scenario jumping = scenario_of(seed);
    Scenario calm = jumping;
    calm.faults &= ~(1U << static_cast<std::uint32_t>(Fault::WallClock));
    EXPECT_EQ(run_history(jumping).hash_without_wall, run_history(calm).hash_without_wall)
        << "seed " << seed;
  }
}

TEST(Simulator, OneSeedPrintsItsHash) {
  std::ostringstream first;
  std::ostringstream second;
  EXPECT_EQ(run({.first = 7, .last = 7}, first), 0);
  EXPECT_EQ(run({.first = 7, .last = 7}, second), 0);
  EXPECT_NE(first.str().find("trace hash"), std::string::npos);
  EXPECT_EQ(first.str(), second.str());
}

// ---- doctored traces ---------------------------------------------------------------------------

core::Policy small_policy() {
  Scenario scenario;
  scenario.services_max = 3;
  core::Policy policy = make_policy(scenario);
  policy.recovery.mode = core::Mode::Automatic;
  policy.recovery.max_concurrent_recoveries = 2;
  policy.recovery.max_attempts = 2;
  policy.recovery.recovery_timeout = seconds{60};
  policy.require_all_checks = true;
  policy.safety.blast_radius = 1.0;
  policy.safety.max_recoveries_per_hour = 3;
  policy.safety.cooldown = seconds{10};
  policy.playbooks.resize(1);
  policy.playbooks[0].cooldown = seconds{0};
  policy.playbooks[0].approval_ttl = seconds{30};
  policy.playbooks[0].prerequisites = {*core::Expression::parse("maintenance == false")};
  policy.playbooks[0].prerequisites_max_age = seconds{5};
  core::StepPolicy step;
  step.action = core::ActionKind::Exec;
  step.undo = core::ActionKind::Exec;
  policy.playbooks[0].steps = {step, step};
  for (core::ServicePolicy& service : policy.services) {
    service.depends_on.clear();
    service.mode.reset();
    service.playbooks = {{0}};
    service.probes.resize(1);
    service.probes[0].failure_threshold = 3;
  }
  return policy;
}

// Writes a journal by hand and says who objected first.
class Forger {
 public:
  explicit Forger(core::Policy policy = small_policy())
      : policy_(std::move(policy)), checker_(policy_, 0) {}

  Forger& pass(Duration time) {
    now_ += time;
    return *this;
  }
  Forger& event(const core::Event& event) { return add(ports::EntryKind::Event, event); }
  Forger& notice(std::string type, int service, std::string message, std::uint64_t recovery = 0,
                 std::uint64_t incident = 0, std::string actor = "") {
    core::Notice notice;
    notice.type = std::move(type);
    if (service >= 0) notice.service = core::ServiceIndex{static_cast<std::uint32_t>(service)};
    notice.recovery = {recovery};
    notice.incident = {incident};
    notice.actor = std::move(actor);
    notice.message = std::move(message);
    return add(ports::EntryKind::Notice, std::move(notice));
  }
  Forger& command(std::uint64_t id, core::ActionKind action, std::uint32_t service,
                  core::Part part = core::Part::Supervision, std::uint64_t recovery = 0,
                  std::uint32_t index = 0) {
    core::Command command;
    command.id = {id};
    command.action = action;
    command.service = {service};
    command.part = part;
    command.playbook = core::PlaybookIndex{0};
    command.recovery = {recovery};
    command.index = index;
    command.epoch = 1;
    return add(ports::EntryKind::Command, std::move(command));
  }
  Forger& planned(std::uint64_t recovery, int service, std::uint64_t incident) {
    return notice("recovery:planned", service, "p0 for s" + std::to_string(service), recovery,
                  incident);
  }
  Forger& to(std::uint64_t recovery, int service, std::string state) {
    return notice("recovery:action", service, state + ": why", recovery, recovery);
  }
  // An incident and its recovery, started.
  Forger& started(std::uint64_t id, int service) {
    notice("incident:opened", service, "s", 0, id);
    return planned(id, service, id).to(id, service, "running");
  }
  Forger& finished(std::uint64_t command, core::CommandOutcome outcome) {
    return event(core::CommandFinished{.command = {command}, .outcome = outcome});
  }
  Checker& checker() { return checker_; }
  Instant now() const { return now_; }
  WorldTruth truth(bool well) const {
    return {.services = std::vector<ServiceTruth>(policy_.services.size(), {.well = well}),
            .now = now_};
  }
  std::string verdict() const {
    return checker_.violation() ? checker_.violation()->id : std::string("none");
  }
  Forger& skip_sequence() {
    ++sequence_;
    return *this;
  }

 private:
  Forger& add(ports::EntryKind kind, Row row) {
    const ports::Entry entry{.kind = kind, .at = now_};
    rows_.push_back(std::make_unique<Row>(std::move(row)));
    checker_.entry(entry, rows_.back().get(), ++sequence_);
    return *this;
  }

  core::Policy policy_;
  Checker checker_;
  Instant now_ = Instant{} + seconds{10};
  std::uint64_t sequence_ = 0;
  std::vector<std::unique_ptr<const Row>> rows_;
};

core::Command command_of(std::uint64_t id, std::uint64_t epoch = 1) {
  core::Command command;
  command.id = {id};
  command.epoch = epoch;
  command.recovery = {1};
  command.part = core::Part::Step;
  command.idempotent = false;
  return command;
}

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

// ---- shrinking ---------------------------------------------------------------------------------

TEST(Shrinking, APlantedBugIsFoundAndMadeSmall) {
  Scenario planted = scenario_of(8);  // A large one.
  planted.effects_twice = true;
  for (; !run_history(planted).violation; planted.seed += 8) ASSERT_LT(planted.seed, 800U);
  ASSERT_EQ(run_history(planted).violation->id, "I02");
  const Scenario small = shrink(planted, "I02");
  const HistoryResult again = run_history(small);
  ASSERT_TRUE(again.violation.has_value());
  EXPECT_EQ(again.violation->id, "I02");
  EXPECT_LT(std::popcount(small.faults), std::popcount(planted.faults)) << describe(small);
  EXPECT_LT(small.services_max, planted.services_max);
  EXPECT_LT(again.events, run_history(planted).events + 1);
}

TEST(Shrinking, WithoutTheBugNothingIsFound) {
  Scenario honest = scenario_of(8);
  EXPECT_FALSE(run_history(honest).violation.has_value());
}

TEST(Campaign, AGoalThatWasMissedIsNamedAndFails) {
  CampaignResult result;
  result.histories = kGoalsFrom;
  result.goals.seen.fill(1);
  EXPECT_TRUE(missed_goals(result).empty());
  result.goals.seen[static_cast<std::size_t>(Goal::LearningDemoted)] = 0;
  ASSERT_EQ(missed_goals(result).size(), 1U);
  EXPECT_EQ(missed_goals(result).front(), Goal::LearningDemoted);
  // No crash of recoverd, no goal about crashes.
  std::ostringstream out;
  const std::uint32_t calm = kAllFaults & ~(1U << static_cast<std::uint32_t>(Fault::EngineCrash));
  EXPECT_EQ(run({.first = 1, .last = kGoalsFrom, .faults = calm}, out), 1);
  EXPECT_NE(out.str().find("never seen: during rollback"), std::string::npos);
}

TEST(Campaign, PrintsOneJsonObject) {
  std::ostringstream out;
  EXPECT_EQ(run({.first = 7, .last = 9, .json = true}, out), 0);
  EXPECT_TRUE(out.str().starts_with("{\"first_seed\":7,\"histories\":3,"));
  EXPECT_NE(out.str().find("\"violation\":null}"), std::string::npos);
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
