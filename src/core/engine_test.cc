// Stories of the whole engine: what happens, and what it makes of it.
#include "core/engine.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/health.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

Story started(Policy policy) {
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  return story;
}

Story one_up(Policy policy) {
  Story story = started(std::move(policy));
  story.bring_up(kFirst, 100);
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Healthy);
  return story;
}

TEST(Engine, StartsWhatIsWantedInTheOrderOfDependencies) {
  Story story = started(story_policy({run_service("web", {kSecond}), run_service("db")}));
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].service, kSecond);
  EXPECT_EQ(story.pending[0].action, ActionKind::Start);
  EXPECT_EQ(story.pending[0].part, Part::Supervision);
  EXPECT_EQ(story.health(kSecond).state, ServiceState::Starting);
  story.bring_up(kSecond, 7);
  EXPECT_EQ(story.health(kSecond).state, ServiceState::Healthy);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].service, kFirst);
}

TEST(Engine, HealsACrash) {
  Story story = one_up(story_policy({run_service("web")}));
  story.pass(seconds{30});
  story.crash(kFirst, 100);
  EXPECT_EQ(story.incident(1).state, IncidentState::Recovering);
  EXPECT_EQ(story.incident(1).failure, FailureClass::ServiceFailure);
  EXPECT_DOUBLE_EQ(story.incident(1).confidence, 0.95);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Recovering);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Restart);
  EXPECT_EQ(story.pending[0].part, Part::Step);

  story.run(kFirst, 101);
  story.answer();
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Validating);
  story.pass(milliseconds{5});
  story.probe(kFirst, true);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Validating);
  story.pass(seconds{1});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Succeeded);
  EXPECT_EQ(story.recovery(1).rto_met, true);
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Healthy);
  EXPECT_EQ(story.health(kFirst).instances[0].restarts, 1U);
  EXPECT_EQ(story.count("service:recovered"), 1U);
  EXPECT_TRUE(story.state().active.empty());
  EXPECT_TRUE(story.state().in_flight.empty());
}

// Of three instances the second has crashed; what the playbook's first step is about.
std::string crash_of_the_second(const PlaybookPolicy& playbook) {
  Policy policy = story_policy({run_service("web")});
  std::get<RunSpec>(policy.services[0].spec).instances = 3;
  policy.playbooks = {playbook};
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.answer();
  for (std::uint32_t index = 0; index < 3; ++index) {
    const Incarnation incarnation{100 + index, 1};
    story.tell(ProcessStarted{kFirst, index, incarnation, false});
    story.tell(ProcessReady{kFirst, index, incarnation});
  }
  story.probe_all(kFirst, true);
  story.tell(ProcessExited{.service = kFirst, .instance = 1, .incarnation = {101, 1}, .signal = 9});
  EXPECT_EQ(story.pending.size(), 1U);
  return story.pending.front().text;
}

TEST(Engine, RestartsOnlyWhatFailed) {
  PlaybookPolicy playbook = restart_playbook();
  EXPECT_EQ(crash_of_the_second(playbook), "1");
  playbook.steps = {step_of(ActionKind::Stop), step_of(ActionKind::Start)};
  EXPECT_EQ(crash_of_the_second(playbook), "1");
  playbook.steps.insert(playbook.steps.begin() + 1, step_of(ActionKind::RestoreCheckpoint));
  EXPECT_EQ(crash_of_the_second(playbook), "") << "what they share is changed under all";
}

TEST(Engine, ScalesAwayWithItsRestarts) {
  Story story = one_up(story_policy({run_service("web")}));
  ServiceHealth health = story.health(kFirst);
  health.desired = 1;
  health.instances.resize(3);
  health.instances[1].state = InstanceState::Up;
  fit_instances(health);
  EXPECT_EQ(health.instances.size(), 2U) << "one of those that are too many still runs";
  health.instances[1].state = InstanceState::Down;
  health.desired = 3;
  fit_instances(health);
  EXPECT_EQ(health.instances.size(), 3U);
}

