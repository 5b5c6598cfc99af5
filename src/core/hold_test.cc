// One instance of several that a person stopped: who may start it, and what it counts for.
#include "core/hold.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "core/snapshot.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

using Numbers = std::vector<std::uint32_t>;

Policy three_of_web() {
  Policy policy = story_policy({run_service("web", {}, 0)});
  RunSpec run;
  run.instances = 3;
  run.scale_min = 1;
  run.scale_max = 4;
  policy.services[0].spec = run;
  return policy;
}

void start_one(Story& story, std::uint32_t instance, std::int64_t pid, bool adopted = false) {
  story.tell(ProcessStarted{kFirst, instance, {pid, 1}, adopted});
  story.tell(ProcessReady{kFirst, instance, {pid, 1}});
}

void end_one(Story& story, std::uint32_t instance, std::int64_t pid, bool expected) {
  ProcessExited event;
  event.service = kFirst;
  event.instance = instance;
  event.incarnation = {pid, 1};
  event.signal = 15;
  event.code = -1;
  event.expected = expected;
  story.tell(event);
}

void ask(Story& story, ServiceRequest request, std::optional<std::uint32_t> instance = {}) {
  story.tell(OperatorService{kFirst, request, "ann", 0, 0, instance});
}

Story three_up() {
  Story story(three_of_web());
  story.tell(EngineStarted{.first = true});
  story.answer();
  for (std::uint32_t i = 0; i < 3; ++i) start_one(story, i, 10 + i);
  RECOVER_CHECK(story.health(kFirst).state == ServiceState::Healthy);
  return story;
}

// web@2 is stopped, and what was asked for is done.
Story second_held() {
  Story story = three_up();
  ask(story, ServiceRequest::Stop, 1);
  end_one(story, 1, 11, true);
  story.answer();
  return story;
}

TEST(Hold, StopsOneAndTheServiceIsWellWithoutIt) {
  Story story = three_up();
  ask(story, ServiceRequest::Stop, 1);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].action, ActionKind::Stop);
  EXPECT_EQ(story.pending[0].text, "1");
  EXPECT_EQ(story.pending[0].held, Numbers{1});
  end_one(story, 1, 11, true);
  story.answer();
  story.pass(minutes{10});
  EXPECT_TRUE(story.pending.empty());
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Healthy);
  EXPECT_FALSE(story.health(kFirst).incident);
  EXPECT_TRUE(story.health(kFirst).wanted);
}

TEST(Hold, ACrashWhileItIsToEndIsNoFault) {
  Story story = three_up();
  ask(story, ServiceRequest::Stop, 1);
  end_one(story, 1, 11, false);
  EXPECT_FALSE(story.health(kFirst).incident);
}

TEST(Hold, ACrashOfASiblingStartsTheSiblingOnly) {
  Story story = second_held();
  end_one(story, 2, 12, false);
  story.pass(seconds{1});
  ASSERT_FALSE(story.pending.empty());
  const Command restart = story.pending.front();
  EXPECT_EQ(restart.text, "2");
  EXPECT_EQ(restart.held, Numbers{1});
  start_one(story, 2, 22);
  story.answer();
  story.pass(seconds{5});
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Healthy);
  EXPECT_EQ(story.incident(1).state, IncidentState::Resolved);
  EXPECT_TRUE(is_held(story.health(kFirst), 1));
}

TEST(Hold, OutlivesTheEngineAndASnapshot) {
  Story story = second_held();
  Result<Engine, std::string> again =
      Engine::restore(story.engine().policy(), story.engine().snapshot());
  ASSERT_TRUE(again.has_value()) << again.error();
  EXPECT_EQ(again->state_hash(), story.engine().state_hash());
  Story later(std::move(*again), story.now());
  start_one(later, 0, 10, true);
  later.tell(EngineStarted{});
  // Of the two that should run one is lost.
  ASSERT_EQ(later.pending.size(), 1U);
  EXPECT_EQ(later.pending[0].action, ActionKind::Start);
  EXPECT_EQ(later.pending[0].held, Numbers{1});
}

// What held instances add is one byte an instance; before there were none, it was not there.
TEST(Hold, SnapshotsOfBeforeAreRead) {
  const Story story = three_up();
  const Policy policy = three_of_web();
  std::string old = write_snapshot(policy, story.state(), kNever);
  const std::string now = old;
  for (std::size_t instance = 3; instance-- > 0;) {
    State held = story.state();
    held.services[0].instances[instance].held = true;
    const std::string other = write_snapshot(policy, held, kNever);
    const auto [at, its] = std::ranges::mismatch(now, other);
    old.erase(static_cast<std::size_t>(at - now.begin()), 1);
  }
  constexpr std::size_t kVersionAt = 4;
  old[kVersionAt] = 3;
  const auto read = read_snapshot(policy, old);
  ASSERT_TRUE(read.has_value()) << read.error();
  EXPECT_EQ(hash_snapshot(read->state, kNever), hash_snapshot(story.state(), kNever));
}

TEST(Hold, AWholeRestartLeavesItStopped) {
  Story story = second_held();
  ask(story, ServiceRequest::Restart);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].text, "");
  EXPECT_EQ(story.pending[0].held, Numbers{1});
}

TEST(Hold, IsReleasedByAStartOfItOrOfTheWhole) {
  for (const std::optional<std::uint32_t> one : {std::optional<std::uint32_t>{1}, {}}) {
    Story story = second_held();
    ask(story, ServiceRequest::Start, one);
    ASSERT_EQ(story.pending.size(), 1U);
    EXPECT_EQ(story.pending[0].text, one ? "1" : "");
    EXPECT_TRUE(story.pending[0].held.empty());
    start_one(story, 1, 21);
    story.answer();
    EXPECT_EQ(story.health(kFirst).state, ServiceState::Healthy);
  }
}

