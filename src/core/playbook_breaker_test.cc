// A playbook that keeps failing is taken out: for the service it fails for, and for all once it
// failed for several. One broken service does not take it from the others.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/learning.h"
#include "core/migrate.h"
#include "core/operators.h"
#include "core/plan.h"
#include "core/snapshot.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

constexpr PlaybookIndex kBook{0};
constexpr ServiceIndex kThird{2};

// Three services that share a playbook, whose recoveries end as the test says.
struct Clinic {
  Policy policy = story_policy({run_service("web"), run_service("shop"), run_service("mail")});
  State state = initial_state(policy, Instant{});
  Output output;

  Clinic() {
    for (std::uint64_t id = 1; id <= 3; ++id) {
      Incident incident;
      incident.id = IncidentId{id};
      incident.service = ServiceIndex{static_cast<std::uint32_t>(id - 1)};
      incident.symptoms = {Symptom::ProcessCrash};
      state.incidents.emplace(incident.id, incident);
    }
  }
  void lesson(ServiceIndex service, bool succeeded) {
    Recovery recovery;
    recovery.service = service;
    recovery.incident = IncidentId{service.value + 1U};
    Turn turn{.policy = policy, .state = state, .now = Instant{}, .out = output};
    learn(turn, recovery, succeeded);
  }
  void fail(ServiceIndex service, int times) {
    for (int i = 0; i < times; ++i) lesson(service, false);
  }
  void reset(OperatorResetBreaker event) {
    Turn turn{.policy = policy, .state = state, .now = Instant{}, .out = output};
    on_reset_breaker(turn, event);
  }
  const PlaybookHealth& book() const { return state.playbooks[0]; }
  bool usable(ServiceIndex service) const {
    return choose_playbook(policy, state, state.incidents.at(IncidentId{service.value + 1U}))
        .playbook.has_value();
  }
  std::vector<std::string> said(std::string_view type) const {
    std::vector<std::string> messages;
    for (const Notice& notice : output.notices) {
      if (notice.type == type) messages.push_back(notice.message);
    }
    return messages;
  }
};

TEST(PlaybookBreaker, OneBrokenServiceDoesNotTakeItFromTheOthers) {
  Clinic clinic;
  clinic.fail(kFirst, 4);
  EXPECT_TRUE(clinic.usable(kFirst));
  clinic.fail(kFirst, 1);
  EXPECT_FALSE(clinic.usable(kFirst));
  EXPECT_TRUE(clinic.usable(kSecond));
  clinic.fail(kSecond, 1);
  EXPECT_FALSE(clinic.book().breaker_open) << "five of one and one of another are no fleet";
  const auto said = clinic.said("playbook:breaker_open");
  ASSERT_EQ(said.size(), 1U);
  EXPECT_NE(said[0].find("for web"), std::string::npos) << said[0];
  EXPECT_NE(said[0].find("recoverctl breaker reset web"), std::string::npos) << said[0];
}

TEST(PlaybookBreaker, OpensForAllWhenItFailsForSeveral) {
  Clinic clinic;
  clinic.fail(kFirst, 2);
  clinic.fail(kSecond, 2);
  EXPECT_TRUE(clinic.usable(kThird));
  clinic.fail(kThird, 1);
  EXPECT_TRUE(clinic.book().breaker_open);
  EXPECT_FALSE(clinic.usable(kFirst));
  EXPECT_FALSE(clinic.usable(kThird));
  EXPECT_EQ(clinic.said("playbook:breaker_open").size(), 1U);
}

TEST(PlaybookBreaker, ASuccessEndsTheRowOfAllButNotThatOfAnotherService) {
  Clinic clinic;
  clinic.fail(kFirst, 4);
  clinic.fail(kSecond, 2);
  clinic.lesson(kThird, true);
  EXPECT_EQ(clinic.book().failures_in_row, 0U);
  clinic.fail(kFirst, 1);
  EXPECT_FALSE(clinic.usable(kFirst)) << "it never helped web";
  clinic.lesson(kSecond, true);
  EXPECT_FALSE(clinic.usable(kFirst)) << "only a person closes it";
}

TEST(PlaybookBreaker, ThresholdOneMeansTheFirstFailureOfAny) {
  Clinic clinic;
  clinic.policy.safety.playbook_breaker_threshold = 1;
  clinic.fail(kFirst, 1);
  EXPECT_FALSE(clinic.usable(kSecond));
}

