#include "core/error_rate.h"

#include <gtest/gtest.h>

#include "core/facts.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

Policy judged(std::optional<double> threshold) {
  Policy policy = story_policy({run_service("web")});
  policy.recovery.mode = Mode::Shadow;
  policy.monitoring.error_rate = threshold;
  policy.services[0].probes[0].interval = seconds{10};
  return policy;
}

Story up(Policy policy) {
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kFirst, 100);
  return story;
}

LookCount looks(Story& story) {
  return looks_of(story.engine().policy(), story.state(), kFirst, story.now());
}

TEST(ErrorRate, LooksThatRepeatWhatIsKnownAreCountedThoughNotRecorded) {
  Story story = up(judged(std::nullopt));
  const std::uint32_t before = looks(story).passed;
  story.pass(seconds{100});
  const LookCount count = looks(story);
  EXPECT_GE(count.passed, before + 9);
  EXPECT_LE(count.passed, before + 10);
  EXPECT_EQ(count.failed, 0U);
  story.pass(hours{2});
  EXPECT_LE(looks(story).passed, 31U);
  EXPECT_GE(looks(story).passed, 27U);
}

TEST(ErrorRate, OneFailureInFourIsTooManyAndAnIncident) {
  Story story = up(judged(0.05));
  for (int look = 0; look < 24; ++look) {
    story.pass(seconds{10});
    story.probe(kFirst, look % 4 != 3);
  }
  ASSERT_EQ(story.state().incidents.size(), 1U);
  EXPECT_EQ(story.incident(1).symptoms, std::vector{Symptom::HighErrorRate});
  EXPECT_EQ(story.count("health:high_errors"), 1U);
  const ServiceFacts facts(story.engine().policy(), story.state(), kFirst, story.now());
  EXPECT_NEAR(std::get<double>(facts.value("error_rate")), 0.25, 0.06);
  // It ends by itself once it is quiet, and what was is forgotten.
  for (int look = 0; look < 60; ++look) {
    story.pass(seconds{10});
    story.probe(kFirst, true);
  }
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
  EXPECT_EQ(looks(story).failed, 0U);
}

TEST(ErrorRate, NotJudgedWithoutAThresholdNorBelowIt) {
  for (const std::optional<double> threshold : {std::optional<double>(), std::optional(0.5)}) {
    Story story = up(judged(threshold));
    for (int look = 0; look < 24; ++look) {
      story.pass(seconds{10});
      story.probe(kFirst, look % 4 != 3);
    }
    EXPECT_TRUE(story.state().incidents.empty());
  }
}

TEST(ErrorRate, AFewLooksSayNothing) {
  Story story = up(judged(0.05));
  story.probe(kFirst, false);
  story.probe(kFirst, true);
  story.probe(kFirst, false);
  EXPECT_TRUE(story.state().incidents.empty());
}

TEST(ErrorRate, TheWindowSurvivesASnapshot) {
  Story story = up(judged(0.05));
  story.pass(seconds{50});
  story.probe(kFirst, false);
  const auto restored = Engine::restore(story.engine().policy(), story.engine().snapshot());
  ASSERT_TRUE(restored.has_value());
  const LookCount before = looks(story);
  const LookCount after = looks_of(restored->policy(), restored->state(), kFirst, story.now());
  EXPECT_EQ(after.passed, before.passed);
  EXPECT_EQ(after.failed, before.failed);
  EXPECT_EQ(after.failed, 1U);
}

}  // namespace
}  // namespace recover::core
