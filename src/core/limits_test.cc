// Limits of groups, facts that are awaited, validation by most criteria, the interval of learning,
// and the end of a step.
#include <gtest/gtest.h>

#include "core/classify.h"
#include "core/safety.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

Policy grouped(GroupPolicy group) {
  Policy policy = story_policy(
      {run_service("a"), run_service("b"), run_service("c"), run_service("d"), run_service("e")});
  for (std::size_t index = 0; index < 4; ++index) policy.services[index].group = "web";
  group.name = "web";
  policy.safety.groups = {std::move(group)};
  return policy;
}

Story all_up(Policy policy) {
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  const auto count = static_cast<std::uint32_t>(story.state().services.size());
  for (std::uint32_t index = 0; index < count; ++index) {
    story.bring_up(ServiceIndex{index}, 100 + index);
  }
  return story;
}

RecoveryState state_of(const Story& story, std::uint64_t recovery) {
  return story.recovery(recovery).state;
}

TEST(Groups, NoMoreRecoveriesAtOnceThanTheGroupAllows) {
  Story story = all_up(grouped({.name = {}, .max_concurrent_recoveries = 1, .blast_radius = {}}));
  story.crash(ServiceIndex{0}, 100);
  story.crash(ServiceIndex{1}, 101);
  story.crash(ServiceIndex{4}, 104);
  EXPECT_EQ(state_of(story, 1), RecoveryState::Running);
  EXPECT_EQ(state_of(story, 2), RecoveryState::Planned);
  EXPECT_TRUE(story.gave(story.recovery(2).reasons, Rule::ConcurrentRecoveries, Verdict::Wait));
  EXPECT_EQ(state_of(story, 3), RecoveryState::Running) << "it is in no group";
  // The first one is over: the second begins.
  story.run(ServiceIndex{0}, 200);
  story.answer();
  story.pass(milliseconds{1});
  story.probe(ServiceIndex{0}, true);
  story.pass(seconds{2});
  EXPECT_EQ(state_of(story, 1), RecoveryState::Succeeded);
  EXPECT_EQ(state_of(story, 2), RecoveryState::Running);
}

TEST(Groups, BeyondTheBlastRadiusOneAtATime) {
  Story story = all_up(grouped({.name = {}, .max_concurrent_recoveries = {}, .blast_radius = 0.5}));
  for (std::uint32_t index = 0; index < 3; ++index) story.crash(ServiceIndex{index}, 100 + index);
  EXPECT_EQ(state_of(story, 1), RecoveryState::Running);
  EXPECT_EQ(state_of(story, 2), RecoveryState::Running);
  EXPECT_EQ(state_of(story, 3), RecoveryState::Planned);
  EXPECT_TRUE(story.gave(story.recovery(3).reasons, Rule::BlastRadius, Verdict::Wait));
}

TEST(Prerequisites, AMissingFactIsAwaitedAndThenRefused) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks[0].prerequisites = {*Expression::parse("disk_available > 5%")};
  Story known = all_up(policy);
  known.crash(kFirst, 100);
  EXPECT_EQ(state_of(known, 1), RecoveryState::Planned);
  known.pass(seconds{5});
  known.tell(ResourceLevelChanged{Symptom::DiskFull, "/", 0.3, 0});
  EXPECT_EQ(state_of(known, 1), RecoveryState::Running);

  Story unknown = all_up(policy);
  unknown.crash(kFirst, 100);
  unknown.pass(policy.analysis.analysis_timeout + seconds{1});
  EXPECT_EQ(state_of(unknown, 1), RecoveryState::Rejected);
  EXPECT_EQ(unknown.incident(1).state, IncidentState::Escalated);
}

TEST(Prerequisites, AFactThatAStepMadeUnknownIsAwaited) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks[0].prerequisites = {*Expression::parse("not maintenance"),
                                       *Expression::parse("disk_available > 5%")};
  policy.playbooks[0].prerequisites_max_age = seconds{1};
  policy.playbooks[0].steps = {step_of(ActionKind::Restart), step_of(ActionKind::Reload)};
  Story story = all_up(std::move(policy));
  story.tell(ResourceLevelChanged{Symptom::DiskFull, "/", 0.3, 0});
  story.crash(kFirst, 100);
  story.pass(seconds{2});
  story.run(kFirst, 101);
  story.answer();
  EXPECT_EQ(state_of(story, 1), RecoveryState::Running);
  EXPECT_EQ(story.pending.at(0).action, ActionKind::Reload);
}

TEST(Prerequisites, AreAskedAgainAfterAWait) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks[0].prerequisites = {*Expression::parse("maintenance == false")};
  policy.playbooks[0].prerequisites_max_age = seconds{30};
  StepPolicy wait = step_of(ActionKind::Wait);
  wait.with = WaitAction{.duration = seconds{2}, .until = {}};
  policy.playbooks[0].steps = {wait, step_of(ActionKind::Restart)};
  Story story = all_up(std::move(policy));
  story.crash(kFirst, 100);
  EXPECT_EQ(state_of(story, 1), RecoveryState::Running);
  story.tell(OperatorMaintenance{std::nullopt, true, kNever, "ann"});
  story.pass(seconds{3});
  EXPECT_TRUE(story.pending.empty());
  EXPECT_NE(state_of(story, 1), RecoveryState::Running);
}

