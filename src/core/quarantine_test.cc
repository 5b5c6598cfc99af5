// The action quarantine: a step that leaves a service alone until a person releases it.
#include <gtest/gtest.h>

#include <string>

#include "test/core/story.h"

namespace recover::core {
namespace {

Policy stops_and_quarantines(std::string_view criterion) {
  Policy policy = story_policy({run_service("web", {}, 0)});
  PlaybookPolicy& playbook = policy.playbooks[0];
  playbook.steps = {step_of(ActionKind::Stop), step_of(ActionKind::Quarantine)};
  playbook.validation.success_criteria = {*Expression::parse(criterion)};
  return policy;
}

// It crashed, and the recovery's stop is done.
Story quarantined(std::string_view criterion) {
  Story story(stops_and_quarantines(criterion));
  story.tell(EngineStarted{.first = true});
  story.answer();
  story.run(kFirst, 100);
  story.crash(kFirst, 100);
  story.pass(seconds{1});
  RECOVER_CHECK(story.answer().action == ActionKind::Stop);
  return story;
}

TEST(QuarantineAction, LeavesTheServiceAloneUntilItIsReleased) {
  Story story = quarantined("service_running == false");
  EXPECT_TRUE(story.pending.empty()) << "no edge has a part in it";
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Quarantined);
  story.pass(seconds{10});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::Succeeded);
  EXPECT_NE(story.recovery(1).steps.back().output.find("recoverctl release web"),
            std::string::npos);
  story.pass(minutes{30});
  EXPECT_TRUE(story.pending.empty());
  story.tell(OperatorService{kFirst, ServiceRequest::Release, "ann"});
  EXPECT_NE(story.health(kFirst).state, ServiceState::Quarantined);
}

TEST(QuarantineAction, IsTakenBackByTheRollback) {
  Story story = quarantined("service_running == true");
  EXPECT_TRUE(story.health(kFirst).quarantined);
  story.pass(seconds{60});
  EXPECT_EQ(story.recovery(1).state, RecoveryState::RolledBack);
  EXPECT_FALSE(story.health(kFirst).quarantined);
}

TEST(QuarantineAction, StaysOverACrashOfTheEngine) {
  Story story = quarantined("service_running == false");
  Result<Engine, std::string> again =
      Engine::restore(story.engine().policy(), story.engine().snapshot());
  ASSERT_TRUE(again.has_value()) << again.error();
  Story later(std::move(*again), story.now());
  later.tell(EngineStarted{});
  later.pass(minutes{30});
  EXPECT_TRUE(later.pending.empty());
  EXPECT_EQ(later.health(kFirst).state, ServiceState::Quarantined);
}

}  // namespace
}  // namespace recover::core
