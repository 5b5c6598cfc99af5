#include "core/learning.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "core/migrate.h"
#include "core/operators.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

// One playbook of one service, whose recoveries end as the test says.
struct School {
  Policy policy = story_policy({run_service("web")});
  State state;
  Output output;

  explicit School(std::uint32_t min_samples) {
    policy.learning.min_samples = min_samples;
    policy.learning.confidence_threshold = 0.8;
    policy.safety.playbook_breaker_threshold = 1'000;
    state = initial_state(policy, Instant{});
    Incident incident;
    incident.id = IncidentId{1};
    incident.symptoms = {Symptom::ProcessCrash};
    state.incidents.emplace(incident.id, incident);
  }
  void lesson(bool succeeded) {
    Recovery recovery;
    recovery.incident = IncidentId{1};
    Turn turn{.policy = policy, .state = state, .now = Instant{}, .out = output};
    learn(turn, recovery, succeeded);
  }
  bool demoted() const { return state.playbooks[0].demoted; }
};

TEST(Learning, APlaybookThatDoesNotHelpIsDemotedOnceItIsClear) {
  School school(10);
  for (int i = 0; i < 9; ++i) school.lesson(false);
  EXPECT_FALSE(school.demoted()) << "too few samples";
  school.lesson(false);
  EXPECT_TRUE(school.demoted());
  const auto is_demotion = [](const Notice& notice) { return notice.type == "playbook:demoted"; };
  school.lesson(false);
  EXPECT_EQ(std::ranges::count_if(school.output.notices, is_demotion), 1) << "said once";
  for (int i = 0; i < 100; ++i) school.lesson(true);
  EXPECT_TRUE(school.demoted()) << "only people promote";
}

TEST(Learning, HalfAndHalfDemotesNothing) {
  School school(10);
  for (int i = 0; i < 50; ++i) school.lesson(i % 2 == 0);
  EXPECT_FALSE(school.demoted());
}

TEST(Learning, WhenDisabledNothingIsCountedOrDemoted) {
  School school(2);
  school.policy.learning.enabled = false;
  for (int i = 0; i < 20; ++i) school.lesson(false);
  EXPECT_FALSE(school.demoted());
  EXPECT_TRUE(school.state.outcomes.empty());
}

TEST(Learning, APersonPutsItBackWithAFreshRecord) {
  School school(5);
  for (int i = 0; i < 5; ++i) school.lesson(false);
  ASSERT_TRUE(school.demoted());
  Turn turn{.policy = school.policy, .state = school.state, .now = Instant{}, .out = school.output};
  OperatorResetBreaker reset;
  reset.playbook = PlaybookIndex{0};
  on_reset_breaker(turn, reset);
  EXPECT_FALSE(school.demoted());
  school.lesson(false);
  EXPECT_FALSE(school.demoted()) << "judged by what it did since";
}

}  // namespace
}  // namespace recover::core
