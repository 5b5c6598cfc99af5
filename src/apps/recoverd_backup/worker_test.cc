// Jobs done on real repositories, judged by the real restic.
#include "apps/recoverd_backup/worker.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <sstream>
#include <string>

#include "test/backup/worker_job.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

class BackupWorker : public test::WorkerJob {
 protected:
  void SetUp() override {
    test::WorkerJob::SetUp();
    if (IsSkipped()) return;
    test::spill(data("etc/one.conf"), "one\n");
    test::spill(data("etc/large"), test::noise(2U << 20U));
  }
  json::object paths() const { return {{"sources", {{{"paths", {data_}}}}}}; }
  static json::object command(const std::string& text) {
    return {{"sources", {{{"command", {"sh", "-c", text}}, {"name", "dump.sql"}}}}};
  }
};

TEST_F(BackupWorker, BacksUpPathsAndOutput) {
  json::object both = paths();
  both["sources"].as_array().push_back(
      json::object{{"command", {"sh", "-c", "seq 1 1000000"}}, {"name", "dump.sql"}});
  const json::object result = run("backup", both);
  ASSERT_TRUE(result.at("ok").as_bool()) << result;
  EXPECT_EQ(result.at("snapshots").as_array().size(), 2U);
  ASSERT_TRUE(restic_.run("check --read-data")) << restic_.output;
  ASSERT_TRUE(restic_.run("dump --path /dump.sql --tag etc latest /dump.sql"));
  EXPECT_EQ(restic_.output.substr(restic_.output.size() - 8), "1000000\n");
  ASSERT_TRUE(
      restic_.run("restore --path '" + data_ + "' latest --target '" + folder_ / "out" + "'"));
  EXPECT_TRUE(are_alike(data_, folder_ / "out" + data_));
}

TEST_F(BackupWorker, ADumpThatFailsIsNoSnapshot) {
  const struct {
    json::object job;
    std::string why;
  } kCases[] = {
      {command("echo half; echo no such table >&2; exit 3"), "sh: exit 3: no such table"},
      {command("echo half; kill -9 $$"), "sh: killed by signal 9"},
      {{{"sources", {{{"command", {"/no/such/dump"}}, {"name", "dump.sql"}}}}},
       "/no/such/dump: cannot be run: No such file or directory"},
  };
  for (const auto& [job, why] : kCases) {
    const json::object result = run("backup", job);
    EXPECT_FALSE(result.at("ok").as_bool());
    EXPECT_EQ(result.at("error").as_string(), why);
    EXPECT_EQ(snapshots(), 0U);
  }
  EXPECT_TRUE(restic_.run("check")) << restic_.output;
}

TEST_F(BackupWorker, HooksRunAroundIt) {
  json::object job = paths();
  const std::string log = folder_ / "log";
  job["before"] = {{"sh", "-c", "echo before >>" + log}};
  job["after"] = {{"sh", "-c", "echo after >>" + log}};
  EXPECT_TRUE(run("backup", job).at("ok").as_bool());
  EXPECT_EQ(test::slurp(log), "before\nafter\n");
  job["before"] = {{"sh", "-c", "echo not today >&2; exit 1"}};
  const json::object result = run("backup", job);
  EXPECT_EQ(result.at("error").as_string(), "sh: exit 1: not today");
  EXPECT_EQ(snapshots(), 1U) << "a backup whose hook failed is not made";
  EXPECT_EQ(test::slurp(log), "before\nafter\nafter\n") << "what was begun is ended";
}

TEST_F(BackupWorker, RetentionForgetsOfItsTypeOnly) {
  ASSERT_TRUE(restic_.run("backup --tag other '" + data_ + "'")) << restic_.output;
  json::object job = paths();
  job["retention"] = {{"last", 2}};
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(run("backup", job).at("ok").as_bool());
  EXPECT_EQ(snapshots(), 3U);
  ASSERT_TRUE(restic_.run("snapshots --tag other --json"));
  EXPECT_NE(restic_.output.find("\"other\""), std::string::npos);
  EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output;
}

