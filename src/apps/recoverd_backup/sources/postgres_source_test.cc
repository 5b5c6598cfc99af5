// A real PostgreSQL: dumps, basebackups, drills of both, and what goes wrong.
#include "apps/recoverd_backup/sources/postgres_source.h"

#include <gtest/gtest.h>

#include "apps/recoverd_backup/sources/postgres_programs.h"
#include "test/backup/full_disk.h"
#include "test/backup/worker_job.h"
#include "test/servers/postgres_server.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

class PostgresBackup : public test::WorkerJob {
 protected:
  json::object source(const json::object& more = {}) const {
    json::object postgres{{"dsn", server_.dsn()}};
    for (const auto& field : more) postgres[field.key()] = field.value();
    return {{"postgres", postgres}};
  }
  void fill() const {
    ASSERT_EQ(server_.sql("CREATE ROLE clerk LOGIN PASSWORD 'secret-of-clerk'"), 0);
    ASSERT_EQ(server_.sql("CREATE DATABASE \"shop/a=b\" OWNER clerk"), 0);
    ASSERT_EQ(server_.sql("CREATE TABLE item(id int)"), 0);
    ASSERT_EQ(server_.sql("INSERT INTO item SELECT generate_series(1, 1000)"), 0);
  }

  test::PostgresServer server_;
};

TEST_F(PostgresBackup, DumpsAndRolesAreRestoredStartedAndAsked) {
  fill();
  const json::object done = run_source("backup", source());
  ASSERT_TRUE(done.at("ok").as_bool()) << done;
  EXPECT_EQ(done.at("snapshots").as_array().size(), 3U);
  EXPECT_NE(dumped("/postgres-globals.sql").find("CREATE ROLE clerk"), std::string::npos);
  EXPECT_EQ(dumped("/postgres-postgres.dump").substr(0, 5), "PGDMP");
  json::object tested = run_source("restore-test", source());
  ASSERT_TRUE(tested.at("ok").as_bool()) << tested;
  EXPECT_EQ(tested.at("drills").as_array().at(0).as_object().at("answer").as_string(),
            "postgres: 1, shop/a=b: 0");
  json::object asked = source();
  asked["query"] = "SELECT count(*) FROM gone";
  tested = run_source("restore-test", asked);
  EXPECT_NE(tested.at("error").as_string().find("relation \"gone\" does not exist"),
            std::string::npos);
  EXPECT_TRUE(is_scratch_empty());
  // Too small for a cluster: that says nothing about the backup.
  const test::FullDisk disk("8m");
  if (!disk.is_mounted()) return;
  tested = run("restore-test", {{"sources", json::array{source()}}, {"scratch", disk / ""}});
  EXPECT_EQ(tested.at("code").as_string(), "DISK_FULL") << tested;
  EXPECT_TRUE(std::filesystem::is_empty(disk / ""));
}

TEST_F(PostgresBackup, ABasebackupIsVerifiedStartedAndAsked) {
  fill();
  json::object whole = source({{"method", "basebackup"}});
  const json::object done = run_source("backup", whole);
  ASSERT_TRUE(done.at("ok").as_bool()) << done;
  EXPECT_EQ(done.at("snapshots").as_array().size(), 1U);
  whole["query"] = "SELECT sum(id) FROM item";
  whole["expect"] = "500500";
  const json::object tested = run_source("restore-test", whole);
  ASSERT_TRUE(tested.at("ok").as_bool()) << tested;
  EXPECT_TRUE(is_scratch_empty());
}