TEST(PlaybookBreaker, AResetOfTheServiceGivesItBackToIt) {
  Clinic clinic;
  clinic.policy.learning.enabled = false;
  clinic.fail(kFirst, 5);
  clinic.fail(kSecond, 5);
  clinic.reset({.service = kFirst, .playbook = {}, .actor = "ann"});
  EXPECT_TRUE(clinic.usable(kFirst));
  EXPECT_FALSE(clinic.usable(kSecond));
  EXPECT_EQ(clinic.book().failures_in_row, 2U);
  clinic.reset({.service = {}, .playbook = kBook, .actor = "ann"});
  EXPECT_TRUE(clinic.usable(kSecond));
  EXPECT_EQ(clinic.said("operator:reset_breaker").size(), 2U);
}

TEST(PlaybookBreaker, OneServiceDoesNotGetItDemotedForAll) {
  Clinic clinic;
  clinic.policy.safety.playbook_breaker_threshold = 1'000;
  clinic.policy.learning.min_samples = 10;
  clinic.fail(kFirst, 40);
  EXPECT_FALSE(clinic.book().demoted);
  clinic.fail(kSecond, 5);
  EXPECT_TRUE(clinic.book().demoted);
}

TEST(PlaybookBreaker, WhatStoodInTheWaySaysHowItEnds) {
  Clinic clinic;
  clinic.fail(kFirst, 5);
  const Choice here = choose_playbook(clinic.policy, clinic.state, clinic.state.incidents.at({1}));
  EXPECT_NE(here.obstacle.find("`recoverctl breaker reset web`"), std::string::npos)
      << here.obstacle;
  clinic.fail(kSecond, 2);
  clinic.fail(kThird, 1);
  const Choice all = choose_playbook(clinic.policy, clinic.state, clinic.state.incidents.at({1}));
  EXPECT_NE(all.obstacle.find("`recoverctl breaker reset web --playbook restart`"),
            std::string::npos)
      << all.obstacle;
}

TEST(PlaybookBreaker, AnotherPolicyKeepsTheRowsOfTheServicesItKnows) {
  Clinic clinic;
  clinic.fail(kFirst, 2);
  clinic.fail(kSecond, 5);
  const Policy next = story_policy({run_service("mail"), run_service("shop")});
  const State moved = migrate(clinic.policy, clinic.state, next, Instant{});
  EXPECT_EQ(moved.playbooks[0].failures_in_row, 2U);
  ASSERT_EQ(moved.playbooks[0].rows.size(), 1U);
  EXPECT_TRUE(is_open_for(moved.playbooks[0], kSecond));
}

TEST(PlaybookBreaker, SurvivesASnapshot) {
  const Policy policy = story_policy({run_service("web"), run_service("shop")});
  State state = initial_state(policy, Instant{});
  state.playbooks[0].rows[kSecond] = {.failures = 5, .counted = 2, .breaker_open = true};
  const auto restored = read_snapshot(policy, write_snapshot(policy, state, kNever));
  ASSERT_TRUE(restored.has_value());
  EXPECT_TRUE(is_open_for(restored->state.playbooks[0], kSecond));
  EXPECT_FALSE(is_open_for(restored->state.playbooks[0], kFirst));
}

// Version 2 had no rows: four bytes of their count less for each playbook. (Nor had it crashes of
// instances, which a service that is somebody else's has none of.)
TEST(PlaybookBreaker, ASnapshotOfTheVersionBeforeIsRead) {
  ServicePolicy seen = run_service("web");
  seen.spec = ObserveSpec{.pid_file = "/run/web.pid", .match = "", .name = "", .exe = ""};
  const Policy policy = story_policy({seen});
  State state = initial_state(policy, Instant{});
  state.playbooks[0].failures_in_row = 0x51525354;
  std::string bytes = write_snapshot(policy, state, kNever);
  const std::size_t row = bytes.find("TSRQ");
  ASSERT_NE(row, std::string::npos);
  bytes.erase(row + 4 + 2, 4);  // After the number and two flags.
  bytes[4] = 2;
  const auto restored = read_snapshot(policy, bytes);
  ASSERT_TRUE(restored.has_value()) << restored.error();
  EXPECT_EQ(restored->state.playbooks[0].failures_in_row, 0x51525354U);
}

}  // namespace
}  // namespace recover::core
