// When a state becomes last-good: by starts, reloads and changes, whoever made them.
#include "core/last_good.h"

#include <gtest/gtest.h>

#include "test/core/story.h"

namespace recover::core {
namespace {

// A healthy web with state, its first candidate asked for and not yet answered.
Story with_state() {
  Policy policy = story_policy({run_service("web")});
  policy.services[0].state = {"/etc/web"};
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.tell(StateSeen{kFirst, "one"});
  story.bring_up(kFirst, 100);
  return story;
}

// Answers that command, which must be the only one.
Command answer(Story& story, std::string_view text, const std::string& checkpoint) {
  EXPECT_EQ(story.pending.size(), 1U);
  if (story.pending.empty()) return {};
  EXPECT_EQ(story.pending[0].action, ActionKind::Checkpoint);
  EXPECT_EQ(story.pending[0].text, text);
  return story.answer(CommandOutcome::Done, checkpoint);
}

Story with_last_good() {
  Story story = with_state();
  answer(story, kCandidate, "cp-1");
  story.pass(minutes{6});
  answer(story, kLastGoodStarted, "cp-1");
  EXPECT_EQ(story.health(kFirst).last_checkpoint, "cp-1");
  return story;
}

TEST(LastGood, WhatItStartedWithIsTakenAtOnceAndNamedOnceProven) {
  Story story = with_state();
  EXPECT_TRUE(answer(story, kCandidate, "cp-1").checkpoint.empty());
  EXPECT_TRUE(story.health(kFirst).last_checkpoint.empty());
  story.pass(minutes{4});
  EXPECT_TRUE(story.pending.empty()) << "not proven yet";
  story.pass(minutes{2});
  EXPECT_EQ(answer(story, kLastGoodStarted, "cp-1").checkpoint, "cp-1");
  EXPECT_EQ(story.count("checkpoint:taken"), 1U);
  story.pass(hours{1});
  EXPECT_TRUE(story.pending.empty());
}

TEST(LastGood, AReloadIsANewTrialOfWhatItRead) {
  Story story = with_last_good();
  OperatorService reload;
  reload.request = ServiceRequest::Reload;
  story.tell(reload);
  EXPECT_EQ(story.answer().action, ActionKind::Reload);
  answer(story, kCandidate, "cp-2");
  story.pass(minutes{4});
  EXPECT_TRUE(story.pending.empty());
  story.pass(minutes{2});
  EXPECT_EQ(answer(story, kLastGoodStarted, "cp-2").checkpoint, "cp-2");
}

TEST(LastGood, AChangeByHandThatDoesNoHarmBecomesLastGood) {
  Story story = with_last_good();
  story.tell(StateSeen{kFirst, "two"});
  answer(story, kCandidate, "cp-2");
  story.pass(minutes{4});
  EXPECT_TRUE(story.pending.empty());
  story.pass(minutes{2});
  // Nobody knows whether it was read, so the older one stays in reach.
  EXPECT_EQ(answer(story, kLastGood, "cp-2").checkpoint, "cp-2");
  EXPECT_EQ(story.health(kFirst).last_checkpoint, "cp-2");
}

TEST(LastGood, AChangeByHandThatBreaksItDoesNot) {
  Story story = with_last_good();
  story.tell(StateSeen{kFirst, "two"});
  answer(story, kCandidate, "cp-2");
  story.pass(minutes{1});
  story.probe_all(kFirst, false);
  EXPECT_TRUE(story.health(kFirst).candidate.empty());
  EXPECT_EQ(story.health(kFirst).last_checkpoint, "cp-1");
  for (const Command& command : story.pending) EXPECT_NE(command.text, kLastGood);
}

TEST(LastGood, TheSameStateIsNoChange) {
  Story story = with_last_good();
  EXPECT_FALSE(story.tell(StateSeen{kFirst, "one"}).changed);
  story.pass(hours{1});
  EXPECT_TRUE(story.pending.empty());
}

TEST(LastGood, AnotherChangeIsAnotherTrialButChangesWithoutEndAreNot) {
  Story story = with_last_good();
  const Instant begun = story.now();
  int candidates = 0;
  std::string promoted;
  for (int minute = 0; minute < 30 && promoted.empty(); ++minute) {
    story.tell(StateSeen{kFirst, "change-" + std::to_string(minute)});
    story.pass(minutes{1});
    while (!story.pending.empty()) {
      const bool names = !story.pending[0].checkpoint.empty();
      if (names) promoted = story.pending[0].checkpoint;
      story.answer(CommandOutcome::Done, names ? promoted : "cp-" + std::to_string(++candidates));
    }
  }
  EXPECT_FALSE(promoted.empty());
  EXPECT_GE(story.now() - begun, minutes{5} * (kTrialsMax - 1));
  EXPECT_LE(candidates, 20) << "no more than a few for each `after`";
}

TEST(LastGood, WhatCannotBeTakenIsTriedAgainAfterAPause) {
  Story story = with_state();
  story.answer(CommandOutcome::Failed);
  EXPECT_EQ(story.count("checkpoint:failed"), 1U);
  EXPECT_TRUE(story.pending.empty());
  story.pass(minutes{2});
  answer(story, kCandidate, "cp-1");
}

TEST(LastGood, ServicesWithoutStateHaveNone) {
  Story story(story_policy({run_service("web")}));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kFirst, 100);
  story.pass(hours{1});
  EXPECT_TRUE(story.pending.empty());
}

}  // namespace
}  // namespace recover::core
