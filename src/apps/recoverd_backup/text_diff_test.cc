// Differences as `diff -u` writes them; patch(1) is the judge of any two texts.
#include "apps/recoverd_backup/text_diff.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include <recover/random.h>

#include "test/restic.h"

namespace recover::apps {
namespace {

TEST(TextDiff, IsThatOfDiffU) {
  EXPECT_EQ(unified_diff("same\n", "a", "same\n", "b"), "");
  EXPECT_EQ(unified_diff("1\n2\n3\n4\n5\n6\n7\n8\n9\n", "a", "1\n2\n3\n4\nfive\n6\n7\n8\n9\n", "b"),
            "--- a\n+++ b\n@@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n");
  EXPECT_EQ(unified_diff("", "/dev/null", "x\n", "b"), "--- /dev/null\n+++ b\n@@ -0,0 +1 @@\n+x\n");
  EXPECT_EQ(unified_diff("x", "a", "x\n", "b"),
            "--- a\n+++ b\n@@ -1 +1 @@\n-x\n\\ No newline at end of file\n+x\n");
}

std::string some_text(Random& random) {
  std::string text;
  for (std::uint64_t lines = random.next() % 30; lines > 0; --lines) {
    text += std::string(1, static_cast<char>('a' + random.next() % 4)) + "\n";
  }
  return text;
}

TEST(TextDiff, PatchMakesTheOtherOfIt) {
  if (std::system("patch --version >/dev/null 2>&1") != 0) GTEST_SKIP() << "patch is not installed";
  const test::TempFolder folder{test::TempFolder::memory()};
  Random random(5);
  for (int round = 0; round < 40; ++round) {
    const std::string before = some_text(random);
    const std::string after = some_text(random);
    const std::string difference = unified_diff(before, "f", after, "f");
    if (difference.empty()) continue;
    test::spill(folder / "f", before);
    test::spill(folder / "diff", difference);
    ASSERT_EQ(
        std::system(("cd " + folder.path() + " && patch -s --posix f diff >log 2>&1").c_str()), 0)
        << test::slurp(folder / "log") << difference;
    std::string found = std::filesystem::exists(folder / "f") ? test::slurp(folder / "f") : "";
    ASSERT_EQ(found, after) << difference;
  }
}

TEST(TextDiff, TextsWithoutACommonLine) {
  std::string before;
  std::string after;
  for (std::size_t i = 0; i < kEditsMax; ++i) {
    before += "a" + std::to_string(i) + "\n";
    after += "b" + std::to_string(i) + "\n";
  }
  EXPECT_TRUE(
      unified_diff(before, "a", after, "b").starts_with("--- a\n+++ b\n@@ -1,1000 +1,1000 @@"));
}

}  // namespace
}  // namespace recover::apps