TEST(Engine, IgnoresStaleIncarnationsAndUnknownCommands) {
  Story story = one_up(story_policy({run_service("web")}));
  const std::uint64_t before = story.engine().state_hash();
  ProcessExited stale;
  stale.service = kFirst;
  stale.incarnation = {100, 999};
  EXPECT_FALSE(story.tell(stale).changed);
  EXPECT_FALSE(story.tell(CommandFinished{CommandId{4711}, CommandOutcome::Done, "", ""}).changed);
  EXPECT_FALSE(story.tell(TimerFired{}).changed);
  EXPECT_EQ(story.engine().state_hash(), before);
}

TEST(Engine, OneFailedLookIsNotAFailureButEnoughInARowAre) {
  Story story = one_up(story_policy({run_service("web")}));
  story.probe(kFirst, false);
  story.probe(kFirst, true);
  story.probe(kFirst, false);
  story.probe(kFirst, false);
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Healthy);
  story.probe(kFirst, false);
  EXPECT_EQ(story.incident(1).symptoms, std::vector<Symptom>{Symptom::ProbeFailed});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
}

TEST(Engine, UnknownLooksSayNothing) {
  Story story = one_up(story_policy({run_service("web")}));
  ProbeFinished event;
  event.service = kFirst;
  event.outcome = ProbeOutcome::Unknown;
  for (int i = 0; i < 10; ++i) EXPECT_FALSE(story.tell(event).changed);
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Healthy);
}

TEST(Engine, ShadowPlansButSendsNothing) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = Mode::Shadow;
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  story.pass(hours{1});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Shadow);
  EXPECT_EQ(story.recovery(1).reasons.size(), 16U);  // Every gate and the choice.
  EXPECT_EQ(story.incident(1).state, IncidentState::Open);
  EXPECT_TRUE(story.pending.empty());
  EXPECT_EQ(story.state().recoveries.size(), 1U);
  // Let loose, the same incident is healed.
  story.tell(OperatorSetMode{std::nullopt, Mode::Automatic, "uid:0(root)"});
  EXPECT_EQ(story.recovery(2).state, RecoveryState::Running);
}

TEST(Engine, ShadowedIncidentEndsWhenHealthReturns) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = Mode::Shadow;
  Story story = one_up(std::move(policy));
  story.probe_all(kFirst, false);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Shadow);
  story.probe_all(kFirst, true);
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
}

TEST(Engine, SuppressesDependentsAndChecksThemAgain) {
  Story story = started(story_policy({run_service("web", {kSecond}), run_service("db")}));
  story.bring_up(kSecond, 7);
  story.bring_up(kFirst, 100);
  story.crash(kSecond, 7);
  story.probe_all(kFirst, false);
  EXPECT_EQ(story.incident(2).state, IncidentState::Suppressed);
  EXPECT_EQ(story.incident(2).suppressed_by, IncidentId{1});
  ASSERT_EQ(story.pending.size(), 1U);  // The database's alone.
  story.run(kSecond, 8);
  story.answer();
  story.pass(milliseconds{1});
  story.probe(kSecond, true);
  story.pass(seconds{1});
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
  EXPECT_EQ(story.incident(2).state, IncidentState::Open);
  EXPECT_EQ(story.looks.back(), kFirst);
  story.probe_all(kFirst, true);
  EXPECT_EQ(story.incident(2).state, IncidentState::Resolved);
  EXPECT_TRUE(story.incident(2).recoveries.empty());
}

TEST(Engine, StillFailingAfterItsDependencyGetsARecoveryOfItsOwn) {
  Story story = started(story_policy({run_service("web", {kSecond}), run_service("db")}));
  story.bring_up(kSecond, 7);
  story.bring_up(kFirst, 100);
  story.crash(kSecond, 7);
  story.crash(kFirst, 100);
  EXPECT_EQ(story.incident(2).state, IncidentState::Suppressed);
  story.run(kSecond, 8);
  story.answer();
  story.pass(milliseconds{1});
  story.probe(kSecond, true);
  story.pass(seconds{1});
  EXPECT_EQ(story.incident(2).state, IncidentState::Recovering);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].service, kFirst);
}

