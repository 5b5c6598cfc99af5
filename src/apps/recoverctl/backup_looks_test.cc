// find, diff, dump, copy, key and cat, each beside what restic says of the same repository.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "test/restic.h"
#include "test/temp_folder.h"

namespace recover::apps {
namespace {

// Two snapshots by restic; both programs look at them.
class BackupLooks : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::Restic::is_installed()) GTEST_SKIP() << "restic is not installed";
    test::spill(folder_ / "data/etc/one.conf", "one\n");
    test::spill(folder_ / "data/etc/two.conf", std::string(70'000, '2'));
    test::spill(folder_ / "data/old/gone", "gone");
    test::spill(folder_ / "password", " secret\n");
    test::spill(folder_ / "other", "another\n");
    ASSERT_TRUE(restic_.run("init") && restic_.run("backup '" + folder_ / "data" + "'"))
        << restic_.output;
    first_ = newest();
    test::spill(folder_ / "data/etc/one.conf", "changed\n");
    test::spill(folder_ / "data/new/come", "come");
    std::filesystem::remove_all(folder_ / "data/old");
    ASSERT_TRUE(restic_.run("backup '" + folder_ / "data" + "'")) << restic_.output;
    second_ = newest();
  }

  // The exit code; `out_` has what it printed.
  int run(const std::string& arguments, const std::string& password = "password") {
    const std::string command = std::string(APP_UNDER_TEST) + " backup " + arguments + " --repo '" +
                                restic_.repository + "' --password-file '" + folder_ / password +
                                "' >'" + folder_ / "out" + "' 2>'" + folder_ / "err" + "'";
    const int status = std::system(command.c_str());
    out_ = test::slurp(folder_ / "out");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  std::size_t snapshots() {
    EXPECT_TRUE(restic_.run("list snapshots --quiet")) << restic_.output;
    return static_cast<std::size_t>(std::count(restic_.output.begin(), restic_.output.end(), '\n'));
  }
  std::string newest() {
    EXPECT_TRUE(restic_.run("snapshots --latest 1 --json")) << restic_.output;
    const std::size_t at = restic_.output.rfind("\"id\":\"");
    return restic_.output.substr(at + 6, 64);
  }
  // The lines that begin like that, sorted.
  static std::vector<std::string> lines(const std::string& text, const std::string& begin) {
    std::vector<std::string> found;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) {
      if (line.find(begin) == 0) found.push_back(line);
    }
    std::sort(found.begin(), found.end());
    return found;
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  test::Restic restic_{folder_};
  std::string first_;
  std::string second_;
  std::string out_;
};

TEST_F(BackupLooks, FindsWhatResticFinds) {
  ASSERT_EQ(run("find '*.conf'"), 0);
  ASSERT_TRUE(restic_.run("find '*.conf'")) << restic_.output;
  EXPECT_EQ(lines(out_, "/").size(), 4U) << "two in each snapshot";
  EXPECT_EQ(lines(out_, "/"), lines(restic_.output, "/"));
  EXPECT_EQ(run("find nowhere"), 4);
  ASSERT_EQ(run("find gone --json --snapshot " + first_.substr(0, 8)), 0);
  EXPECT_NE(out_.find("\"hits\":1"), std::string::npos) << out_;
}

TEST_F(BackupLooks, TellsTheDifferencesThatResticTells) {
  ASSERT_EQ(run("diff " + first_ + " " + second_), 0);
  ASSERT_TRUE(restic_.run("diff " + first_ + " " + second_)) << restic_.output;
  for (const char* const letter : {"+ ", "- ", "M "}) {
    EXPECT_FALSE(lines(out_, letter).empty());
    EXPECT_EQ(lines(out_, letter), lines(restic_.output, letter));
  }
}

TEST_F(BackupLooks, DumpsAFileOfAnySnapshot) {
  ASSERT_EQ(run("dump " + first_ + " '" + folder_ / "data/etc/one.conf" + "'"), 0);
  EXPECT_EQ(out_, "one\n");
  ASSERT_EQ(run("dump latest '" + folder_ / "data/etc/two.conf" + "'"), 0);
  EXPECT_EQ(out_, std::string(70'000, '2'));
  EXPECT_EQ(run("dump latest '" + folder_ / "data/old/gone" + "'"), 4);
  EXPECT_EQ(run("dump latest '" + folder_ / "data" + "'"), 2);
}

TEST_F(BackupLooks, CatsWhatResticCats) {
  const std::vector<std::string> kObjects = {"config", "snapshot " + first_, "masterkey"};
  const auto compact = [](std::string text) {
    std::erase_if(text, [](char c) { return c == ' ' || c == '\n'; });
    return text;
  };
  for (const std::string& object : kObjects) {
    ASSERT_EQ(run("cat " + object), 0) << object;
    ASSERT_TRUE(restic_.run("cat " + object)) << restic_.output;
    EXPECT_EQ(compact(out_), compact(restic_.output)) << object;
  }
  ASSERT_TRUE(restic_.run("list index")) << restic_.output;
  ASSERT_EQ(run("cat index " + restic_.output.substr(0, 64)), 0);
  EXPECT_EQ(out_.find("{\"packs\":["), 0U) << out_;
  EXPECT_EQ(run("cat nonsense"), 2);
}

TEST_F(BackupLooks, AKeyOfOursOpensForResticAndGoesAgain) {
  ASSERT_EQ(run("key add --new-password-file '" + folder_ / "other" + "'"), 0);
  ASSERT_EQ(run("key list", "other"), 0);
  EXPECT_EQ(lines(out_, "").size(), 3U) << out_;
  ASSERT_TRUE(restic_.run("key list --password-file '" + folder_ / "other" + "'"))
      << restic_.output;
  const std::size_t at = restic_.output.find('*');
  ASSERT_NE(at, std::string::npos) << restic_.output;
  const std::string id = restic_.output.substr(at + 1, 8);
  EXPECT_EQ(run("key remove " + id, "other"), 6) << "the key in use";
  ASSERT_EQ(run("key remove " + id), 0);
  EXPECT_EQ(run("key list", "other"), 3);
  ASSERT_EQ(run("key list"), 0);
  const std::vector<std::string> left = lines(out_, "");  // A title and a key, in either order.
  const std::string last = left.front().find("ID") == 0 ? left.back() : left.front();
  EXPECT_EQ(run("key remove " + last.substr(0, 8)), 6) << "the last key";
}

TEST_F(BackupLooks, CopiesWhatTheOtherDoesNotHave) {
  test::Restic other(folder_);
  other.repository = folder_ / "second";
  ASSERT_TRUE(other.run("init")) << other.output;
  const std::string copy = "copy --json --to '" + folder_ / "second" + "'";
  ASSERT_EQ(run(copy), 0);
  EXPECT_NE(out_.find("\"snapshots\":2"), std::string::npos) << out_;
  EXPECT_TRUE(other.run("check --read-data")) << other.output;
  ASSERT_TRUE(other.run("dump latest '" + folder_ / "data/etc/one.conf" + "'"));
  EXPECT_EQ(other.output, "changed\n");
  ASSERT_EQ(run(copy), 0);
  EXPECT_NE(out_.find("\"skipped\":2"), std::string::npos) << out_;
}

TEST_F(BackupLooks, ATypeIsPrunedFoundAndCopiedAlone) {
  const std::string data = " '" + folder_ / "data/etc" + "'";
  for (const char* const which : {"--tag etc", "--tag etc", "--tag etc --host elsewhere"}) {
    ASSERT_TRUE(restic_.run("backup " + std::string(which) + data)) << restic_.output;
  }
  ASSERT_EQ(run("find one.conf --json --type etc"), 0);
  EXPECT_EQ(lines(out_, "/").size(), 0U);
  std::size_t hits = 0;
  for (std::size_t at = 0; (at = out_.find("\"hits\"", at)) != std::string::npos; ++at) ++hits;
  EXPECT_EQ(hits, 3U) << out_;
  test::Restic other(folder_);
  other.repository = folder_ / "second";
  ASSERT_TRUE(other.run("init")) << other.output;
  ASSERT_EQ(run("copy --json --type etc --to '" + folder_ / "second" + "'"), 0);
  EXPECT_NE(out_.find("\"snapshots\":3"), std::string::npos) << out_;
  // Of five snapshots one goes: that of this type and this host which is not its newest.
  ASSERT_EQ(run("prune --type etc --keep-last 1"), 0);
  EXPECT_EQ(snapshots(), 4U);
}

TEST_F(BackupLooks, ReadsAPartOfTheData) {
  for (const char* part : {"1/3", "50%", "1M"}) {
    ASSERT_EQ(run(std::string("verify --json --read-data-subset ") + part), 0) << out_;
    EXPECT_NE(out_.find("\"sound\":true"), std::string::npos) << out_;
  }
  for (const char* part : {"0/3", "4/3", "150%", "much", "1/3/4"}) {
    EXPECT_EQ(run(std::string("verify --read-data-subset ") + part), 2) << part;
  }
}

}  // namespace
}  // namespace recover::apps
