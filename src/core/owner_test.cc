#include "core/owner.h"

#include <gtest/gtest.h>

#include "test/core/story.h"

namespace recover::core {
namespace {

Policy unit_policy() {
  ServicePolicy service = run_service("web", {}, 0);
  service.spec = SystemdSpec{.unit = "web.service", .limits = {}};
  return story_policy({service});
}

OwnerReported told(OwnerVerdict verdict, std::int64_t pid = 0) {
  OwnerReported event;
  event.service = kFirst;
  event.verdict = verdict;
  event.incarnation = {pid, pid == 0 ? 0U : 1U};
  event.within = seconds{20};
  event.detail = "it ended";
  return event;
}

bool has(const std::vector<Notice>& notices, std::string_view type) {
  return std::ranges::any_of(notices, [type](const Notice& each) { return each.type == type; });
}
std::size_t restarts(const Story& story) {
  return static_cast<std::size_t>(
      std::ranges::count(story.sent, ActionKind::Restart, &Command::action));
}

TEST(Owner, WhatItKeepsUpIsHealthy) {
  Story story(unit_policy());
  story.tell(told(OwnerVerdict::Up, 7));
  EXPECT_EQ(story.state().services[0].state, ServiceState::Healthy);
  EXPECT_FALSE(story.tell(told(OwnerVerdict::Up, 7)).changed);
}

TEST(Owner, WhatItDoesNotHealIsRecovered) {
  Story story(unit_policy());
  story.tell(told(OwnerVerdict::Up, 7));
  story.tell(told(OwnerVerdict::Failed));
  EXPECT_EQ(restarts(story), 1U);
}

TEST(Owner, WhatItHealsIsLeftAlone) {
  Story story(unit_policy());
  story.tell(told(OwnerVerdict::Up, 7));
  story.tell(told(OwnerVerdict::Healing));
  EXPECT_EQ(story.state().services[0].state, ServiceState::Starting);
  EXPECT_TRUE(has(story.notices, "service:healing"));
  story.pass(seconds{10});
  story.tell(told(OwnerVerdict::Up, 8));
  EXPECT_EQ(story.state().services[0].state, ServiceState::Healthy);
  EXPECT_EQ(restarts(story), 0U);
  EXPECT_TRUE(story.state().incidents.empty());
}

TEST(Owner, AHealingThatTakesTooLongIsOurs) {
  Story story(unit_policy());
  story.tell(told(OwnerVerdict::Up, 7));
  story.tell(told(OwnerVerdict::Healing));
  story.pass(seconds{19});
  EXPECT_EQ(restarts(story), 0U);
  story.pass(seconds{2});
  EXPECT_EQ(restarts(story), 1U);
}

TEST(Owner, AnIncidentWaitsWhileItHeals) {
  Policy policy = unit_policy();
  policy.services[0].probes.push_back(tcp_probe());
  Story story(policy);
  story.tell(told(OwnerVerdict::Up, 7));
  story.probe_all(kFirst, true);
  story.tell(told(OwnerVerdict::Healing));
  story.probe_all(kFirst, false);
  EXPECT_EQ(restarts(story), 0U);
}

TEST(Owner, HealingAgainAndAgainIsFlapping) {
  Story story(unit_policy());
  for (std::int64_t pid = 1; pid < 8; ++pid) {
    story.tell(told(OwnerVerdict::Up, pid));
    story.tell(told(OwnerVerdict::Healing));
    story.pass(seconds{1});
  }
  EXPECT_TRUE(has(story.notices, "service:flapping"));
  EXPECT_EQ(restarts(story), 0U);
}

TEST(Owner, WhatSomebodyStopsIsNotStarted) {
  Story story(unit_policy());
  story.tell(told(OwnerVerdict::Up, 7));
  story.tell(told(OwnerVerdict::Stopped));
  EXPECT_EQ(story.state().services[0].state, ServiceState::Stopped);
  EXPECT_EQ(restarts(story), 0U);
  story.tell(told(OwnerVerdict::Up, 8));
  EXPECT_EQ(story.state().services[0].state, ServiceState::Healthy);
}

TEST(Owner, LostSaysNothingBad) {
  Story story(unit_policy());
  story.tell(told(OwnerVerdict::Up, 7));
  story.tell(told(OwnerVerdict::Lost));
  EXPECT_EQ(story.state().services[0].state, ServiceState::Unknown);
  EXPECT_TRUE(story.state().incidents.empty());
  story.tell(told(OwnerVerdict::Up, 7));
  EXPECT_EQ(story.state().services[0].state, ServiceState::Healthy);
  EXPECT_TRUE(story.sent.empty());
}

TEST(Owner, OurOwnServicesAreNotItsBusiness) {
  Story story(story_policy({run_service("web", {}, 0)}));
  EXPECT_FALSE(story.tell(told(OwnerVerdict::Up, 7)).changed);
}

}  // namespace
}  // namespace recover::core
