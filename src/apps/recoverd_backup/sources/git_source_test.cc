// Real repositories and real remotes.
#include "apps/recoverd_backup/sources/git_source.h"

#include <gtest/gtest.h>

#include "test/backup/worker_job.h"
#include "test/servers/child.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

class GitBackup : public test::WorkerJob {
 protected:
  void SetUp() override {
    test::WorkerJob::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directories(data_);
    sh("git init -q -b main '" + work_ + "' && cd '" + work_ +
       "' && git config user.name u && git config user.email u@h && echo one >f && git add f && "
       "git commit -qm one && git branch side && git tag -a v1 -m v1");
    for (const char* const name : {"/near.git", "/far.git"}) {
      sh("git init -q --bare '" + data_ + name + "'");
    }
  }
  static void sh(const std::string& text) { ASSERT_EQ(test::run({"sh", "-c", text}), 0) << text; }
  bool has(const std::string& remote, const std::string& ref) const {
    return test::run({"git", "-C", data_ + remote, "rev-parse", "--verify", "-q", ref}) == 0;
  }
  json::object source(bool prune = false) const {
    return {{"git",
             {{"repository", work_},
              {"remotes", {{{"url", data_ + "/near.git"}}, {{"url", data_ + "/far.git"}}}},
              {"prune", prune}}}};
  }

  const std::string work_ = data_ + "/work";
};

TEST_F(GitBackup, EveryBranchAndTagIsMirroredBundledAndProven) {
  const json::object done = run_source("backup", source());
  ASSERT_TRUE(done.at("ok").as_bool()) << done;
  ASSERT_EQ(done.at("remotes").as_array().size(), 2U);
  for (const char* const ref : {"refs/heads/main", "refs/heads/side", "refs/tags/v1"}) {
    EXPECT_TRUE(has("/near.git", ref) && has("/far.git", ref)) << ref;
  }
  const json::object tested = run_source("restore-test", source());
  ASSERT_TRUE(tested.at("ok").as_bool()) << tested;
  EXPECT_EQ(tested.at("drills").as_array().at(0).as_object().at("answer").as_string(), "3");
  json::object asked = source();
  asked["query"] = "show main:f";
  asked["expect"] = "one";
  EXPECT_TRUE(run_source("restore-test", asked).at("ok").as_bool());
  test::spill(folder_ / "it.bundle", dumped("/git-work.bundle"));
  sh("git clone -q '" + folder_ / "it.bundle" + "' '" + folder_ / "again" + "'");
  EXPECT_EQ(test::slurp(folder_ / "again/f"), "one\n");
}

TEST_F(GitBackup, ALostBranchIsKeptInTheRemotesUnlessPruned) {
  ASSERT_TRUE(run_source("backup", source()).at("ok").as_bool());
  sh("cd '" + work_ + "' && git branch -D side && git commit -q --amend -m rewritten");
  const json::object done = run_source("backup", source());
  ASSERT_TRUE(done.at("ok").as_bool()) << done;
  EXPECT_TRUE(has("/near.git", "refs/heads/side"));
  EXPECT_EQ(done.at("remotes").as_array().at(0).as_object().at("gone_from_source"),
            json::array{"refs/heads/side"});
  ASSERT_TRUE(run_source("backup", source(true)).at("ok").as_bool());
  EXPECT_FALSE(has("/near.git", "refs/heads/side"));
  EXPECT_TRUE(has("/near.git", "refs/heads/main"));
}

TEST_F(GitBackup, ARepositoryThatLostAllTakesNothingAway) {
  ASSERT_TRUE(run_source("backup", source()).at("ok").as_bool());
  sh("rm -rf '" + work_ + "' && git init -q '" + work_ + "'");
  EXPECT_NE(failure_of(source(true)).find("empty bundle"), std::string::npos);
  EXPECT_TRUE(has("/near.git", "refs/heads/main"));
  sh("rm -rf '" + work_ + "'");
  failure_of(source(true));
  EXPECT_TRUE(has("/far.git", "refs/heads/side"));
}

TEST_F(GitBackup, ARemoteThatFailsIsToldAndTheOthersGetTheirs) {
  std::filesystem::remove_all(data_ + "/near.git");
  const json::object done = run_source("backup", source());
  EXPECT_FALSE(done.at("ok").as_bool());
  EXPECT_EQ(done.at("code").as_string(), "UNREACHABLE");
  EXPECT_NE(done.at("error").as_string().find("near.git"), std::string::npos) << done;
  EXPECT_EQ(done.at("snapshots").as_array().size(), 1U) << "the bundle is whole";
  EXPECT_TRUE(has("/far.git", "refs/tags/v1"));
  EXPECT_EQ(snapshots(), 1U);
}

// Whoever owns the repository could make git say it: with a hook, or by sending it elsewhere.
TEST_F(GitBackup, APasswordIsNotToldToTheRepository) {
  const std::string hook = work_ + "/.git/hooks/pre-push";
  test::spill(hook, "#!/bin/sh\nenv >" + folder_ / "leak" + "\n");
  std::filesystem::permissions(hook, std::filesystem::perms::owner_all);
  sh("cd '" + work_ + "' && git config url.'" + data_ + "/far.git'.insteadOf '" + data_ +
     "/near.git'");
  const json::object told{
      {"git",
       {{"repository", work_},
        {"remotes",
         {{{"url", data_ + "/near.git"}, {"user", "u"}, {"password", "wherewithal"}}}}}}};
  const json::object done = run_source("backup", told);
  ASSERT_TRUE(done.at("ok").as_bool()) << done;
  EXPECT_EQ(done.at("remotes").as_array().at(0).as_object().at("refs"), 3);
  EXPECT_TRUE(has("/near.git", "refs/tags/v1") && has("/near.git", "refs/heads/side"));
  EXPECT_FALSE(has("/far.git", "refs/heads/main")) << "its configuration counts for nothing";
  EXPECT_FALSE(std::filesystem::exists(folder_ / "leak")) << "nor do its hooks";
  EXPECT_TRUE(is_scratch_empty());
}

TEST_F(GitBackup, AShallowCloneIsNoBackup) {
  sh("cd '" + work_ + "' && git commit -q --allow-empty -m two && git clone -q --depth 1 'file://" +
     work_ + "' '" + data_ + "/shallow'");
  const std::string why = failure_of({{"git", {{"repository", data_ + "/shallow"}}}});
  EXPECT_NE(why.find("shallow"), std::string::npos) << why;
}

}  // namespace
}  // namespace recover::apps