TEST_F(BackupWorker, AProofFindsDamage) {
  ASSERT_TRUE(run("backup", paths()).at("ok").as_bool());
  EXPECT_TRUE(run("verify").at("ok").as_bool());
  const json::object tested = run("restore-test");
  ASSERT_TRUE(tested.at("ok").as_bool()) << tested;
  EXPECT_EQ(tested.at("files").to_number<int>(), 2);
  EXPECT_GE(tested.at("rpo_seconds").to_number<int>(), 0);
  EXPECT_TRUE(std::filesystem::is_empty(folder_ / "scratch"));
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(restic_.repository + "/data")) {
    if (!entry.is_regular_file() || entry.file_size() < (1U << 20U)) continue;
    std::filesystem::permissions(entry, std::filesystem::perms::owner_all);
    std::fstream pack(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    pack.seekp(5000);
    pack.put('x').put('y').put('z');
  }
  EXPECT_EQ(run("verify").at("code").as_string(), "DAMAGED");
  EXPECT_EQ(run("restore-test").at("code").as_string(), "DAMAGED");
}

TEST_F(BackupWorker, AProofIsOfEachSource) {
  json::object both = paths();
  both["sources"].as_array().push_back(
      json::object{{"command", {"sh", "-c", "seq 1 9"}}, {"name", "dump.sql"}});
  ASSERT_TRUE(run("backup", both).at("ok").as_bool());
  EXPECT_EQ(run("restore-test", both).at("files").to_number<int>(), 3);
  both["sources"].as_array().push_back(json::object{{"paths", {data("etc")}}});
  const json::object tested = run("restore-test", both);
  EXPECT_EQ(tested.at("code").as_string(), "NOT_FOUND") << "of one of three there is none";
  EXPECT_NE(tested.at("error").as_string().find(data("etc")), std::string::npos) << tested;
}

TEST_F(BackupWorker, AnOldUndoIsForgottenWhenThereIsANewerOne) {
  const auto undo = [&](const std::string& time, const std::string& path) {
    ASSERT_TRUE(restic_.run("backup --tag before-restore --time '" + time + "' '" + path + "'"))
        << restic_.output;
  };
  undo("2020-01-01 00:00:00", data_);
  undo("2020-01-02 00:00:00", data_);
  undo("2020-01-01 00:00:00", folder_.path() + "/scratch");
  json::object job = paths();
  job["retention"] = {{"last", 2}};
  ASSERT_TRUE(run("backup", job).at("ok").as_bool());
  EXPECT_EQ(snapshots(), 3U) << "the newest, one of other paths, and the backup";
}

TEST_F(BackupWorker, RestoresAllSourcesOrNone) {
  const std::string etc = data("etc");
  const std::string srv = data("srv");
  test::spill(srv + "/page", "page\n");
  json::object job{{"sources", {{{"paths", {etc}}}, {{"paths", {srv}}}}}};
  ASSERT_TRUE(run("backup", job).at("ok").as_bool());
  const auto restore = [&](json::object how) {
    job["restore"] = std::move(how);
    return run("restore", job);
  };
  test::spill(etc + "/one.conf", "broken\n");
  test::spill(etc + "/added", "added\n");
  EXPECT_EQ(restore({{"dry_run", true}}).at("files"), 3);
  EXPECT_EQ(test::slurp(etc + "/one.conf"), "broken\n");
  ASSERT_TRUE(restore({{"exact", true}}).at("ok").as_bool());
  EXPECT_EQ(test::slurp(etc + "/one.conf"), "one\n");
  EXPECT_FALSE(std::filesystem::exists(etc + "/added"));
  ASSERT_TRUE(restore({{"snapshot", "before"}}).at("ok").as_bool());
  EXPECT_EQ(test::slurp(etc + "/one.conf"), "broken\n");
  EXPECT_TRUE(std::filesystem::exists(etc + "/added"));
  ASSERT_TRUE(restore({{"paths", {srv + "/page"}}}).at("ok").as_bool());
  EXPECT_EQ(test::slurp(etc + "/one.conf"), "broken\n") << "only what was asked for";
  // The second source cannot be restored: the first is put back.
  std::filesystem::remove_all(srv);
  test::spill(folder_ / "elsewhere/page", "other\n");
  std::filesystem::create_directory_symlink(folder_ / "elsewhere", srv);
  const json::object refused = restore({});
  EXPECT_FALSE(refused.at("ok").as_bool());
  EXPECT_EQ(test::slurp(etc + "/one.conf"), "broken\n") << refused;
  EXPECT_EQ(test::slurp(folder_ / "elsewhere/page"), "other\n");
  EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output;
}