TEST(Engine, LooksAtDependenciesBeforeItBlamesTheService) {
  Story story = started(story_policy({run_service("web", {kSecond}), run_service("db")}));
  story.bring_up(kSecond, 7);
  story.bring_up(kFirst, 100);
  story.pass(seconds{20});
  story.probe_all(kFirst, false);
  EXPECT_EQ(story.incident(1).state, IncidentState::Open);
  EXPECT_TRUE(story.pending.empty());
  EXPECT_EQ(story.looks.back(), kSecond);
  story.probe(kSecond, true);
  EXPECT_DOUBLE_EQ(story.incident(1).confidence, 0.8);
  EXPECT_EQ(story.incident(1).state, IncidentState::Recovering);
}

TEST(Engine, AnUnseenDependencyCostsConfidenceSoAPersonDecides) {
  Story story = started(story_policy({run_service("web", {kSecond}), run_service("db")}));
  story.bring_up(kSecond, 7);
  story.bring_up(kFirst, 100);
  story.pass(seconds{20});
  story.probe_all(kFirst, false);
  story.pass(seconds{30});
  EXPECT_DOUBLE_EQ(story.incident(1).confidence, 0.5);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::AwaitingApproval);
}

TEST(Engine, ADependencyThatTurnsOutFailingIsTheCause) {
  Story story = started(story_policy({run_service("web", {kSecond}), run_service("db")}));
  story.bring_up(kSecond, 7);
  story.bring_up(kFirst, 100);
  story.probe_all(kFirst, false);
  story.probe_all(kSecond, false);
  EXPECT_EQ(story.incident(1).state, IncidentState::Suppressed);
  EXPECT_EQ(story.incident(2).state, IncidentState::Recovering);
}

TEST(Engine, ApprovalIsForThePlanThatWasSeen) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = Mode::SemiAutomatic;
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::AwaitingApproval);
  EXPECT_EQ(story.incident(1).state, IncidentState::AwaitingApproval);
  const std::uint64_t plan = story.recovery(1).plan_hash;
  story.tell(OperatorApprove{RecoveryId{1}, plan + 1, "token:ci", ""});
  EXPECT_TRUE(story.pending.empty());
  EXPECT_EQ(story.count("operator:refused"), 1U);
  story.tell(OperatorApprove{RecoveryId{1}, plan, "token:ci", ""});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
  EXPECT_EQ(story.recovery(1).approved_by, "token:ci");
  story.tell(OperatorApprove{RecoveryId{1}, plan, "token:ci", ""});
  EXPECT_EQ(story.count("operator:refused"), 2U);
}

TEST(Engine, ApprovalExpiresAndEscalates) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = Mode::SemiAutomatic;
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  story.pass(minutes{16});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Rejected);
  EXPECT_EQ(story.incident(1).state, IncidentState::Escalated);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Notify);
}

TEST(Engine, EscalatesOnceAfterTheLastAttempt) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.max_attempts = 2;
  policy.safety.cooldown = seconds{1};
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  story.answer(CommandOutcome::Failed);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Failed);
  EXPECT_EQ(story.incident(1).state, IncidentState::Open);
  EXPECT_TRUE(story.pending.empty());
  story.pass(seconds{10});
  EXPECT_EQ(story.recovery(2).state, RecoveryState::Running);
  story.answer(CommandOutcome::Failed);
  EXPECT_EQ(story.incident(1).state, IncidentState::Escalated);
  story.pass(hours{2});
  EXPECT_EQ(story.count("incident:escalated"), 1U);
  EXPECT_EQ(story.state().recoveries.size(), 2U);
  story.run(kFirst, 102);
  story.probe_all(kFirst, true);
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
}

