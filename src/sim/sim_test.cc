// A few hundred histories of the real core in a simulated world.
#include <gtest/gtest.h>

#include <bit>
#include <sstream>
#include <string>

#include "sim/campaign.h"

namespace recover::sim {
namespace {

TEST(Simulator, ThreeHundredHistoriesViolateNothing) {
  const CampaignResult result = run_campaign({.first = 1, .last = 300});
  ASSERT_FALSE(result.violation.has_value())
      << result.violation->id << ": " << result.violation->what << "\n"
      << describe(*result.failing);
  EXPECT_EQ(result.histories, 300U);
  EXPECT_GT(result.events, 50'000U);
}

TEST(Simulator, SameSeedGivesTheSameHash) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Scenario scenario = scenario_of(seed);
    const HistoryResult once = run_history(scenario);
    const HistoryResult again = run_history(scenario, 30);  // Watching changes nothing.
    EXPECT_EQ(once.hash, again.hash) << "seed " << seed;
    EXPECT_LE(again.trace.size(), 30U);
  }
}

TEST(Simulator, TheJournalsRealJsonGivesTheSameHash) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Scenario scenario = scenario_of(seed);
    EXPECT_EQ(run_history(scenario).hash, run_history_in_json(scenario).hash) << "seed " << seed;
  }
}

TEST(Simulator, WallClockJumpsChangeNothing) {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    const Scenario jumping = scenario_of(seed);
    Scenario calm = jumping;
    calm.faults &= ~(1U << static_cast<std::uint32_t>(Fault::WallClock));
    EXPECT_EQ(run_history(jumping).hash_without_wall, run_history(calm).hash_without_wall)
        << "seed " << seed;
  }
}

TEST(Simulator, OneSeedPrintsItsHash) {
  std::ostringstream first;
  std::ostringstream second;
  EXPECT_EQ(run({.first = 7, .last = 7}, first), 0);
  EXPECT_EQ(run({.first = 7, .last = 7}, second), 0);
  EXPECT_NE(first.str().find("trace hash"), std::string::npos);
  EXPECT_EQ(first.str(), second.str());
}

TEST(Shrinking, APlantedBugIsFoundAndMadeSmall) {
  Scenario planted = scenario_of(8);  // A large one.
  planted.effects_twice = true;
  for (; !run_history(planted).violation; planted.seed += 8) ASSERT_LT(planted.seed, 800U);
  ASSERT_EQ(run_history(planted).violation->id, "I02");
  const Scenario small = shrink(planted, "I02");
  const HistoryResult again = run_history(small);
  ASSERT_TRUE(again.violation.has_value());
  EXPECT_EQ(again.violation->id, "I02");
  EXPECT_LT(std::popcount(small.faults), std::popcount(planted.faults)) << describe(small);
  EXPECT_LT(small.services_max, planted.services_max);
  EXPECT_LT(again.events, run_history(planted).events + 1);
}

TEST(Shrinking, WithoutTheBugNothingIsFound) {
  Scenario honest = scenario_of(8);
  EXPECT_FALSE(run_history(honest).violation.has_value());
}

TEST(Campaign, AGoalThatWasMissedIsNamedAndFails) {
  CampaignResult result;
  result.histories = kGoalsFrom;
  result.goals.seen.fill(1);
  EXPECT_TRUE(missed_goals(result).empty());
  result.goals.seen[static_cast<std::size_t>(Goal::LearningDemoted)] = 0;
  ASSERT_EQ(missed_goals(result).size(), 1U);
  EXPECT_EQ(missed_goals(result).front(), Goal::LearningDemoted);
  // No crash of recoverd, no goal about crashes.
  std::ostringstream out;
  const std::uint32_t calm = kAllFaults & ~(1U << static_cast<std::uint32_t>(Fault::EngineCrash));
  EXPECT_EQ(run({.first = 1, .last = kGoalsFrom, .faults = calm}, out), 1);
  EXPECT_NE(out.str().find("never seen: during rollback"), std::string::npos);
}

TEST(Campaign, PrintsOneJsonObject) {
  std::ostringstream out;
  EXPECT_EQ(run({.first = 7, .last = 9, .json = true}, out), 0);
  EXPECT_TRUE(out.str().starts_with("{\"first_seed\":7,\"histories\":3,"));
  EXPECT_NE(out.str().find("\"violation\":null}"), std::string::npos);
}

}  // namespace
}  // namespace recover::sim
