// What a failure pattern leads to: stories from the line that was seen to the recovery it names.
#include <gtest/gtest.h>

#include "core/plan.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

constexpr PatternIndex kTimeout{0};

// Two services; a pattern that names the playbook "reconnect", which no service has.
Policy pattern_policy() {
  Policy policy = story_policy({run_service("web"), run_service("api")});
  policy.playbooks.push_back(restart_playbook("reconnect"));
  policy.playbooks[1].triggers.clear();
  PatternPolicy pattern;
  pattern.id = "timeout";
  pattern.category = "network";
  pattern.failure = FailureClass::Connection;
  pattern.severity = Severity::Critical;
  pattern.recovery = {{.type = "restart", .target = "", .playbook = "reconnect"}};
  policy.patterns = {pattern};
  return policy;
}

Story both_up(Policy policy) {
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kFirst, 100);
  story.bring_up(kSecond, 200);
  story.notices.clear();
  return story;
}

PatternSeen seen(std::optional<ServiceIndex> service) {
  return {kTimeout, service, "connect: ETIMEDOUT"};
}

TEST(Patterns, AMatchIsHealedByWhatThePatternNames) {
  Story story = both_up(pattern_policy());
  story.tell(seen(kFirst));
  const Incident& incident = story.incident(1);
  EXPECT_EQ(incident.service, kFirst);
  EXPECT_EQ(incident.failure, FailureClass::Connection);
  EXPECT_EQ(incident.severity, Severity::Critical);
  EXPECT_EQ(incident.symptoms, std::vector{Symptom::PatternMatched});
  EXPECT_EQ(story.recovery(1).playbook, PlaybookIndex{1});
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Restart);
  EXPECT_EQ(story.pending[0].incident, IncidentId{1});
  story.run(kFirst, 101);
  story.answer();
  story.pass(milliseconds{1});
  story.probe(kFirst, true);
  story.pass(seconds{2});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Succeeded);
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
}

TEST(Patterns, TheCooldownCountsForEachServiceByItself) {
  Story story = both_up(pattern_policy());
  EXPECT_TRUE(story.tell(seen(kFirst)).changed);
  EXPECT_FALSE(story.tell(seen(kFirst)).changed);
  EXPECT_TRUE(story.tell(seen(kSecond)).changed);
  EXPECT_EQ(story.state().incidents.size(), 2U);
  story.pass(seconds{29});
  EXPECT_FALSE(story.tell(seen(kSecond)).changed);
  story.pass(seconds{1});
  EXPECT_TRUE(story.tell(seen(kSecond)).changed);
  EXPECT_EQ(story.count("pattern:matched"), 3U);
}

TEST(Patterns, AMatchFoldsIntoTheOpenIncident) {
  Policy policy = pattern_policy();
  policy.recovery.mode = Mode::SemiAutomatic;
  Story story = both_up(std::move(policy));
  story.probe_all(kFirst, false);
  EXPECT_EQ(story.incident(1).severity, Severity::High);
  story.tell(seen(kFirst));
  EXPECT_EQ(story.state().incidents.size(), 1U);
  EXPECT_EQ(story.incident(1).severity, Severity::Critical);
  EXPECT_EQ(story.incident(1).pattern, kTimeout);
  EXPECT_EQ(story.incident(1).symptoms.back(), Symptom::PatternMatched);
}

TEST(Patterns, TheMostUrgentIsTriedFirstThenTheNext) {
  Policy policy = pattern_policy();
  policy.playbooks.push_back(restart_playbook("urgent"));
  policy.playbooks[2].triggers.clear();
  policy.patterns[0].recovery.push_back(
      {.type = "urgent", .target = "", .playbook = "", .priority = Priority::High});
  Story story = both_up(std::move(policy));
  story.tell(seen(kFirst));
  EXPECT_EQ(story.recovery(1).playbook, PlaybookIndex{2});
  story.answer(CommandOutcome::Failed);
  story.pass(seconds{31});
  EXPECT_EQ(story.recovery(2).playbook, PlaybookIndex{1});
}

TEST(Patterns, ATextOfNobodysIsTheTroubleOfWhomTheRecoveryNames) {
  Policy policy = pattern_policy();
  Story unnamed = both_up(policy);
  unnamed.tell(seen(std::nullopt));
  EXPECT_EQ(unnamed.count("pattern:matched"), 1U);
  EXPECT_TRUE(unnamed.state().incidents.empty());
  policy.patterns[0].recovery[0].service = kSecond;
  Story named = both_up(policy);
  named.tell(seen(std::nullopt));
  EXPECT_EQ(named.incident(1).service, kSecond);
}

TEST(Patterns, WhatIsStoppedOrQuarantinedStaysSo) {
  Story story = both_up(pattern_policy());
  OperatorService away;
  away.request = ServiceRequest::Quarantine;
  story.tell(away);
  story.tell(seen(kFirst));
  EXPECT_TRUE(story.state().incidents.empty());
}

TEST(Patterns, AQuietTimeEndsWhatNobodyHealed) {
  Policy policy = pattern_policy();
  policy.recovery.mode = Mode::Shadow;
  Story story = both_up(std::move(policy));
  story.tell(seen(kFirst));
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Shadow);
  story.pass(minutes{4});
  EXPECT_NE(story.incident(1).state, IncidentState::Resolved);
  story.pass(minutes{2});
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
}

TEST(Patterns, AcrossANewPolicyTheCooldownFollowsTheNames) {
  Policy policy = pattern_policy();
  Story story = both_up(policy);
  story.tell(seen(kSecond));
  std::swap(policy.services[0], policy.services[1]);
  PatternPolicy other;
  other.id = "other";
  policy.patterns.insert(policy.patterns.begin(), other);
  Output output;
  story.engine().replace_policy(policy, story.now(), output);
  EXPECT_FALSE(story.tell(PatternSeen{PatternIndex{1}, kFirst, "ETIMEDOUT"}).changed);
  EXPECT_TRUE(story.tell(PatternSeen{PatternIndex{0}, kFirst, "ETIMEDOUT"}).changed);
}

}  // namespace
}  // namespace recover::core