TEST(Engine, AttemptsAreFurtherAndFurtherApartUntilItIsWellAgain) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.max_attempts = 100;
  policy.recovery.retry_delay_max = seconds{60};
  policy.safety.cooldown = seconds{0};
  policy.safety.playbook_breaker_threshold = 100;
  policy.safety.circuit_breaker.failure_threshold = 100;
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  const Duration most[] = {seconds{10}, seconds{20}, seconds{40}, seconds{60}, seconds{60}};
  for (const Duration pause : most) {
    story.answer(CommandOutcome::Failed);
    const Duration left = story.incident(1).retry_at - story.now();
    EXPECT_LE(left, pause);
    EXPECT_GE(left, pause - pause / 10);
    story.pass(left);
  }
  EXPECT_EQ(story.recovery(6).state, RecoveryState::Running);
  story.run(kFirst, 101);
  story.answer(CommandOutcome::Done);
  story.probe_all(kFirst, true);
  story.pass(seconds{2});
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
  story.crash(kFirst, 101);
  EXPECT_EQ(story.recovery(7).state, RecoveryState::Running);
  story.answer(CommandOutcome::Failed);
  EXPECT_EQ(story.incident(2).retry_at, story.now() + seconds{10});
}

TEST(Engine, RollsBackInReverseWhenValidationFails) {
  Policy policy = story_policy({run_service("web")});
  PlaybookPolicy& playbook = policy.playbooks[0];
  StepPolicy isolate = step_of(ActionKind::Isolate);
  isolate.undo = ActionKind::Reload;
  StepPolicy limits = step_of(ActionKind::AdjustLimits);
  limits.undo = ActionKind::AdjustLimits;
  playbook.steps = {isolate, limits};
  playbook.rollback = {step_of(ActionKind::RestoreCheckpoint), step_of(ActionKind::Start)};
  playbook.checkpoint_required = true;
  policy.services[0].state = {"/etc/web"};
  Story story = one_up(std::move(policy));
  EXPECT_EQ(story.answer(CommandOutcome::Done, "cp-0").text, "candidate");
  story.probe_all(kFirst, false);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Checkpointing);
  EXPECT_EQ(story.answer(CommandOutcome::Done, "cp-1").part, Part::Checkpoint);
  EXPECT_EQ(story.recovery(1).checkpoint, "cp-1");
  EXPECT_EQ(story.answer().action, ActionKind::Isolate);
  EXPECT_EQ(story.answer().action, ActionKind::AdjustLimits);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Validating);
  story.pass(seconds{21});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::RollingBack);
  Command undo = story.answer();
  EXPECT_EQ(undo.part, Part::Undo);
  EXPECT_EQ(undo.index, 1U);
  undo = story.answer();
  EXPECT_EQ(undo.action, ActionKind::Reload);
  const Command restore = story.answer();
  EXPECT_EQ(restore.action, ActionKind::RestoreCheckpoint);
  EXPECT_EQ(restore.text, "last-good") << "what was there when it began did not work";
  EXPECT_EQ(story.answer().action, ActionKind::Start);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::RolledBack);
  EXPECT_EQ(story.incident(1).state, IncidentState::Open);
  EXPECT_EQ(story.count("recovery:rolled_back"), 1U);
}

TEST(Engine, WithoutStateThereIsNothingToRestore) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks[0].rollback = {step_of(ActionKind::RestoreCheckpoint),
                                  step_of(ActionKind::Start)};
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  story.answer();
  story.pass(seconds{21});
  ASSERT_EQ(story.recovery(1).state, RecoveryState::RollingBack);
  EXPECT_EQ(story.recovery(1).rollback[0].state, StepState::Skipped);
  EXPECT_EQ(story.answer().action, ActionKind::Start) << "the way back goes on";
}

TEST(Engine, WhatNeverStartedIsNotUndone) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks[0].rollback = {step_of(ActionKind::Start)};
  policy.playbooks[0].steps[0].undo = ActionKind::Stop;
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  story.answer(CommandOutcome::Refused);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Failed);
  EXPECT_TRUE(story.pending.empty());
}