TEST(Validation, MostCriteriaAreEnoughWhereNotAllAreRequired) {
  Policy policy = story_policy({run_service("web", {}, 2)});
  policy.playbooks[0].validation.success_criteria.push_back(
      *Expression::parse("restart_count > 1000"));
  for (const bool all : {true, false}) {
    policy.require_all_checks = all;
    Story story = all_up(policy);
    story.crash(kFirst, 100);
    story.run(kFirst, 101);
    story.answer();
    story.pass(milliseconds{1});
    story.probe(kFirst, true, 0);
    if (all) story.probe(kFirst, true, 1);
    story.pass(seconds{2});
    EXPECT_EQ(state_of(story, 1), all ? RecoveryState::Validating : RecoveryState::Succeeded);
  }
}

TEST(Validation, TheEssentialCriteriaMustHoldAllTheSame) {
  Policy policy = story_policy({run_service("web")});
  policy.require_all_checks = false;
  policy.playbooks[0].validation.success_criteria = {
      *Expression::parse("health_check_passing == true"),
      *Expression::parse("maintenance == false"), *Expression::parse("restart_count < 1000")};
  Story story = all_up(std::move(policy));
  story.crash(kFirst, 100);
  story.run(kFirst, 101);
  story.answer();
  story.pass(seconds{5});
  EXPECT_EQ(state_of(story, 1), RecoveryState::Validating);
}

TEST(Learning, TheOrderFollowsTheOutcomesOnceAnInterval) {
  Policy policy = story_policy({run_service("web")});
  policy.learning.update_interval = minutes{10};
  Story story = all_up(std::move(policy));
  story.crash(kFirst, 100);
  story.run(kFirst, 101);
  story.answer();
  story.pass(milliseconds{1});
  story.probe(kFirst, true);
  story.pass(seconds{2});
  EXPECT_EQ(state_of(story, 1), RecoveryState::Succeeded);
  EXPECT_EQ(story.state().outcomes.size(), 1U);
  EXPECT_TRUE(story.state().learned.empty());
  story.pass(minutes{10});
  EXPECT_EQ(story.state().learned.size(), 1U);
}

// Each refused playbook takes a round: more of them than a fixed bound once was.
TEST(Settle, ManyRefusalsInOneStepAreAllAnswered) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks.clear();
  policy.services[0].playbooks.clear();
  for (std::uint32_t index = 0; index < 150; ++index) {
    policy.playbooks.push_back(restart_playbook("book-" + std::to_string(index)));
    policy.playbooks.back().prerequisites = {*Expression::parse("queue_depth < 1")};
    policy.services[0].playbooks.push_back(PlaybookIndex{index});
  }
  policy.playbooks.back().prerequisites.clear();
  policy.analysis.analysis_timeout = Duration::zero();
  Story story = all_up(std::move(policy));
  story.crash(kFirst, 100);
  EXPECT_EQ(story.recovery(150).state, RecoveryState::Running);
  EXPECT_EQ(story.count("engine:unsettled"), 0U);
  EXPECT_FALSE(story.state().unsettled);
}

TEST(Resources, PressureIsToldFromUse) {
  const auto probe = [](Resource resource, std::string path) {
    return ResourceProbe{.resource = resource, .path = std::move(path)};
  };
  EXPECT_EQ(symptom_of(probe(Resource::Pressure, "cpu")), Symptom::CpuPressure);
  EXPECT_EQ(symptom_of(probe(Resource::Pressure, "memory")), Symptom::MemoryPressure);
  EXPECT_EQ(symptom_of(probe(Resource::Pressure, "/")), Symptom::MemoryPressure);
  struct Case {
    ResourceProbe probe;
    Symptom symptom;
    std::string what;
    bool concerned;
  };
  const std::vector<Case> cases = {
      {probe(Resource::Pressure, "/"), Symptom::MemoryPressure, "pressure:memory", true},
      {probe(Resource::Pressure, "/"), Symptom::CpuPressure, "pressure:cpu", true},
      {probe(Resource::Pressure, "cpu"), Symptom::MemoryPressure, "pressure:memory", false},
      {probe(Resource::Pressure, "/"), Symptom::CpuPressure, "cpu", false},
      {probe(Resource::Cpu, "/"), Symptom::CpuPressure, "pressure:cpu", false},
      {probe(Resource::Cpu, "/"), Symptom::CpuPressure, "cpu", true},
      {probe(Resource::Memory, "/"), Symptom::MemoryPressure, "pressure:memory", false},
      {probe(Resource::Memory, "/"), Symptom::MemoryPressure, "memory", true},
      {probe(Resource::Disk, "/"), Symptom::DiskFull, "inodes:/", false},
      {probe(Resource::Inodes, "/"), Symptom::DiskFull, "inodes:/", true},
      {probe(Resource::Inodes, "/"), Symptom::DiskFull, "/", false},
  };
  for (const Case& each : cases) {
    Policy policy = story_policy({run_service("web")});
    policy.services[0].probes[0].spec = each.probe;
    Story story = all_up(std::move(policy));
    story.tell(ResourceLevelChanged{each.symptom, each.what, 0.97, 3});
    EXPECT_EQ(!story.state().incidents.empty(), each.concerned) << each.what;
  }
}

}  // namespace
}  // namespace recover::core
