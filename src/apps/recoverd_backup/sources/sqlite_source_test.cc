// Real SQLite databases with a writer in another process.
#include "apps/recoverd_backup/sources/sqlite_source.h"

#include <gtest/gtest.h>

#include "test/backup/full_disk.h"
#include "test/backup/worker_job.h"
#include "test/servers/child.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

class SqliteBackup : public test::WorkerJob {
 protected:
  void SetUp() override {
    test::WorkerJob::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directories(data_);
    ASSERT_EQ(sql("PRAGMA journal_mode=WAL; CREATE TABLE pair(a, b);"), 0);
  }
  int sql(const std::string& text) const { return test::run({"sqlite3", path_, text}); }
  json::object source() const { return {{"sqlite", {path_}}}; }

  const std::string path_ = data_ + "/app.db";
};

TEST_F(SqliteBackup, IsConsistentWhileAnotherProcessWrites) {
  // Each transaction keeps both sums alike; what is read in between is not.
  const std::string writes = folder_ / "writes.sql";
  std::string text = ".timeout 60000\n";
  for (int i = 0; i < 20'000; ++i) {
    text += "BEGIN;INSERT INTO pair VALUES(1,0);INSERT INTO pair VALUES(0,1);COMMIT;\n";
  }
  test::spill(writes, text);
  test::Child writer({"sh", "-c", "exec sqlite3 " + path_ + " <" + writes});
  ASSERT_TRUE(test::eventually([&] {
    return std::filesystem::exists(path_ + "-wal") &&
           std::filesystem::file_size(path_ + "-wal") > 0;
  }));
  json::object same = source();
  same["query"] = "SELECT sum(a) = sum(b) FROM pair";
  same["expect"] = "1";
  for (int i = 0; i < 3; ++i) {
    const json::object done = run_source("backup", source());
    ASSERT_TRUE(done.at("ok").as_bool()) << done;
    const json::object tested = run_source("restore-test", same);
    EXPECT_TRUE(tested.at("ok").as_bool()) << tested;
  }
  writer.end(SIGKILL);
  EXPECT_TRUE(is_scratch_empty());
  test::spill(folder_ / "restored.db", dumped("/sqlite-app.db"));
  EXPECT_EQ(test::run({"sqlite3", folder_ / "restored.db",
                       "SELECT 1/(sum(a) = sum(b)) FROM pair; PRAGMA integrity_check;"}),
            0);
}

TEST_F(SqliteBackup, AChangedPageStoresABlock) {
  ASSERT_EQ(sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<4000)"
                "INSERT INTO pair SELECT i, hex(randomblob(1000)) FROM n;"),
            0);
  ASSERT_TRUE(run_source("backup", source()).at("ok").as_bool());
  ASSERT_EQ(sql("UPDATE pair SET b = 'x' WHERE a = 2000"), 0);
  const json::object again = run_source("backup", source());
  ASSERT_TRUE(again.at("ok").as_bool());
  EXPECT_LT(again.at("bytes_added").to_number<std::uint64_t>(), 400'000U);
}

TEST_F(SqliteBackup, ADamagedDatabaseIsNoSnapshot) {
  ASSERT_EQ(sql("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<4000)"
                "INSERT INTO pair SELECT i, hex(randomblob(100)) FROM n; PRAGMA "
                "wal_checkpoint(TRUNCATE);"),
            0);
  std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3 * 4096);
  file << std::string(4096, 'x');
  file.close();
  EXPECT_NE(failure_of(source()).find(path_ + ": "), std::string::npos);
  test::spill(data("none.db"), "no database at all, and long enough to be told apart from one");
  EXPECT_NE(failure_of({{"sqlite", {data("none.db")}}}).find("not a database"), std::string::npos);
  EXPECT_NE(failure_of({{"sqlite", {data("gone.db")}}}).find("No such file"), std::string::npos);
}

TEST_F(SqliteBackup, AFullScratchDiskIsAFailureThatSaysSo) {
  const test::FullDisk disk("1m");
  if (!disk.is_mounted()) GTEST_SKIP() << test::FullDisk::kMissing;
  ASSERT_EQ(sql("INSERT INTO pair VALUES(1, randomblob(3000000))"), 0);
  const json::object result =
      run("backup", {{"sources", json::array{source()}}, {"scratch", disk / ""}});
  EXPECT_EQ(result.at("code").as_string(), "DISK_FULL") << result;
  EXPECT_EQ(snapshots(), 0U);
  EXPECT_TRUE(std::filesystem::is_empty(disk / ""));
}

}  // namespace
}  // namespace recover::apps