TEST(Engine, RetriesAStepWithBackoffAndUndoesWhatMayHaveHappened) {
  Policy policy = story_policy({run_service("web")});
  StepPolicy& step = policy.playbooks[0].steps[0];
  step.retry.attempts = 3;
  step.undo = ActionKind::Stop;
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  story.answer(CommandOutcome::Failed);
  EXPECT_TRUE(story.pending.empty());
  story.pass(seconds{1});
  EXPECT_EQ(story.pending.at(0).attempt, 2U);
  story.answer(CommandOutcome::Unknown);
  story.pass(seconds{1});
  EXPECT_EQ(story.pending.at(0).attempt, 3U);
  story.answer(CommandOutcome::Unknown);
  EXPECT_EQ(story.recovery(1).steps[0].state, StepState::Unknown);
  EXPECT_EQ(story.pending.at(0).part, Part::Undo);
  story.answer();
  EXPECT_EQ(story.recovery(1).state, RecoveryState::RolledBack);
}

TEST(Engine, ACrashWhileValidatedFailsAtOnceInTheSameIncident) {
  Story story = one_up(story_policy({run_service("web")}));
  story.crash(kFirst, 100);
  story.run(kFirst, 101);
  story.answer();
  story.crash(kFirst, 101);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Failed);
  EXPECT_EQ(story.state().incidents.size(), 1U);
}

TEST(Engine, ALookFromBeforeTheEffectDoesNotCount) {
  Story story = one_up(story_policy({run_service("web")}));
  story.crash(kFirst, 100);
  const Instant before = story.now();
  story.pass(milliseconds{100});
  story.run(kFirst, 101);
  story.answer();
  ProbeFinished old;
  old.service = kFirst;
  old.outcome = ProbeOutcome::Passed;
  old.started_at = before;
  EXPECT_FALSE(story.tell(old).changed);
  story.pass(seconds{2});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Validating);
}

TEST(Engine, TheKillSwitchPausesBeforeEachEffect) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks[0].steps = {step_of(ActionKind::Stop), step_of(ActionKind::Start)};
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  story.tell(OperatorKillSwitch{true, "uid:0(root)"});
  story.answer();
  story.pass(minutes{1});
  EXPECT_TRUE(story.pending.empty());
  story.tell(OperatorKillSwitch{false, "uid:0(root)"});
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Start);
}

TEST(Engine, ARecoveryThatTakesTooLongIsCancelledAndRolledBack) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.recovery_timeout = seconds{20};
  policy.playbooks[0].steps[0].undo = ActionKind::Stop;
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  story.pass(seconds{20});
  ASSERT_EQ(story.cancelled.size(), 1U);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);  // Its end is awaited.
  story.answer(CommandOutcome::Unknown);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::RollingBack);
}

TEST(Engine, ACommandWithoutAnAnswerIsLostAtLast) {
  Story story = one_up(story_policy({run_service("web")}));
  story.crash(kFirst, 100);
  story.pass(minutes{2});
  EXPECT_NE(story.recovery(1).state, RecoveryState::Running);
  EXPECT_EQ(story.recovery(1).steps[0].state, StepState::TimedOut);
}

TEST(Engine, TheBreakerEscalatesThenAllowsOneTrial) {
  Policy policy = story_policy({run_service("web")});
  policy.safety.circuit_breaker.failure_threshold = 2;
  policy.safety.cooldown = Duration{1};
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);              // One failure: the incident.
  story.answer(CommandOutcome::Failed);  // Two: the recovery.
  EXPECT_EQ(story.health(kFirst).breaker, BreakerState::Open);
  EXPECT_EQ(story.incident(1).state, IncidentState::Escalated);
  story.answer();  // The notification.
  story.pass(seconds{59});
  EXPECT_TRUE(story.pending.empty());
  story.pass(seconds{2});
  EXPECT_EQ(story.health(kFirst).breaker, BreakerState::HalfOpen);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_TRUE(story.recovery(2).trial);
  story.answer(CommandOutcome::Failed);
  EXPECT_EQ(story.health(kFirst).breaker, BreakerState::Open);
  EXPECT_EQ(story.incident(1).state, IncidentState::Escalated);
  EXPECT_EQ(story.count("incident:escalated"), 1U);
  story.pass(seconds{61});
  ASSERT_EQ(story.pending.size(), 1U);
  story.run(kFirst, 103);
  story.answer();
  story.pass(milliseconds{1});
  story.probe_all(kFirst, true);
  story.pass(seconds{2});
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
  EXPECT_EQ(story.health(kFirst).breaker, BreakerState::HalfOpen);
  story.pass(minutes{11});
  EXPECT_EQ(story.health(kFirst).breaker, BreakerState::Closed);
}