TEST_F(PostgresBackup, WhatCannotBeDumpedIsNoSnapshotAndTellsNoSecret) {
  fill();
  // The first two dumps succeed: nothing of them stays either.
  std::string why = failure_of(source({{"databases", {"postgres", "shop/a=b", "gone"}}}));
  EXPECT_NE(why.find("database \"gone\" does not exist"), std::string::npos) << why;
  test::spill(server_.dir() / "data/pg_hba.conf",
              "local all clerk scram-sha-256\nlocal all all trust\n");
  ASSERT_EQ(server_.sql("SELECT pg_reload_conf()"), 0);
  const std::string dsn =
      "host=" + server_.socket_dir() + " user=clerk dbname=postgres password=wrong-password";
  ASSERT_TRUE(test::eventually([&] {
    why = failure_of(source({{"dsn", dsn}}));
    return why.find("password authentication failed") != std::string::npos;
  })) << why;
  EXPECT_EQ(why.find("wrong-password"), std::string::npos) << why;
  ASSERT_EQ(server_.sql(R"(ALTER ROLE clerk PASSWORD 'se:cr\et')"), 0);
  const std::string right =
      "host=" + server_.socket_dir() + R"( user=clerk dbname=postgres password='se:cr\\et')";
  const json::object done = run_source(
      "backup", source({{"dsn", right}, {"databases", {"shop/a=b"}}, {"roles", "none"}}));
  EXPECT_TRUE(done.at("ok").as_bool()) << done;
  why = failure_of(source({{"dsn", "host=" + server_.dir() / "none"}}));
  EXPECT_NE(why.find("No such file or directory"), std::string::npos) << why;
  why = failure_of(source({{"dsn", "hots=x password=wrong-password"}}));
  EXPECT_EQ(why, "postgres: the `dsn` is no connection string");
}

// restic #4251: a server that dies in mid dump leaves no snapshot.
TEST_F(PostgresBackup, AServerKilledInMidDumpIsAFailure) {
  ASSERT_EQ(server_.sql("CREATE TABLE large AS SELECT repeat('x', 1000) AS t FROM "
                        "generate_series(1, 40000)"),
            0);
  for (const bool base : {false, true}) {
    core::PostgresSource postgres{.dsn = base::Secret(server_.dsn()), .databases = {"postgres"}};
    postgres.roles = core::PostgresRoles::None;
    if (base) postgres.method = core::PostgresMethod::Basebackup;
    const core::NativeSource native = postgres;
    const auto made = make_source(native, {}, {});
    const auto dump = made->files()->front().open();
    ASSERT_TRUE(dump) << dump.error().message;
    std::vector<std::uint8_t> room(50'000);
    ASSERT_TRUE((*dump)->read(room));
    server_.child().end(SIGQUIT);
    backup::Outcome<std::size_t> got = std::size_t{1};
    while (got && *got > 0) got = (*dump)->read(room);
    const auto finished = (*dump)->finish();
    ASSERT_FALSE(finished) << "a dump that broke off passed for whole";
    EXPECT_NE(finished.error().message.find("exit 1"), std::string::npos)
        << finished.error().message;
    server_.start();
    ASSERT_TRUE(server_.wait_ready());
  }
}

TEST(PostgresTarget, NothingOfADsnIsAnArgument) {
  for (const std::string dsn :
       {"host=h port=1 user=u password='p q' dbname=d sslmode=require keepalives=0",
        "postgresql://u:p%20q@h:1/d?sslmode=require&keepalives=0"}) {
    const auto target = postgres_target(base::Secret(dsn));
    ASSERT_TRUE(target) << target.error().message;
    EXPECT_EQ(target->database, "d");
    EXPECT_EQ(target->password, "p q");
    EXPECT_EQ(target->rest, "keepalives='0' ");
    const auto& all = target->variables;
    for (const char* const wanted : {"PGHOST=h", "PGPORT=1", "PGUSER=u", "PGSSLMODE=require"}) {
      EXPECT_NE(std::find(all.begin(), all.end(), wanted), all.end()) << wanted;
    }
    EXPECT_EQ(all.size(), 7U) << "nothing of the password is a variable";
  }
  EXPECT_EQ(password_file("a:b\\c"), "*:*:*:*:a\\:b\\\\c\n");
  EXPECT_FALSE(password_file("two\nlines"));
  EXPECT_EQ(conninfo("dbname", "it's \\ x"), "dbname='it\\'s \\\\ x'");
  EXPECT_EQ(as_file_name("shop/a=b"), "shop%2Fa%3Db");
  EXPECT_EQ(from_file_name("shop%2Fa%3Db"), "shop/a=b");
}

}  // namespace
}  // namespace recover::apps
