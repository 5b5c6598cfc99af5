// What another mode means to what is under way: a question that nobody has to answer any more is
// not waited for, and nothing runs on in shadow.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "test/core/story.h"

namespace recover::core {
namespace {

Story story_in(Mode mode, PlaybookPolicy playbook = restart_playbook()) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = mode;
  policy.playbooks = {std::move(playbook)};
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kFirst, 100);
  return story;
}

void set_mode(Story& story, Mode mode) {
  story.tell(OperatorSetMode{std::nullopt, mode, "uid:0(root)"});
}

PlaybookPolicy two_steps() {
  PlaybookPolicy playbook = restart_playbook();
  StepPolicy stop = step_of(ActionKind::Stop);
  stop.undo = ActionKind::Start;
  playbook.steps = {stop, step_of(ActionKind::Start)};
  return playbook;
}

TEST(ModeSwitch, AutomaticNeedsNoApprovalAnyMore) {
  Story story = story_in(Mode::SemiAutomatic);
  story.crash(kFirst, 100);
  ASSERT_EQ(story.recovery(1).state, RecoveryState::AwaitingApproval);
  set_mode(story, Mode::Automatic);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
  EXPECT_EQ(story.recovery(1).mode, Mode::Automatic);
  EXPECT_EQ(story.incident(1).state, IncidentState::Recovering);
  story.tell(OperatorApprove{RecoveryId{1}, story.recovery(1).plan_hash, "token:ci", ""});
  EXPECT_EQ(story.count("operator:refused"), 1U) << "there is no question any more";
}

TEST(ModeSwitch, AQuestionThatStandsKeepsItsTimeLimit) {
  PlaybookPolicy risky = restart_playbook();
  risky.risk = Risk::High;
  Story story = story_in(Mode::SemiAutomatic, risky);
  story.crash(kFirst, 100);
  const Instant until = story.recovery(1).approval_until;
  story.pass(minutes{5});
  set_mode(story, Mode::AutomaticLimited);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::AwaitingApproval);
  EXPECT_EQ(story.recovery(1).approval_until, until);
  EXPECT_TRUE(std::ranges::any_of(story.notices, [](const Notice& notice) {
    return notice.message ==
           "the mode is automatic-limited now; it still needs approval: risk high";
  }));
  story.tell(OperatorApprove{RecoveryId{1}, story.recovery(1).plan_hash, "token:ci", ""});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
}

TEST(ModeSwitch, ShadowEndsTheQuestion) {
  Story story = story_in(Mode::SemiAutomatic);
  story.crash(kFirst, 100);
  set_mode(story, Mode::Shadow);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Shadow);
}

TEST(ModeSwitch, AnotherConfigurationCountsAsWell) {
  Story story = story_in(Mode::SemiAutomatic);
  story.crash(kFirst, 100);
  Policy next = story.engine().policy();
  next.recovery.mode = Mode::Automatic;
  Output output;
  story.engine().replace_policy(next, story.now(), output);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Running);
}

TEST(ModeSwitch, InShadowNoFurtherStepRunsUntilItIsLeft) {
  Story story = story_in(Mode::Automatic, two_steps());
  story.crash(kFirst, 100);
  ASSERT_EQ(story.pending.size(), 1U);
  set_mode(story, Mode::Shadow);
  story.answer();
  EXPECT_TRUE(story.pending.empty()) << "the second step is held";
  EXPECT_EQ(story.count("recovery:held"), 1U);
  story.pass(seconds{30});
  EXPECT_TRUE(story.pending.empty());
  set_mode(story, Mode::Automatic);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Start);
}

TEST(ModeSwitch, APersonGoesOnFromWhatShadowHeldForTooLong) {
  Story story = story_in(Mode::Automatic, two_steps());
  story.crash(kFirst, 100);
  set_mode(story, Mode::Shadow);
  story.answer();
  story.pass(minutes{6});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Escalated);
  EXPECT_EQ(story.incident(1).state, IncidentState::Escalated);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Notify) << "nothing was undone in shadow";
}

TEST(ModeSwitch, WhatShadowCutShortIsHeldAgainstNobody) {
  Story story = story_in(Mode::Automatic, two_steps());
  story.crash(kFirst, 100);
  const auto before = story.state().services.at(0).breaker_failures;
  set_mode(story, Mode::Shadow);
  story.answer();
  story.pass(minutes{6});
  ASSERT_EQ(story.recovery(1).state, RecoveryState::Escalated);
  EXPECT_EQ(story.state().services.at(0).breaker_failures, before);
  EXPECT_TRUE(story.state().outcomes.empty());
  EXPECT_TRUE(story.state().playbooks.at(0).rows.empty());
}

TEST(ModeSwitch, ARollbackIsHeldInShadowToo) {
  Story story = story_in(Mode::Automatic, two_steps());
  story.crash(kFirst, 100);
  story.answer();
  set_mode(story, Mode::Shadow);
  story.answer(CommandOutcome::Failed);
  EXPECT_EQ(story.recovery(1).state, RecoveryState::RollingBack);
  EXPECT_TRUE(story.pending.empty());
  set_mode(story, Mode::Automatic);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].part, Part::Undo);
  set_mode(story, Mode::Shadow);
  story.answer(CommandOutcome::Failed);
  story.pass(minutes{10});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Escalated);
}

TEST(ModeSwitch, WhatAPersonAskedForRunsOnInShadow) {
  Story story = story_in(Mode::Automatic, two_steps());
  story.tell(OperatorRecover{kFirst, std::nullopt, "token:ci"});
  set_mode(story, Mode::Shadow);
  story.answer();
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Start);
}

}  // namespace
}  // namespace recover::core