TEST(Engine, AStopByAnOperatorIsNoFailure) {
  Story story = one_up(story_policy({run_service("web")}));
  story.tell(OperatorService{kFirst, ServiceRequest::Stop, "uid:0(root)"});
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Stop);
  ProcessExited event;
  event.service = kFirst;
  event.incarnation = {100, 1};
  event.expected = true;
  story.tell(event);
  story.answer();
  story.probe_all(kFirst, false);
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Stopped);
  EXPECT_TRUE(story.state().incidents.empty());
}

TEST(Engine, OperatorsRecoverAHealthyServiceEvenInShadowMode) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = Mode::Shadow;
  Story story = one_up(std::move(policy));
  story.tell(OperatorRecover{kFirst, std::nullopt, "token:ci"});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
  EXPECT_EQ(story.recovery(1).requested_by, "token:ci");
  story.tell(OperatorRecover{kFirst, std::nullopt, "token:ci"});
  EXPECT_EQ(story.count("operator:refused"), 1U);
  story.tell(OperatorService{kFirst, ServiceRequest::Restart, "token:ci"});
  EXPECT_EQ(story.count("operator:refused"), 2U);
}

TEST(Engine, ASignalIsACommandLikeOthers) {
  Story story = one_up(story_policy({run_service("web")}));
  OperatorService wish;
  wish.service = kFirst;
  wish.request = ServiceRequest::Signal;
  wish.actor = "uid:0(root)";
  wish.signal = 12;
  wish.instance = 3;
  story.tell(wish);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Signal);
  EXPECT_EQ(signal_of(story.pending[0], story_policy({})).signal, 12);
  EXPECT_EQ(signal_of(story.pending[0], story_policy({})).instance, 3U);
  story.tell(wish);
  EXPECT_EQ(story.count("operator:refused"), 1U);
  story.answer(CommandOutcome::Done);
  wish.signal = 0;
  story.tell(wish);
  EXPECT_EQ(story.count("operator:refused"), 2U);
  wish.signal = 1;
  wish.instance = std::nullopt;
  story.tell(wish);
  EXPECT_EQ(signal_of(story.pending.back(), story_policy({})).instance, std::nullopt);
  story.tell(OperatorNote{std::nullopt, "uid:0(root)", "deployed v2"});
  EXPECT_EQ(story.count("operator:note"), 1U);
}

TEST(Engine, MaintenanceWaitsAndEndsByItself) {
  Story story = one_up(story_policy({run_service("web")}));
  story.tell(OperatorMaintenance{std::nullopt, true, story.now() + minutes{5}, "uid:0(root)"});
  story.crash(kFirst, 100);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Planned);
  EXPECT_TRUE(story.gave(story.recovery(1).reasons, Rule::Maintenance, Verdict::Wait));
  story.pass(minutes{5});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
}

TEST(Engine, AFailedStartIsAnIncident) {
  Story story = started(story_policy({run_service("web")}));
  story.answer(CommandOutcome::Failed);
  EXPECT_EQ(story.incident(1).symptoms.front(), Symptom::StartFailed);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
}