TEST(Hold, TheLastOneStopsTheService) {
  Story story = second_held();
  for (const std::uint32_t number : {0U, 2U}) {
    ask(story, ServiceRequest::Stop, number);
    end_one(story, number, 10 + number, true);
    story.answer();
  }
  EXPECT_EQ(story.sent.back().text, "");  // As a whole.
  EXPECT_FALSE(story.health(kFirst).wanted);
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Stopped);
  EXPECT_TRUE(held_instances(story.health(kFirst)).empty());
}

TEST(Hold, OneOfAStoppedServiceIsStartedAlone) {
  Story story = three_up();
  ask(story, ServiceRequest::Stop);
  for (std::uint32_t i = 0; i < 3; ++i) end_one(story, i, 10 + i, true);
  story.answer();
  ask(story, ServiceRequest::Start, 1);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].text, "1");
  EXPECT_EQ(story.pending[0].held, (Numbers{0, 2}));
  start_one(story, 1, 21);
  story.answer();
  EXPECT_EQ(story.health(kFirst).state, ServiceState::Healthy);
}

TEST(Hold, ScalingToWhatIsStoppedIsRefused) {
  Story story = three_up();
  ask(story, ServiceRequest::Stop, 0);
  end_one(story, 0, 10, true);
  story.answer();
  story.tell(OperatorService{kFirst, ServiceRequest::Scale, "ann", 1});
  EXPECT_TRUE(story.pending.empty());
  EXPECT_EQ(story.count("operator:refused"), 1U);
}

TEST(Hold, OneThatWasScaledAwayComesBackRunning) {
  Story story = three_up();
  ask(story, ServiceRequest::Stop, 2);
  end_one(story, 2, 12, true);
  story.answer();
  story.tell(OperatorService{kFirst, ServiceRequest::Scale, "ann", 2});
  story.answer();
  story.tell(OperatorService{kFirst, ServiceRequest::Scale, "ann", 3});
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_TRUE(story.pending[0].held.empty());
}

TEST(Hold, AReloadKeepsItAndOneThatLeavesNoneStopsTheService) {
  Story story = three_up();
  ask(story, ServiceRequest::Stop, 0);
  end_one(story, 0, 10, true);
  story.answer();
  Output output;
  Policy same = three_of_web();
  same.services[0].start_grace = seconds{7};
  story.engine().replace_policy(same, story.now(), output);
  EXPECT_TRUE(is_held(story.health(kFirst), 0));
  Policy one = three_of_web();
  std::get<RunSpec>(one.services[0].spec).instances = 1;
  story.engine().replace_policy(one, story.now(), output);
  EXPECT_FALSE(story.health(kFirst).wanted);
  // What ran on is stopped, and not only written down as stopped.
  ASSERT_EQ(output.commands.size(), 1U);
  EXPECT_EQ(output.commands[0].action, ActionKind::Stop);
  EXPECT_TRUE(output.commands[0].text.empty());
}

// Neither is taken for one of the whole service.
TEST(Hold, AReloadAndAQuarantineAreOfAll) {
  Story story = three_up();
  for (const auto request :
       {ServiceRequest::Reload, ServiceRequest::Quarantine, ServiceRequest::Release}) {
    ask(story, request, 1);
    EXPECT_TRUE(story.pending.empty());
    EXPECT_FALSE(story.health(kFirst).quarantined);
  }
  ask(story, ServiceRequest::Quarantine);
  EXPECT_TRUE(story.health(kFirst).quarantined);
  ask(story, ServiceRequest::Release, 1);
  EXPECT_TRUE(story.health(kFirst).quarantined);
}

TEST(Hold, ARecoveryDoesNotScaleToTheHeldOnesAlone) {
  Policy policy = three_of_web();
  std::get<RunSpec>(policy.services[0].spec).instances = 2;
  policy.playbooks[0].steps = {step_of(ActionKind::Scale)};
  policy.playbooks[0].steps[0].with = ScaleAction{.by = -1};
  Story story(policy);
  story.tell(EngineStarted{.first = true});
  story.answer();
  for (std::uint32_t i = 0; i < 2; ++i) start_one(story, i, 10 + i);
  ask(story, ServiceRequest::Stop, 0);
  end_one(story, 0, 10, true);
  story.answer();
  story.tell(OperatorRecover{kFirst, PlaybookIndex{0}, "ann"});
  story.pass(seconds{1});
  EXPECT_EQ(std::ranges::count(story.pending, ActionKind::Scale, &Command::action), 0);
  const StepProgress& step = story.recovery(1).steps.back();
  EXPECT_EQ(step.state, StepState::Failed);
  EXPECT_NE(step.output.find("stopped by a person"), std::string::npos) << step.output;
  EXPECT_TRUE(story.health(kFirst).wanted);
  EXPECT_EQ(story.health(kFirst).desired, 2U);
}

TEST(Hold, AStartOfAProcessWhoseEndIsKnownIsNotCountedAgain) {
  Story story = three_up();
  end_one(story, 1, 11, false);
  ASSERT_TRUE(story.health(kFirst).incident);
  const std::size_t before = story.notices.size();
  // The engine was killed before the end was taken out of the table: both are told once more.
  EXPECT_FALSE(story.tell(ProcessStarted{kFirst, 1, {11, 1}, true}).changed);
  end_one(story, 1, 11, false);
  EXPECT_EQ(story.notices.size(), before);
  EXPECT_EQ(story.health(kFirst).instances[1].crashes[1], Instant::min());
}

}  // namespace
}  // namespace recover::core
