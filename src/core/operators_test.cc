// What operators ask for and are refused, and what they are told then.
#include "core/operators.h"

#include <gtest/gtest.h>

#include <string>

#include "test/core/story.h"

namespace recover::core {
namespace {

Story one_healthy(Policy policy) {
  Story story(std::move(policy));
  story.tell(EngineStarted{.first = true});
  story.bring_up(kFirst, 100);
  return story;
}

const Notice& refusal_of(const Story& story) {
  const auto found = std::ranges::find_if(
      story.notices, [](const Notice& notice) { return notice.type == "operator:refused"; });
  RECOVER_CHECK(found != story.notices.end());
  return *found;
}

TEST(Operators, QuarantineRefusesAllButItsEndAndAStop) {
  for (const ServiceRequest request : {ServiceRequest::Start, ServiceRequest::Restart,
                                       ServiceRequest::Reload, ServiceRequest::Scale}) {
    Story story = one_healthy(story_policy({run_service("web")}));
    story.tell(OperatorService{kFirst, ServiceRequest::Quarantine, "ann"});
    story.tell(OperatorService{kFirst, request, "ann"});
    EXPECT_TRUE(story.pending.empty());
    const Notice& refused = refusal_of(story);
    EXPECT_EQ(refused.reasons.at(0).rule, Rule::Quarantine);
    EXPECT_NE(refused.message.find("`recoverctl release web`"), std::string::npos)
        << refused.message;
    story.tell(OperatorService{kFirst, ServiceRequest::Stop, "ann"});
    EXPECT_EQ(story.pending.size(), 1U);
  }
}

TEST(Operators, OneInstanceOfSeveralIsRestartedAlone) {
  Story story = one_healthy(story_policy({run_service("web")}));
  OperatorService asked{kFirst, ServiceRequest::Restart, "ann"};
  asked.instance = 0;
  story.tell(asked);
  ASSERT_EQ(story.pending.size(), 1U);
  EXPECT_EQ(story.pending[0].text, "0");
}

TEST(Operators, OneInstanceMustBeThereAndIsNotReloadedAlone) {
  for (const ServiceRequest request : {ServiceRequest::Start, ServiceRequest::Stop,
                                       ServiceRequest::Restart, ServiceRequest::Reload}) {
    Story story = one_healthy(story_policy({run_service("web")}));
    OperatorService asked{kFirst, request, "ann"};
    asked.instance = request == ServiceRequest::Reload ? 0 : 7;
    story.tell(asked);
    EXPECT_TRUE(story.pending.empty());
    const std::string& why = refusal_of(story).message;
    EXPECT_NE(why.find(request == ServiceRequest::Reload ? "for all of web" : "there is no web@8"),
              std::string::npos)
        << why;
  }
}

PlaybookPolicy made_for(std::string id, Symptom symptom) {
  PlaybookPolicy playbook = restart_playbook(std::move(id));
  TriggerPolicy trigger;
  trigger.symptom = symptom;
  playbook.triggers = {trigger};
  return playbook;
}

TEST(Operators, ARequestWithoutAFailureTakesNoPlaybookMadeForASymptom) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks = {made_for("on-wrong-answer", Symptom::ProbeFailed), restart_playbook()};
  policy.services[0].playbooks = {PlaybookIndex{0}, PlaybookIndex{1}};
  Story story = one_healthy(std::move(policy));
  story.tell(OperatorRecover{kFirst, std::nullopt, "ann"});
  EXPECT_EQ(story.recovery(1).playbook, PlaybookIndex{1});
  EXPECT_EQ(story.incident(1).symptoms, std::vector{Symptom::RecoveryRequested});
}

TEST(Operators, WhenNoneFitsThoseThatCouldBeNamedAreListed) {
  Policy policy = story_policy({run_service("web")});
  policy.playbooks = {made_for("on-wrong-answer", Symptom::ProbeFailed),
                      made_for("broken", Symptom::ProbeFailed),
                      made_for("on-full-disk", Symptom::DiskFull)};
  policy.services[0].playbooks = {PlaybookIndex{0}, PlaybookIndex{1}, PlaybookIndex{2}};
  policy.safety.playbook_breaker_threshold = 1;
  Story story = one_healthy(std::move(policy));
  story.tell(OperatorRecover{kFirst, PlaybookIndex{1}, "ann"});
  story.answer(CommandOutcome::Failed);
  story.run(kFirst, 101);
  story.probe_all(kFirst, true);
  ASSERT_TRUE(story.state().open.empty());
  const std::size_t incidents = story.state().incidents.size();
  story.tell(OperatorRecover{kFirst, std::nullopt, "ann"});
  const Notice& refused = refusal_of(story);
  EXPECT_EQ(refused.message,
            "nothing is known to be wrong, and no playbook is for class service_failure; name one "
            "of these with --playbook: on-wrong-answer, on-full-disk");
  EXPECT_EQ(refused.reasons.at(0).rule, Rule::PlaybookChoice);
  EXPECT_EQ(story.state().incidents.size(), incidents) << "a refusal opens no incident";
  story.tell(OperatorRecover{kFirst, PlaybookIndex{2}, "ann"});
  EXPECT_EQ(story.recovery(2).playbook, PlaybookIndex{2});
}

TEST(CrashLoop, IsTheThirdEndOfOneInstanceNotOtherTrouble) {
  Policy policy = story_policy({run_service("web")});
  policy.safety.circuit_breaker.failure_threshold = 10;
  policy.detection.flap_changes = 100;
  policy.safety.cooldown = Duration{1};
  Story story = one_healthy(std::move(policy));
  for (int i = 0; i < 3; ++i) {  // Three incidents of another kind, each healed by its recovery.
    story.probe_all(kFirst, false);
    story.answer();
    story.pass(milliseconds{1});
    story.probe_all(kFirst, true);
    story.pass(seconds{2});
  }
  ASSERT_TRUE(story.state().open.empty());
  ASSERT_GE(story.health(kFirst).breaker_failures.size(), 3U);
  const auto last = [&story]() -> const Incident& {
    return story.state().incidents.rbegin()->second;
  };
  story.crash(kFirst, 100);
  EXPECT_EQ(last().symptoms, std::vector{Symptom::ProcessCrash}) << "the first crash is no loop";
  story.run(kFirst, 101);
  story.crash(kFirst, 101);
  EXPECT_EQ(last().symptoms, std::vector{Symptom::ProcessCrash});
  story.run(kFirst, 102);
  story.crash(kFirst, 102);
  EXPECT_EQ(last().symptoms, (std::vector{Symptom::ProcessCrash, Symptom::CrashLoop}));
}

TEST(CrashLoop, InstancesThatEndTogetherAreNone) {
  ServicePolicy service = run_service("web");
  std::get<RunSpec>(service.spec).instances = 3;
  Story story(story_policy({service}));
  story.tell(EngineStarted{.first = true});
  for (std::uint32_t instance = 0; instance < 3; ++instance) {
    story.tell(ProcessStarted{kFirst, instance, {100 + instance, 1}, false});
    story.tell(ProcessReady{kFirst, instance, {100 + instance, 1}});
  }
  for (std::uint32_t instance = 0; instance < 3; ++instance) {
    ProcessExited event;
    event.service = kFirst;
    event.instance = instance;
    event.incarnation = {100 + instance, 1};
    event.signal = 9;
    story.tell(event);
  }
  EXPECT_EQ(story.incident(1).symptoms, std::vector{Symptom::ProcessCrash});
}

}  // namespace
}  // namespace recover::core