TEST(Engine, SettlesCommandsInDoubtAfterACrashOfItsOwn) {
  Story story = one_up(story_policy({run_service("web")}));
  story.crash(kFirst, 100);
  const Command lost = story.pending.at(0);
  Result<Engine, std::string> restored =
      Engine::restore(story.engine().policy(), story.engine().snapshot());
  ASSERT_TRUE(restored.has_value());
  Story again(*std::move(restored), story.now() + seconds{3});
  again.tell(EngineStarted{});
  ASSERT_EQ(again.pending.size(), 1U);
  EXPECT_EQ(again.pending[0].action, ActionKind::Restart);
  EXPECT_NE(again.pending[0].id, lost.id);
  EXPECT_GT(again.pending[0].epoch, lost.epoch);
  EXPECT_FALSE(again.pending[0].settle);
  again.run(kFirst, 102);
  again.answer();
  EXPECT_EQ(again.recovery(1).state, RecoveryState::Validating);
}

TEST(Engine, AnEffectThatMustNotRepeatIsSettledOnce) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks[0].steps[0].idempotent = false;
  policy.playbooks[0].steps[0].undo = ActionKind::Stop;
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  Result<Engine, std::string> restored =
      Engine::restore(story.engine().policy(), story.engine().snapshot());
  ASSERT_TRUE(restored.has_value());
  Story again(*std::move(restored), story.now() + seconds{3});
  again.tell(EngineStarted{});
  EXPECT_TRUE(again.pending.at(0).settle);
  again.answer(CommandOutcome::Unknown);
  EXPECT_EQ(again.recovery(1).state, RecoveryState::RollingBack);
}

TEST(Engine, SurvivorsAreAdoptedAndTheLostAreStarted) {
  Story story = started(story_policy({run_service("a"), run_service("b")}));
  story.bring_up(kFirst, 1);
  story.bring_up(kSecond, 2);
  Result<Engine, std::string> restored =
      Engine::restore(story.engine().policy(), story.engine().snapshot());
  Story again(*std::move(restored), story.now() + seconds{1});
  again.tell(ProcessStarted{kFirst, 0, {1, 1}, true});
  again.tell(EngineStarted{});
  EXPECT_EQ(again.health(kFirst).state, ServiceState::Healthy);
  ASSERT_EQ(again.pending.size(), 1U);
  EXPECT_EQ(again.pending[0].service, kSecond);
  EXPECT_EQ(again.pending[0].action, ActionKind::Start);
  EXPECT_TRUE(again.state().incidents.empty());
}

TEST(Engine, KeepsServicesOfTheSameNameUnderANewPolicy) {
  Story story = one_up(story_policy({run_service("web"), run_service("old")}));
  Output output;
  story.engine().replace_policy(story_policy({run_service("new"), run_service("web")}), story.now(),
                                output);
  EXPECT_TRUE(output.changed);
  EXPECT_EQ(story.health(kSecond).state, ServiceState::Healthy);
  EXPECT_EQ(story.health(kSecond).instances[0].incarnation.pid, 100);
  ASSERT_EQ(output.commands.size(), 1U);
  EXPECT_EQ(output.commands[0].service, kFirst);
  EXPECT_EQ(output.commands[0].action, ActionKind::Start);
}

TEST(Engine, PatternsOpenIncidentsNoFasterThanTheirCooldown) {
  Policy policy = story_policy({run_service("web")});
  PatternPolicy pattern;
  pattern.id = "oom";
  policy.patterns = {pattern};
  policy.playbooks[0].triggers.resize(1);
  policy.playbooks[0].triggers[0] = TriggerPolicy{};
  policy.playbooks[0].triggers[0].pattern = "oom";
  Story story = one_up(std::move(policy));
  EXPECT_TRUE(story.tell(PatternSeen{PatternIndex{0}, kFirst, "out of memory"}).changed);
  EXPECT_FALSE(story.tell(PatternSeen{PatternIndex{0}, kFirst, "out of memory"}).changed);
  EXPECT_EQ(story.incident(1).state, IncidentState::Recovering);
}

