#include "api/pattern_text.h"

#include <gtest/gtest.h>

#include <string>

namespace recover::api {
namespace {

const std::string kItem = R"({"id":"new","pattern":"x"})";

TEST(PatternText, IsAddedWhereverTheListStands) {
  EXPECT_EQ(with_pattern("version: 1", kItem).value(),
            "version: 1\npatterns:\n  - " + kItem + "\n");
  EXPECT_EQ(with_pattern("patterns: []  # none\n", kItem).value(),
            "patterns: [" + kItem + "]  # none\n");
  EXPECT_EQ(with_pattern("patterns: [{id: a, pattern: b}]\n", kItem).value(),
            "patterns: [" + kItem + ", {id: a, pattern: b}]\n");
  EXPECT_EQ(with_pattern("patterns:\n# kept\n- {id: a, pattern: b}\nversion: 1\n", kItem).value(),
            "patterns:\n# kept\n- " + kItem + "\n- {id: a, pattern: b}\nversion: 1\n");
  EXPECT_EQ(with_pattern("patterns:\nversion: 1\n", kItem).value(),
            "patterns:\n  - " + kItem + "\nversion: 1\n");
  EXPECT_FALSE(with_pattern("patterns: 3\n", kItem).has_value());
}

TEST(PatternText, IsTakenOutAndNothingElse) {
  const std::string yaml =
      "patterns:   # ours\n  - id: first\n    pattern: \"a: b\"\n  # kept\n"
      "  - {id: first_two, pattern: c}\n\nservices: {}\n";
  EXPECT_EQ(without_pattern(yaml, "first").value(),
            "patterns:   # ours\n  # kept\n  - {id: first_two, pattern: c}\n\nservices: {}\n");
  EXPECT_EQ(without_pattern(yaml, "first_two").value(),
            "patterns:   # ours\n  - id: first\n    pattern: \"a: b\"\n  # kept\n\nservices: {}\n");
  EXPECT_FALSE(without_pattern(yaml, "fir").has_value());
  EXPECT_FALSE(without_pattern("patterns: [{id: a}]\n", "a").has_value());
  EXPECT_FALSE(without_pattern("version: 1\n", "a").has_value());
}

TEST(PatternText, LastOneTakenOutLeavesAnEmptyList) {
  const std::string added = with_pattern("version: 1\n", kItem).value();
  EXPECT_EQ(without_pattern(added, "new").value(), "version: 1\npatterns: []\n");
  EXPECT_EQ(with_pattern("version: 1\npatterns: []\n", kItem).value(),
            "version: 1\npatterns: [" + kItem + "]\n");
}

}  // namespace
}  // namespace recover::api
