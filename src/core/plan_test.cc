#include "core/plan.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/learning.h"
#include "core/migrate.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

struct Fixture {
  Policy policy = story_policy({run_service("web")});
  State state;
  Incident incident;

  Fixture() {
    PlaybookPolicy by_class = restart_playbook("by-class");
    by_class.triggers.resize(1);  // The failure class alone.
    PlaybookPolicy other = restart_playbook("other");
    other.triggers.resize(1);
    other.triggers[0].failure = FailureClass::Permission;
    policy.playbooks = {other, by_class, restart_playbook("first"), restart_playbook("second")};
    policy.services[0].playbooks = {PlaybookIndex{0}, PlaybookIndex{1}, PlaybookIndex{2},
                                    PlaybookIndex{3}};
    state = initial_state(policy, Instant{});
    incident.symptoms = {Symptom::ProcessCrash};
  }
  std::optional<PlaybookIndex> chosen() const {
    return choose_playbook(policy, state, incident).playbook;
  }
};

TEST(Plan, TheBestMatchWinsAndAmongEqualsTheFirst) {
  Fixture f;
  const Choice choice = choose_playbook(f.policy, f.state, f.incident);
  EXPECT_EQ(choice.playbook, PlaybookIndex{2});
  EXPECT_EQ(choice.reasons.size(), 4U) << "each of the others says why it is not";
  EXPECT_EQ(choice.reasons.back().rule, Rule::PlaybookChoice);
  f.incident.symptoms = {Symptom::ProbeFailed};
  EXPECT_EQ(f.chosen(), PlaybookIndex{1});
}

TEST(Plan, TheReasonsSayWhatTheScoresMean) {
  Fixture f;
  const Choice choice = choose_playbook(f.policy, f.state, f.incident);
  const auto said = [&choice](std::string_view text) {
    return std::ranges::any_of(choice.reasons,
                               [text](const Reason& reason) { return reason.detail == text; });
  };
  EXPECT_TRUE(
      said("by-class: fits less well than first: score 0.4 (its trigger fits 0.8, its "
           "record here counts 0.5)"));
  EXPECT_TRUE(
      said("second: fits as well as first, which comes first in the order of preference: "
           "score 0.5 (its trigger fits 1, its record here counts 0.5)"));
  EXPECT_TRUE(said("first fits best: score 0.5 (its trigger fits 1, its record here counts 0.5)"));
}

TEST(Plan, WhatATriggerNamesMustAllMatch) {
  Fixture f;
  TriggerPolicy both;
  both.failure = FailureClass::Connection;
  both.symptom = Symptom::ProcessCrash;
  f.policy.playbooks[2].triggers = {both};
  EXPECT_EQ(f.chosen(), PlaybookIndex{3});
}

TEST(Plan, ABrokenOrTriedOneIsPassedOver) {
  Fixture f;
  f.state.playbooks[2].breaker_open = true;
  EXPECT_EQ(f.chosen(), PlaybookIndex{3});
  f.incident.tried = {PlaybookIndex{3}};
  EXPECT_EQ(f.chosen(), PlaybookIndex{1});
  f.incident.tried.push_back(PlaybookIndex{1});
  EXPECT_EQ(f.chosen(), PlaybookIndex{1});  // Nothing else is left: the first again.
  f.state.playbooks[1].demoted = true;
  f.state.playbooks[3].demoted = true;
  EXPECT_EQ(f.chosen(), std::nullopt);
  // Whoever is called is told what stands in the way, not that there is nothing.
  const Choice choice = choose_playbook(f.policy, f.state, f.incident);
  EXPECT_NE(choice.obstacle.find("demoted"), std::string::npos) << choice.obstacle;
}

TEST(Plan, ClearOutcomesOutweighTheOrder) {
  Fixture f;
  Outcomes& first = f.state.learned[signature_of(f.incident, PlaybookIndex{2})];
  first = {.succeeded = 0, .failed = 5};
  EXPECT_EQ(f.chosen(), PlaybookIndex{2});  // Too few samples.
  first.failed = 12;
  EXPECT_EQ(f.chosen(), PlaybookIndex{3});
  f.policy.learning.enabled = false;
  EXPECT_EQ(f.chosen(), PlaybookIndex{2});
}

TEST(Plan, WilsonIntervalsAreThoseOfTheLiterature) {
  // 10 of 20 at 95 percent: 0.299 to 0.701.
  const Interval half = wilson(10, 10, 0.95);
  EXPECT_NEAR(half.low, 0.299, 0.001);
  EXPECT_NEAR(half.high, 0.701, 0.001);
  const Interval all = wilson(10, 0, 0.95);
  EXPECT_NEAR(all.low, 0.722, 0.001);
  EXPECT_NEAR(all.high, 1.0, 0.001);
  LearningPolicy policy;
  EXPECT_DOUBLE_EQ(learned_factor(policy, {.succeeded = 5, .failed = 5}), 0.5);
  EXPECT_DOUBLE_EQ(learned_factor(policy, {.succeeded = 10, .failed = 0}), 11.0 / 12.0);
}

TEST(Plan, TheHashFollowsWhatWouldBeDone) {
  Fixture f;
  const std::uint64_t hash = plan_hash(f.policy, PlaybookIndex{2}, kFirst);
  EXPECT_EQ(plan_hash(f.policy, PlaybookIndex{2}, kFirst), hash);
  EXPECT_NE(plan_hash(f.policy, PlaybookIndex{3}, kFirst), hash);
  f.policy.playbooks[2].steps[0].with = ExecAction{.command = {"/bin/true"}, .environment = {}};
  const std::uint64_t changed = plan_hash(f.policy, PlaybookIndex{2}, kFirst);
  EXPECT_NE(changed, hash);
  f.policy.playbooks[2].steps[0].with = ExecAction{.command = {"/bin/false"}, .environment = {}};
  EXPECT_NE(plan_hash(f.policy, PlaybookIndex{2}, kFirst), changed);
}

}  // namespace
}  // namespace recover::core