TEST(Engine, AWaitEndsEarlyAndAnApproveStepAsks) {
  Policy policy = story_policy({run_service("web")});
  StepPolicy wait = step_of(ActionKind::Wait);
  wait.with = WaitAction{.duration = seconds{30}, .until = *Expression::parse("disk_usage < 0.5")};
  StepPolicy ask = step_of(ActionKind::Approve);
  ask.with = ApproveAction{.question = "Really?", .ttl = minutes{1}};
  policy.playbooks[0].steps = {wait, ask, step_of(ActionKind::Restart)};
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  EXPECT_TRUE(story.pending.empty());
  story.pass(seconds{5});
  story.tell(ResourceLevelChanged{Symptom::DiskFull, "/", 0.4, 0});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::AwaitingApproval);
  story.tell(OperatorApprove{RecoveryId{1}, story.recovery(1).plan_hash, "uid:0(root)", ""});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
  EXPECT_EQ(story.pending.at(0).action, ActionKind::Restart);
}

TEST(Engine, WithoutPlaybookAPersonIsTold) {
  Policy policy = story_policy({run_service("web")});
  policy.services[0].playbooks.clear();
  Story story = one_up(std::move(policy));
  story.crash(kFirst, 100);
  EXPECT_EQ(story.incident(1).state, IncidentState::Escalated);
  EXPECT_EQ(story.count("incident:escalated"), 1U);
}

TEST(Engine, FlappingIsSeenAndPasses) {
  Policy policy = story_policy({run_service("web")});
  policy.detection.flap_changes = 4;
  policy.recovery.mode = Mode::Shadow;
  Story story = one_up(std::move(policy));
  story.probe_all(kFirst, false);
  story.probe_all(kFirst, true);
  story.probe_all(kFirst, false);
  EXPECT_FALSE(story.health(kFirst).flapping);
  story.probe_all(kFirst, true);
  EXPECT_TRUE(story.health(kFirst).flapping);
  EXPECT_EQ(story.count("service:flapping"), 1U);
  story.pass(minutes{6});
  EXPECT_FALSE(story.health(kFirst).flapping);
}

TEST(Engine, WhatFailsTogetherBeyondTheBlastRadiusComesBackOneAtATime) {
  Policy policy = story_policy({run_service("a"), run_service("b"), run_service("c")});
  policy.safety.blast_radius = 0.25;
  Story story = started(std::move(policy));
  for (std::uint32_t i = 0; i < 3; ++i) story.bring_up(ServiceIndex{i}, 100 + i);
  for (std::uint32_t i = 0; i < 3; ++i) story.crash(ServiceIndex{i}, 100 + i);
  for (std::uint32_t i = 0; i < 3; ++i) {
    ASSERT_EQ(story.pending.size(), 1U);
    const ServiceIndex service = story.pending[0].service;
    story.run(service, 200 + i);
    story.answer();
    story.pass(milliseconds{1});
    story.probe(service, true);
    story.pass(seconds{1});
    EXPECT_EQ(story.health(service).state, ServiceState::Healthy);
  }
  EXPECT_TRUE(story.state().open.empty());
}

TEST(Engine, AStormStopsStartingRecoveries) {
  std::vector<ServicePolicy> services;
  for (int i = 0; i < 6; ++i) services.push_back(run_service("s" + std::to_string(i)));
  Policy policy = story_policy(std::move(services));
  policy.recovery.max_concurrent_recoveries = 100;
  Story story = started(std::move(policy));
  for (std::uint32_t i = 0; i < 6; ++i) story.bring_up(ServiceIndex{i}, 100 + i);
  for (std::uint32_t i = 0; i < 6; ++i) story.crash(ServiceIndex{i}, 100 + i);
  EXPECT_TRUE(story.state().storm);
  EXPECT_EQ(story.pending.size(), 4U);  // The fifth crash made it a storm.
  EXPECT_TRUE(story.gave(story.recovery(6).reasons, Rule::Storm, Verdict::Wait));
}

}  // namespace
}  // namespace recover::core
