// Complete drills on real repositories: everything comes back, is compared, and goes again.
#include "apps/recoverd_backup/drill_task.h"

#include <boost/json.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "test/backup/worker_job.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

class RecoveryDrill : public test::WorkerJob {
 protected:
  void SetUp() override {
    test::WorkerJob::SetUp();
    if (IsSkipped()) return;
    test::spill(data("etc/one.conf"), "one\n");
    test::spill(data("etc/two.conf"), "two\n");
    test::spill(data("etc/gone.conf"), "gone\n");
    test::spill(data("large"), test::noise(3U << 20U));
    std::filesystem::create_symlink("one.conf", data("etc/link"));
    std::filesystem::create_hard_link(data("etc/two.conf"), data("etc/same"));
  }
  json::object both() const {
    return {
        {"sources",
         {{{"paths", {data_}}}, {{"command", {"sh", "-c", "seq 1 1000"}}, {"name", "dump.sql"}}}}};
  }
  // It holds what is large.
  std::filesystem::path largest_pack() const {
    std::filesystem::path largest;
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(restic_.repository + "/data")) {
      if (!entry.is_regular_file()) continue;
      if (largest.empty() || entry.file_size() > std::filesystem::file_size(largest)) {
        largest = entry.path();
      }
    }
    return largest;
  }
  json::object drill(json::object more) {
    json::object job = both();
    for (const auto& field : more) job[field.key()] = field.value();
    const json::object result = run("drill", job);
    EXPECT_TRUE(is_scratch_empty());
    return result;
  }
};

TEST_F(RecoveryDrill, RestoresAllAndComparesAll) {
  ASSERT_TRUE(run("backup", both()).at("ok").as_bool());
  test::spill(data("etc/one.conf"), "three, after the backup\n");
  std::filesystem::remove(data("etc/gone.conf"));
  const json::object result = drill({});
  ASSERT_TRUE(result.at("ok").as_bool()) << result;
  EXPECT_EQ(result.at("files").to_number<int>(), 6);
  EXPECT_GT(result.at("rto_seconds").to_number<double>(), 0);
  EXPECT_GE(result.at("rpo_seconds").to_number<int>(), 0);
  const json::object& files = result.at("sources").at(0).as_object();
  EXPECT_EQ(files.at("source").as_string(), data_);
  EXPECT_EQ(files.at("changed_since").to_number<int>(), 1);
  EXPECT_EQ(files.at("gone_since").to_number<int>(), 1);
  EXPECT_EQ(files.at("same_as_source").to_number<int>(), 3);
  EXPECT_EQ(result.at("sources").at(1).at("source").as_string(), "dump.sql");
}

TEST_F(RecoveryDrill, FindsDamageAnywhereAndLeavesNothing) {
  EXPECT_EQ(drill({}).at("code").as_string(), "NOT_FOUND") << "nothing is backed up yet";
  ASSERT_TRUE(run("backup", both()).at("ok").as_bool());
  const std::filesystem::path largest = largest_pack();
  ASSERT_EQ(::chmod(largest.c_str(), 0600), 0);
  std::fstream pack(largest, std::ios::in | std::ios::out | std::ios::binary);
  pack.seekp(1'000'000);
  pack.put('x').put('y').put('z');
  pack.close();
  const json::object result = drill({});
  EXPECT_FALSE(result.at("ok").as_bool());
  EXPECT_EQ(result.at("code").as_string(), "DAMAGED") << result;
}

TEST_F(RecoveryDrill, BlamesNoBackupForAStoreThatDoesNotAnswer) {
  ASSERT_TRUE(run("backup", both()).at("ok").as_bool());
  const std::filesystem::path pack = largest_pack();
  std::filesystem::remove(pack);
  std::filesystem::create_symlink(pack, pack);  // Opening it fails, and there it is.
  EXPECT_EQ(drill({}).at("code").as_string(), "IO");
}

TEST_F(RecoveryDrill, ProvesNothingByABackupWithoutAFile) {
  const std::string empty = folder_ / "empty";
  std::filesystem::create_directory(empty);
  const json::object of_nothing{{"sources", {{{"paths", {empty}}}}}};
  ASSERT_TRUE(run("backup", of_nothing).at("ok").as_bool());
  EXPECT_EQ(run("drill", of_nothing).at("code").as_string(), "NOT_FOUND");
}

TEST_F(RecoveryDrill, APauseIsNoPartOfTheRto) {
  ASSERT_TRUE(run("backup", both()).at("ok").as_bool());
  const auto snapshots = repository_->snapshots();
  ASSERT_TRUE(snapshots);
  Job job;
  job.scratch = folder_ / "scratch";
  job.sources = {JobSource()};
  job.sources.front().paths = {data_};
  std::chrono::hours paused{0};
  DrillProgress progress;
  const auto done = drill_all(*repository_,
                              {.job = job,
                               .snapshots = *snapshots,
                               .paused = [&] { return paused += std::chrono::hours(1); }},
                              progress, {});
  ASSERT_TRUE(done) << done.error().message;
  EXPECT_EQ(done->at("rto_seconds").to_number<double>(), 0);
}

TEST_F(RecoveryDrill, RefusesInTimeWhereThereIsNoRoom) {
  ASSERT_TRUE(run("backup", both()).at("ok").as_bool());
  const json::object result = drill({{"scratch_max", 1U << 20U}});
  EXPECT_EQ(result.at("code").as_string(), "DISK_FULL") << result;
  const std::string error(result.at("error").as_string());
  EXPECT_NE(error.find("`scratch_max` is 1MiB"), std::string::npos) << error;
  EXPECT_NE(error.find("takes about 3"), std::string::npos) << error;
}

}  // namespace
}  // namespace recover::apps
