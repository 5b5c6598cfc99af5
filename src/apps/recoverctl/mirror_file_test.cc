// Repositories of every kind on the command line, and the file that says what a mirror is.
#include "apps/recoverctl/mirror_file.h"

#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "apps/recoverctl/failure.h"
#include "test/restic.h"

namespace recover::apps {
namespace {

std::string mirror_complaint(const std::string& text) {
  try {
    parse_mirror_file("m.yaml", text);
    return "none";
  } catch (const Failure& failure) {
    return failure.what();
  }
}

TEST(MirrorFiles, NameTheirMembersInOrder) {
  const MirrorFile file =
      parse_mirror_file("m.yaml",
                        "state: /s\nmembers:\n"
                        "  emergency: {repository: /e, write: later}\n"
                        "  secondary: {repository: 's3:h/b', append_only: true}\n"
                        "  primary: /p\n");
  EXPECT_EQ(file.state, "/s");
  ASSERT_EQ(file.members.size(), 3U);
  EXPECT_EQ(file.members[0].repository, "/p");
  EXPECT_TRUE(file.members[1].append_only);
  EXPECT_FALSE(file.members[1].later);
  EXPECT_TRUE(file.members[2].later);
}

TEST(MirrorFiles, SayWhatIsWrongAndWhere) {
  EXPECT_EQ(mirror_complaint("members: {primry: /p}"),
            "m.yaml:1: \"primry\" is not known; known are primary, secondary, tertiary, emergency");
  EXPECT_EQ(mirror_complaint("members:\n  secondary: /s\n"), "m.yaml:2: there is no primary");
  EXPECT_EQ(mirror_complaint("members:\n  primary: {repository: /p, write: later}\n"),
            "m.yaml:2: the primary is never written later");
  EXPECT_EQ(mirror_complaint("members:\n  primary: {write: soon}\n"),
            "m.yaml:2: primary has no repository");
  EXPECT_EQ(mirror_complaint("members:\n  primary: {repository: /p, write: soon}\n"),
            "m.yaml:2: write: together or later");
  for (const char* const bad : {"", "members: 3", "{", "state: /s", "members: {primary: [a]}",
                                "members: {primary: {repository: /p, append_only: perhaps}}"}) {
    EXPECT_NE(mirror_complaint(bad), "none") << bad;
  }
}

class RepositoriesOnTheLine : public testing::Test {
 protected:
  void SetUp() override { test::spill(folder_ / "data/file", std::string(100'000, 'a')); }
  int run(const std::string& arguments) {
    const std::string command = "XDG_STATE_HOME='" + folder_.path() +
                                "/state' RESTIC_PASSWORD=secret " APP_UNDER_TEST " backup " +
                                arguments + " >" + (folder_ / "out") + " 2>&1";
    const int status = std::system(command.c_str());
    output_ = test::slurp(folder_ / "out");
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
  }
  void live(const std::string& repository) {
    ASSERT_EQ(run("init " + repository), 0) << output_;
    ASSERT_EQ(run("create " + repository + " " + folder_ / "data"), 0) << output_;
    EXPECT_EQ(run("list " + repository), 0) << output_;
    EXPECT_NE(output_.find(folder_ / "data"), std::string::npos) << output_;
    EXPECT_EQ(run("verify --all " + repository), 0) << output_;
    EXPECT_EQ(run("restore latest " + repository + " --to " + folder_ / "out-data"), 0) << output_;
  }
  test::TempFolder folder_{test::TempFolder::memory()};
  std::string output_;
};

TEST_F(RepositoriesOnTheLine, LieBehindSftp) {
  const std::string server = "/usr/lib/openssh/sftp-server";
  if (!std::filesystem::exists(server)) GTEST_SKIP() << "openssh-sftp-server is not installed";
  live("-o sftp.command=" + server + " -r sftp:here:" + folder_ / "repo");
  EXPECT_TRUE(std::filesystem::exists(folder_ / "repo/config"));
}

TEST_F(RepositoriesOnTheLine, LieInMirrors) {
  test::spill(folder_ / "m.yaml",
              "members: {primary: " + folder_ / "one" + ", secondary: " + folder_ / "two" + "}\n");
  const std::string mirror = "-r mirror:" + folder_ / "m.yaml";
  live(mirror);
  EXPECT_EQ(run("mirror " + mirror), 0) << output_;
  EXPECT_EQ(run("verify --all -r " + folder_ / "two"), 0) << output_;
  std::filesystem::rename(folder_ / "two", folder_ / "away");
  EXPECT_EQ(run("create " + mirror + " " + folder_ / "data"), 0) << output_;
  EXPECT_NE(output_.find("stays behind"), std::string::npos) << output_;
  EXPECT_EQ(run("mirror " + mirror), 1) << output_;
  std::filesystem::rename(folder_ / "away", folder_ / "two");
  EXPECT_EQ(run("mirror --catch-up " + mirror), 0) << output_;
  EXPECT_EQ(run("verify --all -r " + folder_ / "two"), 0) << output_;
}

TEST_F(RepositoriesOnTheLine, AreRefusedWhenNobodyKnowsThem) {
  for (const std::string bad :
       {"-r b2:bucket", "-r s3:host", "-r sftp:host", "-r /x -o s3.regoin=a", "-r /x -o region",
        "-r s3:h/b -o s3.connections=0", "-r sftp:h:/p -o \"sftp.command='ssh\""}) {
    EXPECT_EQ(run("list " + bad), 2) << bad << ": " << output_;
  }
  EXPECT_EQ(run("list -r mirror:no-such"), 4) << output_;
}

TEST_F(RepositoriesOnTheLine, GiveUpNothingWhenAppendOnly) {
  live("-r " + folder_ / "repo");
  ASSERT_EQ(run("create -r " + folder_ / "repo" + " " + folder_ / "data"), 0) << output_;
  EXPECT_EQ(run("prune --keep-last 1 --append-only -r " + folder_ / "repo"), 3) << output_;
  ASSERT_EQ(run("list --json -r " + folder_ / "repo"), 0);
  EXPECT_NE(output_.find("\"paths\""), output_.rfind("\"paths\"")) << "both are there";
}

}  // namespace
}  // namespace recover::apps
