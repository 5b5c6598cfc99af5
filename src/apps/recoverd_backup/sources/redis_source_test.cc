// A real Redis: transfers both ways a server knows, transfers that break off, drills.
#include "apps/recoverd_backup/sources/redis_source.h"

#include <gtest/gtest.h>

#include "apps/recoverd_backup/sources/rdb_check.h"
#include "test/backup/worker_job.h"
#include "test/servers/redis_server.h"

namespace recover::apps {
namespace {

namespace json = boost::json;

// Without waiting for more replicas.
const std::vector<std::string> kDiskless = {
    "--repl-diskless-sync", "yes", "--repl-diskless-sync-delay", "0",
    "--rdbcompression",     "no",  "--enable-debug-command",     "yes"};
const std::vector<std::string> kByDisk = {"--repl-diskless-sync",   "no", "--rdbcompression", "no",
                                          "--enable-debug-command", "yes"};

json::object source_at(const test::RedisServer& server, const std::string& password = {}) {
  return {{"redis", {{"port", server.port()}, {"password", password}}}};
}

class RedisBackup : public test::WorkerJob {};

TEST_F(RedisBackup, IsRestoredStartedAndAsked) {
  for (const auto& options : {kDiskless, kByDisk}) {
    const test::RedisServer server(options);
    ASSERT_EQ(server.cli({"DEBUG", "POPULATE", "1000", "key", "5000"}), 0);
    ASSERT_EQ(server.cli({"SET", "colour", "blue"}), 0);
    const json::object done = run_source("backup", source_at(server));
    ASSERT_TRUE(done.at("ok").as_bool()) << done;
    json::object source = source_at(server);
    const json::object tested = run_source("restore-test", source);
    ASSERT_TRUE(tested.at("ok").as_bool()) << tested;
    const json::object drill = tested.at("drills").as_array().at(0).as_object();
    EXPECT_EQ(drill.at("answer").as_string(), "1001");
    EXPECT_GE(drill.at("rto_seconds").to_number<double>(), 0.0);
    source["query"] = "GET colour";
    source["expect"] = options == kByDisk ? "blue" : "green";
    const json::object asked = run_source("restore-test", source);
    EXPECT_EQ(asked.at("ok").as_bool(), options == kByDisk);
    if (options == kByDisk) continue;
    EXPECT_EQ(asked.at("error").as_string(), "redis: `GET colour` answered `blue` and not `green`");
  }
  EXPECT_TRUE(is_scratch_empty());
  EXPECT_EQ(dumped("/redis-dump.rdb").substr(0, 5), "REDIS");
}

TEST_F(RedisBackup, AWrongPasswordIsNoSnapshotAndIsNotTold) {
  const test::RedisServer server({"--requirepass", "open-sesame", "--repl-diskless-sync", "no"});
  EXPECT_NE(failure_of(source_at(server, "wrong-password")).find("WRONGPASS"), std::string::npos);
  EXPECT_EQ(failure_of(source_at(server, "wrong-password")).find("wrong-password"),
            std::string::npos);
  EXPECT_NE(failure_of(source_at(server)).find("NOAUTH"), std::string::npos);
  EXPECT_TRUE(run_source("backup", source_at(server, "open-sesame")).at("ok").as_bool());
}

// restic #4251: what broke off is a failure, not a short file.
TEST_F(RedisBackup, AServerKilledInMidTransferIsAFailure) {
  for (const auto& options : {kDiskless, kByDisk}) {
    test::RedisServer server(options);
    ASSERT_EQ(server.cli({"DEBUG", "POPULATE", "3000", "key", "20000"}), 0);
    core::RedisSource source;
    source.port = server.port();
    const core::NativeSource native = source;
    const auto redis = make_source(native, {}, {});
    const auto dump = redis->files()->front().open();
    ASSERT_TRUE(dump) << dump.error().message;
    std::vector<std::uint8_t> room(100'000);
    ASSERT_TRUE((*dump)->read(room));
    server.child().end(SIGKILL);
    backup::Outcome<std::size_t> got = std::size_t{1};
    while (got && *got > 0) got = (*dump)->read(room);
    ASSERT_FALSE(got) << "the end of the connection was taken for the end of the file";
  }
  const test::RedisServer gone;
  core::RedisSource nobody;
  nobody.port = 1;
  EXPECT_NE(failure_of({{"redis", {{"port", 1}}}}).find("Connection refused"), std::string::npos);
}

TEST(RdbCheck, FindsEveryFlippedByteAndEveryCut) {
  test::TempDir folder;
  test::Child server({"redis-server", "--port", "0", "--unixsocket", folder / "s", "--dir",
                      folder.path(), "--save", ""});
  ASSERT_TRUE(test::eventually([&] {
    return test::run({"redis-cli", "-s", folder / "s", "SET", "key", "some value"}) == 0;
  }));
  ASSERT_EQ(test::run({"redis-cli", "-s", folder / "s", "SAVE"}), 0);
  const std::string whole = test::slurp(folder / "dump.rdb");
  ASSERT_FALSE(whole.empty());
  const auto fault_of = [](const std::string& text) {
    RdbCheck check;
    check.add(std::span(reinterpret_cast<const std::uint8_t*>(text.data()), text.size()));
    return check.fault();
  };
  EXPECT_EQ(fault_of(whole), "");
  for (std::size_t i = 0; i < whole.size(); ++i) {
    std::string flipped = whole;
    flipped[i] = static_cast<char>(flipped[i] ^ 0x20);
    EXPECT_NE(fault_of(flipped), "") << i;
    EXPECT_NE(fault_of(whole.substr(0, i)), "") << i;
  }
}

}  // namespace
}  // namespace recover::apps
