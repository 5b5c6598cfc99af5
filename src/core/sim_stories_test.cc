// Stories of what the simulator found in the core, each as short as it can be told. A history that
// shrinks to something new gets its story here.
#include <gtest/gtest.h>

#include "core/engine.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

Story web_up(Policy policy) {
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kFirst, 100);
  return story;
}

// Probes are two, one of them passed after the restart and then failed once: not yet Failing.
TEST(SimStories, ALookThatFailedSinceTheEffectIsNoPass) {
  Policy policy = story_policy({run_service("web")});
  policy.services[0].probes[0].failure_threshold = 3;
  Story story = web_up(std::move(policy));
  story.crash(kFirst, 100);
  story.run(kFirst, 101);
  story.answer();
  ASSERT_EQ(story.recovery(1).state, RecoveryState::Validating);
  story.pass(milliseconds{5});
  story.probe(kFirst, true);
  story.pass(milliseconds{5});
  story.probe(kFirst, false);
  story.pass(seconds{5});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Validating) << "it held, but for that look";
}

TEST(SimStories, AnIncidentInHandDoesNotWakeTheEngineAgainAndAgain) {
  Policy policy = story_policy({run_service("web")});
  PatternPolicy pattern;
  pattern.id = "oom";
  policy.patterns = {pattern};
  policy.playbooks[0].triggers = {TriggerPolicy{}};
  policy.playbooks[0].triggers[0].pattern = "oom";
  policy.playbooks[0].steps[0].timeout = minutes{10};
  policy.recovery.recovery_timeout = minutes{20};
  Story story = web_up(std::move(policy));
  story.tell(PatternSeen{PatternIndex{0}, kFirst, "out of memory"});
  ASSERT_EQ(story.recovery(1).state, RecoveryState::Running);
  Output output;
  int woken = 0;
  Instant now = story.now();
  while (story.engine().next_timer() < story.now() + minutes{5} && woken < 1'000) {
    now = std::max(now, story.engine().next_timer());
    story.engine().step(TimerFired{}, now, output);
    ++woken;
  }
  EXPECT_LT(woken, 20);
}

TEST(SimStories, ARecoveryThatAsksPeopleHasNoTimerButTheirs) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = Mode::SemiAutomatic;
  Story story = web_up(std::move(policy));
  // It waits for the end of maintenance first, and then asks.
  story.tell(OperatorMaintenance{kFirst, true, story.now() + minutes{1}, "uid:0"});
  story.crash(kFirst, 100);
  story.pass(minutes{2});
  ASSERT_EQ(story.recovery(1).state, RecoveryState::AwaitingApproval);
  EXPECT_EQ(story.recovery(1).wake_at, kNever);
}

TEST(SimStories, AnApprovalThatWaitedTooLongBehindOtherGatesIsNone) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = Mode::SemiAutomatic;
  policy.playbooks[0].approval_ttl = minutes{2};
  Story story = web_up(std::move(policy));
  story.crash(kFirst, 100);
  story.tell(OperatorMaintenance{kFirst, true, story.now() + minutes{10}, "uid:0"});
  story.tell(OperatorApprove{RecoveryId{1}, story.recovery(1).plan_hash, "uid:7", ""});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Planned);
  story.pass(minutes{11});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Rejected);
  EXPECT_EQ(story.recovery(1).started_at, kNever);
}

Policy undone_policy(bool idempotent) {
  Policy policy = story_policy({run_service("web")});
  StepPolicy& step = policy.playbooks[0].steps[0];
  step.undo = ActionKind::Exec;
  step.idempotent = idempotent;
  step.retry.attempts = 1;
  policy.safety.max_rollback_attempts = 3;
  return policy;
}

TEST(SimStories, AnUndoInDoubtIsNotDoneAgainUnlessItMayBe) {
  Story story = web_up(undone_policy(false));
  story.crash(kFirst, 100);
  story.answer(CommandOutcome::Unknown);
  ASSERT_EQ(story.pending.at(0).part, Part::Undo);
  ASSERT_FALSE(story.pending.at(0).idempotent);
  story.answer(CommandOutcome::Unknown);
  story.pass(minutes{5});
  const auto undos = std::ranges::count_if(story.sent, [](const Command& command) {
    return command.part == Part::Undo && command.recovery == RecoveryId{1};
  });
  EXPECT_EQ(undos, 1);
}