TEST_F(BackupWorker, ARestoreTakesBackWhatWasNotThereAndUsesNoPartialSnapshot) {
  const std::string etc = data("etc");
  const std::string srv = data("srv");
  test::spill(srv + "/page", "page\n");
  json::object job{{"sources", {{{"paths", {etc}}}, {{"paths", {srv}}}}}};
  ASSERT_TRUE(run("backup", job).at("ok").as_bool());
  // Newer, and only a part of what there is.
  auto partial = repository_->snapshots()->front().snapshot;
  partial.time.seconds += 1;
  partial.tags.emplace_back(backup::kPartialTag);
  ASSERT_TRUE(repository_->save(backup::FileKind::Snapshot, backup::text_of(partial)));
  const std::size_t before = snapshots();
  job["restore"] = json::object{{"dry_run", true}};
  const json::object looked = run("restore", job);
  ASSERT_TRUE(looked.at("ok").as_bool()) << looked;
  for (const json::value& id : looked.at("snapshots").as_array()) {
    const std::string name(id.as_string());
    EXPECT_FALSE(repository_->find_snapshot(name)->snapshot.is_partial());
  }
  // The second source cannot be restored: nothing stood where the first one was.
  std::filesystem::remove_all(etc);
  std::filesystem::remove_all(srv);
  std::filesystem::create_directory_symlink(folder_ / "scratch", srv);
  job["restore"] = json::object{};
  const json::object refused = run("restore", job);
  EXPECT_FALSE(refused.at("ok").as_bool());
  EXPECT_FALSE(std::filesystem::exists(etc)) << refused;
  EXPECT_EQ(snapshots(), before + 2) << "of each source; taking it back keeps nothing of its own";
  std::filesystem::remove(srv);
  job["sources"] = json::array{json::object{{"paths", {etc}}}};
  ASSERT_TRUE(run("restore", job).at("ok").as_bool());
  EXPECT_EQ(test::slurp(etc + "/one.conf"), "one\n");
  job["restore"] = json::object{{"snapshot", "before"}};
  const json::object undone = run("restore", job);
  EXPECT_TRUE(undone.at("ok").as_bool()) << undone;
  EXPECT_FALSE(std::filesystem::exists(etc));
}

TEST_F(BackupWorker, WhatCannotBeDoneSaysWhy) {
  EXPECT_EQ(run("restore-test").at("code").as_string(), "NOT_FOUND");
  std::filesystem::remove_all(restic_.repository);
  EXPECT_EQ(run("backup", paths()).at("code").as_string(), "NOT_FOUND");
}

TEST(BackupJob, MistakesAreSaid) {
  for (const std::string text :
       {"", "[]", "{}", R"({"task":"dance"})", R"({"task":"backup","repository":{}})",
        R"({"task":"backup","repository":{"location":"/x","password":""}})",
        R"({"task":"backup","repository":{"location":"/x","password":"p"},"sources":{}})"}) {
    EXPECT_FALSE(parse_job(text)) << text;
  }
}

}  // namespace
}  // namespace recover::apps
