#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include <fstream>

#include "adapters/resource/limits_effector.h"
#include "test/servers/child.h"
#include "test/step_command.h"

namespace recover::adapters::resource {
namespace {

using core::CommandOutcome;
using Amount = std::optional<std::uint64_t>;

// A folder with the files of a cgroup, as the kernel would show them.
class Limits : public testing::Test {
 protected:
  Limits() {
    dir_.write("memory.max", "1000000\n");
    dir_.write("cpu.max", "max 100000\n");
    dir_.write("pids.max", "100\n");
    core::RunSpec run;
    run.limits.memory = 1'000'000;
    run.limits.pids = 100;
    service_.spec = run;
  }
  core::CommandFinished perform(const core::AdjustLimitsAction& action,
                                std::vector<std::string> leaves) {
    auto [policy, command] = test::step_command(core::ActionKind::AdjustLimits, action);
    policy.services = {service_};
    boost::asio::io_context loop;
    boost::asio::thread_pool pool(1);
    const auto effector = make_adjust_limits(
        {.loop = loop, .pool = pool, .now = [] { return std::chrono::steady_clock::now(); }},
        [leaves](core::ServiceIndex) { return leaves; });
    std::vector<core::CommandFinished> ended;
    effector->perform(command, policy, [&](core::CommandFinished f) { ended.push_back(f); });
    loop.run();
    return ended.at(0);
  }
  core::CommandFinished perform(const core::AdjustLimitsAction& action) {
    return perform(action, {dir_.path()});
  }
  std::string first_word(const std::string& file) const {
    std::string word;
    std::ifstream(dir_ / file) >> word;
    return word;
  }

  test::TempDir dir_;
  core::ServicePolicy service_;
};

TEST_F(Limits, MoveWithinWhatIsDeclaredAndBack) {
  core::AdjustLimitsAction more;
  more.by = 2.0;
  more.memory_max = 3'000'000;
  const auto first = perform(more);
  EXPECT_EQ(first.outcome, CommandOutcome::Done) << first.detail;
  EXPECT_EQ(first_word("memory.max"), "2000000");
  EXPECT_EQ(first_word("pids.max"), "100");  // Not declared, so left alone.
  EXPECT_EQ(perform(more).outcome, CommandOutcome::Done);
  EXPECT_EQ(first_word("memory.max"), "3000000");
  EXPECT_EQ(perform(more).outcome, CommandOutcome::Refused);
  core::AdjustLimitsAction back;
  back.reset = true;
  EXPECT_EQ(perform(back).outcome, CommandOutcome::Done);
  EXPECT_EQ(first_word("memory.max"), "1000000");
  EXPECT_EQ(first_word("cpu.max"), "max");
  EXPECT_EQ(perform(back).outcome, CommandOutcome::Done);  // Undoing twice is nothing.
}

TEST_F(Limits, UndeclaredMeansUpToTwiceWhatIsConfigured) {
  core::AdjustLimitsAction more;
  more.by = 1.5;
  EXPECT_EQ(perform(more).outcome, CommandOutcome::Done);
  EXPECT_EQ(first_word("memory.max"), "1500000");
  EXPECT_EQ(first_word("pids.max"), "150");
  EXPECT_EQ(first_word("cpu.max"), "max");
  EXPECT_EQ(perform(more).outcome, CommandOutcome::Done);
  EXPECT_EQ(first_word("memory.max"), "2000000");
  EXPECT_EQ(perform(more).outcome, CommandOutcome::Refused);
}

TEST_F(Limits, WithoutCgroupOrRightNothingIsClaimed) {
  EXPECT_EQ(perform({}, {}).outcome, CommandOutcome::Refused);
  EXPECT_EQ(perform({}, {""}).outcome, CommandOutcome::Refused);
  core::AdjustLimitsAction less;
  less.by = 0.5;
  less.cpu_max = 1.0;
  less.cpu_min = 0.5;
  EXPECT_EQ(perform(less).outcome, CommandOutcome::Done);  // Unlimited comes down to the max.
  EXPECT_EQ(first_word("cpu.max"), "100000");
  service_.spec = core::ObserveSpec{};
  EXPECT_EQ(perform(less).outcome, CommandOutcome::Refused);
}

TEST(Adjusted, StaysBetweenAndNeverTurnsBack) {
  EXPECT_EQ(adjusted(100, 1.5, {}, 120), Amount(120));
  EXPECT_EQ(adjusted(100, 1.5, {}, 500), Amount(150));
  EXPECT_EQ(adjusted(100, 1.5, {}, 80), Amount(100));  // Above already: more is not less.
  EXPECT_EQ(adjusted(100, 0.5, 70, {}), Amount(70));
  EXPECT_EQ(adjusted(100, 0.5, 200, {}), Amount(100));
  EXPECT_EQ(adjusted(100, 0.5, {}, 500), Amount(100));  // No min: not lowered.
  EXPECT_EQ(adjusted({}, 1.5, {}, 500), Amount());
  EXPECT_EQ(adjusted({}, 0.5, {}, 500), Amount(500));
  EXPECT_EQ(adjusted(100, 2.0, {}, {}), Amount());
}

}  // namespace
}  // namespace recover::adapters::resource