TEST(SimStories, TheKillSwitchHoldsStartsOfOurOwn) {
  Story story(story_policy({run_service("web", {kSecond}), run_service("db")}));
  story.tell(EngineStarted{.first = true});
  story.tell(OperatorKillSwitch{true, "uid:0"});
  story.bring_up(kSecond, 7);
  EXPECT_TRUE(story.pending.empty());
  story.tell(OperatorKillSwitch{false, "uid:0"});
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Start);
}

// ---- found with reloads and patterns
// -------------------------------------------------------------

TEST(SimStories, AnEarlierAttemptInDoubtIsUndoneWhateverBecameOfTheLast) {
  Policy policy = undone_policy(true);
  policy.playbooks[0].steps[0].retry.attempts = 2;
  Story story = web_up(std::move(policy));
  story.crash(kFirst, 100);
  story.answer(CommandOutcome::Unknown);
  story.pass(seconds{2});
  ASSERT_EQ(story.pending.at(0).attempt, 2U);
  story.answer(CommandOutcome::Refused);
  ASSERT_FALSE(story.pending.empty());
  EXPECT_EQ(story.pending.at(0).part, Part::Undo);
}

TEST(SimStories, WhatIsDoneAgainAfterACrashOfOursLeavesTheFirstInDoubt) {
  Story story = web_up(undone_policy(true));
  story.crash(kFirst, 100);
  ASSERT_EQ(story.pending.size(), 1U);
  story.pending.clear();
  story.tell(EngineStarted{.first = false});
  ASSERT_EQ(story.pending.at(0).part, Part::Step);
  ASSERT_FALSE(story.pending.at(0).settle);
  story.answer(CommandOutcome::Refused);
  ASSERT_FALSE(story.pending.empty());
  EXPECT_EQ(story.pending.at(0).part, Part::Undo);
}

TEST(SimStories, TwoProbesOfTheSameThingKeepTheirOwnHealthOverAReload) {
  Policy policy = story_policy({run_service("web", {}, 2)});
  Story story = web_up(policy);
  story.pass(seconds{1});
  story.probe(kFirst, false, 0);
  ASSERT_EQ(story.health(kFirst).probes[0].failures, 1U);
  ASSERT_EQ(story.health(kFirst).probes[1].failures, 0U);
  policy.recovery.max_attempts = 9;
  Output output;
  story.engine().replace_policy(policy, story.now(), output);
  EXPECT_EQ(story.health(kFirst).probes[0].failures, 1U);
  EXPECT_EQ(story.health(kFirst).probes[1].failures, 0U);
}

TEST(SimStories, AnHourlyLimitThatWasLoweredWakesUntilItIsMet) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.retry_delay = seconds{1};
  policy.safety.cooldown = seconds{1};
  Story story = web_up(policy);
  std::int64_t pid = 100;
  for (int heal = 0; heal < 2; ++heal) {
    story.crash(kFirst, pid);
    ++pid;
    ASSERT_FALSE(story.pending.empty());
    story.run(kFirst, pid);
    while (!story.pending.empty()) story.answer();
    story.pass(milliseconds{5});
    story.probe(kFirst, true);
    story.pass(minutes{5});
  }
  ASSERT_EQ(story.state().recoveries_started.size(), 2U);
  policy.safety.max_recoveries_per_hour = 1;
  Output output;
  story.engine().replace_policy(policy, story.now(), output);
  story.crash(kFirst, pid);
  const std::size_t before = story.state().recoveries_started.size();
  ASSERT_TRUE(std::ranges::none_of(story.pending, [](const Command& command) {
    return command.part == Part::Step;
  })) << before;
  story.pass(hours{2});
  EXPECT_TRUE(std::ranges::any_of(
      story.pending, [](const Command& command) { return command.part == Part::Step; }));
}

}  // namespace
}  // namespace recover::core
