// A failover: the failed service stops, its standby starts and proves itself, dependents follow.
#include <gtest/gtest.h>

#include "core/plan.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

constexpr ServiceIndex kPrimary{0};
constexpr ServiceIndex kStandby{1};
constexpr ServiceIndex kWorker{2};

Policy failover_policy() {
  Policy policy = story_policy(
      {run_service("primary"), run_service("standby"), run_service("worker", {kPrimary})});
  policy.services[0].standby = kStandby;
  policy.services[1].autostart = false;
  PlaybookPolicy& playbook = policy.playbooks[0];
  playbook.steps = {step_of(ActionKind::Failover)};
  playbook.steps[0].timeout = minutes{1};
  return policy;
}

// The primary has crashed and its stop is asked for.
Story failing_over(Policy policy) {
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kPrimary, 100);
  story.bring_up(kWorker, 300);
  EXPECT_EQ(story.health(kStandby).state, ServiceState::Stopped);
  EXPECT_TRUE(story.pending.empty());
  story.crash(kPrimary, 100);
  EXPECT_EQ(story.recovery(1).steps.size(), 2U);
  return story;
}

void expect_next(const Story& story, ActionKind action, ServiceIndex service) {
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, action);
  EXPECT_EQ(story.pending[0].service, service);
}

TEST(Failover, StopsTheFailedOneStartsTheStandbyAndProvesIt) {
  Story story = failing_over(failover_policy());
  expect_next(story, ActionKind::Stop, kPrimary);
  story.answer();
  expect_next(story, ActionKind::Start, kStandby);
  story.run(kStandby, 200);
  story.answer();
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Validating);
  story.pass(milliseconds{5});
  story.probe(kStandby, true);
  story.pass(seconds{2});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Succeeded);
  EXPECT_EQ(story.health(kPrimary).state, ServiceState::Stopped);
  EXPECT_EQ(story.health(kPrimary).replaced_by, kStandby);
  EXPECT_EQ(story.health(kStandby).state, ServiceState::Healthy);
  // Who depends on the primary is healed by itself: its dependency is there.
  story.probe_all(kWorker, false);
  EXPECT_NE(story.incident(2).state, IncidentState::Suppressed);
}

TEST(Failover, IsUndoneInReverse) {
  Story story = failing_over(failover_policy());
  story.answer();
  story.answer(CommandOutcome::Failed);
  expect_next(story, ActionKind::Start, kPrimary);
  EXPECT_EQ(story.pending[0].part, Part::Undo);
  story.run(kPrimary, 101);
  story.answer();
  EXPECT_EQ(story.recovery(1).state, RecoveryState::RolledBack);
  EXPECT_TRUE(story.health(kPrimary).wanted);
  EXPECT_FALSE(story.health(kPrimary).replaced_by.has_value());
}

TEST(Failover, StartedAgainThePrimaryTakesItsPlace) {
  Story story = failing_over(failover_policy());
  story.answer();
  story.run(kStandby, 200);
  story.answer();
  story.pass(milliseconds{5});
  story.probe(kStandby, true);
  story.pass(seconds{2});
  OperatorService start;
  start.request = ServiceRequest::Start;
  story.tell(start);
  EXPECT_FALSE(story.health(kPrimary).replaced_by.has_value());
  expect_next(story, ActionKind::Start, kPrimary);
}

TEST(Failover, WithoutAStandbyItIsNotChosen) {
  Policy policy = failover_policy();
  policy.services[0].standby.reset();
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kPrimary, 100);
  story.crash(kPrimary, 100);
  EXPECT_EQ(story.incident(1).state, IncidentState::Escalated);
  EXPECT_TRUE(story.state().recoveries.empty());
}

TEST(Failover, TheHashNamesWhoTakesThePlace) {
  Policy policy = failover_policy();
  const std::uint64_t hash = plan_hash(policy, PlaybookIndex{0}, kPrimary);
  policy.services[0].standby = kWorker;
  EXPECT_NE(plan_hash(policy, PlaybookIndex{0}, kPrimary), hash);
}

TEST(Failover, SurvivesACrashBetweenItsHalves) {
  Story story = failing_over(failover_policy());
  story.answer();
  Result<Engine, std::string> restored =
      Engine::restore(story.engine().policy(), story.engine().snapshot());
  ASSERT_TRUE(restored.has_value());
  Story again(*std::move(restored), story.now() + seconds{1});
  again.tell(ProcessStarted{kWorker, 0, {300, 1}, true});
  again.tell(EngineStarted{});
  expect_next(again, ActionKind::Start, kStandby);
}

// Sent again after a crash and then refused: the first one may have happened, so it is undone.
TEST(Failover, WhatWasInDoubtIsUndoneThoughTheSecondTryFailed) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks[0].steps = {step_of(ActionKind::Isolate)};
  policy.playbooks[0].steps[0].undo = ActionKind::Reload;
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kPrimary, 100);
  story.probe_all(kPrimary, false);
  expect_next(story, ActionKind::Isolate, kPrimary);
  Result<Engine, std::string> restored =
      Engine::restore(story.engine().policy(), story.engine().snapshot());
  ASSERT_TRUE(restored.has_value());
  Story again(*std::move(restored), story.now() + seconds{1});
  again.tell(ProcessStarted{kPrimary, 0, {100, 1}, true});
  again.tell(EngineStarted{});
  again.answer(CommandOutcome::Refused);
  expect_next(again, ActionKind::Reload, kPrimary);
  EXPECT_EQ(again.pending[0].part, Part::Undo);
}

}  // namespace
}  // namespace recover::core
