// A real MariaDB: its dump, a dump that breaks off, a drill.
#include "apps/recoverd_backup/sources/mysql_source.h"

#include <gtest/gtest.h>

#include "test/backup/worker_job.h"
#include "test/servers/mariadb_server.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

class MysqlBackup : public test::WorkerJob {
 protected:
  json::object source(const std::string& user, const std::string& password = {}) const {
    return {{"mysql", {{"socket", server_.socket()}, {"user", user}, {"password", password}}}};
  }

  test::MariadbServer server_;
};

TEST_F(MysqlBackup, IsRestoredStartedAskedAndFailsWhole) {
  ASSERT_EQ(server_.sql("CREATE DATABASE shop; CREATE TABLE shop.item(name text); "
                        "INSERT INTO shop.item VALUES('quoted '' line\nend'), ('b'); "
                        "CREATE EVENT shop.e ON SCHEDULE EVERY 1 DAY DO DELETE FROM shop.item; "
                        "CREATE USER reader@localhost IDENTIFIED BY 'pass\"word\\\\1'; "
                        "GRANT ALL ON *.* TO reader@localhost"),
            0);
  json::object good = source("reader", "pass\"word\\1");
  const json::object done = run_source("backup", good);
  ASSERT_TRUE(done.at("ok").as_bool()) << done;
  EXPECT_NE(dumped("/mysql-all.sql").find("CREATE TABLE `item`"), std::string::npos);
  good["query"] = "SELECT count(*) FROM shop.item";
  good["expect"] = "2";
  const json::object tested = run_source("restore-test", good);
  EXPECT_TRUE(tested.at("ok").as_bool()) << tested;
  EXPECT_TRUE(is_scratch_empty());

  const std::string why = failure_of(source("reader", "wrong-password"));
  EXPECT_NE(why.find("Access denied for user 'reader'"), std::string::npos) << why;
  EXPECT_EQ(why.find("wrong-password"), std::string::npos);

  ASSERT_EQ(server_.sql("CREATE TABLE shop.large AS SELECT repeat('x', 1000) AS t FROM "
                        "mysql.help_topic a, mysql.help_topic b LIMIT 40000"),
            0);
  const core::NativeSource native = core::MysqlSource{.host = {},
                                                      .socket = server_.socket(),
                                                      .user = "root",
                                                      .password = {},
                                                      .option_file = {},
                                                      .databases = {"shop"}};
  const auto mysql = make_source(native, {}, {});
  const auto dump = mysql->files()->front().open();
  ASSERT_TRUE(dump) << dump.error().message;
  std::vector<std::uint8_t> room(100'000);
  ASSERT_TRUE((*dump)->read(room));
  server_.child().end(SIGKILL);
  backup::Outcome<std::size_t> got = std::size_t{1};
  while (got && *got > 0) got = (*dump)->read(room);
  const auto finished = (*dump)->finish();
  ASSERT_FALSE(finished) << "a dump that broke off passed for whole";
  EXPECT_NE(finished.error().message.find("mariadb-dump: exit"), std::string::npos)
      << finished.error().message;
}

}  // namespace
}  // namespace recover::apps
