#include "adapters/pattern/pattern_watch.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace recover::adapters::pattern {
namespace {

using core::PatternSeen;
using core::ServiceIndex;

core::PatternPolicy pattern(std::string id, std::string text) {
  core::PatternPolicy policy;
  policy.id = std::move(id);
  policy.pattern = std::move(text);
  return policy;
}

class PatternWatchTest : public testing::Test {
 protected:
  PatternWatchTest() {
    policy_.patterns = {pattern("timeout", "timeout|ETIMEDOUT"), pattern("refused", "(?i)refused"),
                        pattern("anchored", "^FATAL: .* gone$")};
    watch_.watch(policy_);
  }
  // What was told of, in order: pattern and text.
  std::vector<std::pair<std::uint32_t, std::string>> told() {
    std::vector<std::pair<std::uint32_t, std::string>> out;
    for (const PatternSeen& seen : seen_) out.emplace_back(seen.pattern.value, seen.text);
    seen_.clear();
    return out;
  }
  using Told = std::vector<std::pair<std::uint32_t, std::string>>;

  core::Policy policy_;
  Instant now_{std::chrono::hours{1}};
  std::vector<PatternSeen> seen_;
  PatternWatch watch_{
      [this](const core::Event& event) { seen_.push_back(std::get<PatternSeen>(event)); },
      [this] { return now_; }};
};

TEST_F(PatternWatchTest, TellsEachPatternThatALineMatches) {
  watch_.read(ServiceIndex{3}, "all is well");
  EXPECT_EQ(told(), Told());
  watch_.read(ServiceIndex{3}, "connect: ETIMEDOUT, then Refused");
  ASSERT_EQ(seen_.size(), 2U);
  EXPECT_EQ(seen_[0].service, ServiceIndex{3});
  EXPECT_EQ(told(), (Told{{0, "connect: ETIMEDOUT, then Refused"},
                          {1, "connect: ETIMEDOUT, then Refused"}}));
}

TEST_F(PatternWatchTest, LooksAtEachLineOfAText) {
  watch_.read(std::nullopt, "a\nFATAL: the disk is gone\nb");
  EXPECT_EQ(told(), (Told{{2, "FATAL: the disk is gone"}}));
}

TEST_F(PatternWatchTest, AFloodIsOneEventASecondForEachService) {
  for (int line = 0; line < 1'000; ++line) watch_.read(ServiceIndex{0}, "timeout");
  for (int line = 0; line < 1'000; ++line) watch_.read(ServiceIndex{1}, "timeout");
  EXPECT_EQ(told().size(), 2U);
  now_ += kPause;
  watch_.read(ServiceIndex{0}, "timeout");
  EXPECT_EQ(told().size(), 1U);
}

TEST_F(PatternWatchTest, LinesAreBounded) {
  watch_.read(ServiceIndex{0}, std::string(kLineMax, 'x') + "timeout");
  EXPECT_EQ(told(), Told());
  watch_.read(ServiceIndex{0}, "timeout" + std::string(kLineMax, 'x'));
  ASSERT_EQ(seen_.size(), 1U);
  EXPECT_EQ(seen_[0].text.size(), kLineMax);
}

TEST_F(PatternWatchTest, GoesOnUnderAnotherPolicy) {
  policy_.patterns = {pattern("other", "xyz")};
  watch_.watch(policy_);
  watch_.read(ServiceIndex{0}, "timeout");
  EXPECT_EQ(told(), Told());
  watch_.read(ServiceIndex{0}, "xyz");
  EXPECT_EQ(told(), (Told{{0, "xyz"}}));
  policy_.patterns.clear();
  watch_.watch(policy_);
  watch_.read(ServiceIndex{0}, "xyz");
  EXPECT_EQ(told(), Told());
}

}  // namespace
}  // namespace recover::adapters::pattern
