#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>

#include "adapters/database/effectors.h"
#include "test/servers/postgres_server.h"

namespace recover::adapters::database {
namespace {

using core::ActionKind;
using core::CommandFinished;
using core::CommandOutcome;
using std::chrono::milliseconds;

constexpr const char* kCanary = "s3cret-canary";

class Database : public testing::Test {
 protected:
  ~Database() override { pool_.join(); }

  // The service's first postgres probe names the server.
  core::Command command(ActionKind kind, core::ActionSpec with, const std::string& dsn) {
    core::PostgresProbe probe;
    probe.dsn = base::Secret(dsn);
    core::ProbePolicy watched;
    watched.spec = probe;
    policy_.services.clear();
    policy_.services.emplace_back().name = "db";
    if (!dsn.empty()) policy_.services[0].probes = {watched};
    core::StepPolicy step;
    step.action = kind;
    step.with = std::move(with);
    policy_.playbooks.clear();
    policy_.playbooks.emplace_back().steps = {step};
    core::Command command;
    command.id = core::CommandId{5};
    command.action = kind;
    command.part = core::Part::Step;
    command.playbook = core::PlaybookIndex{0};
    command.deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    return command;
  }
  void start(const core::Command& command) {
    effectors_.at(command.action)->perform(command, policy_, [this](CommandFinished finished) {
      ended_.push_back(std::move(finished));
    });
    EXPECT_TRUE(ended_.empty());
  }
  CommandFinished finish() {
    loop_.restart();
    loop_.run();
    EXPECT_EQ(ended_.size(), 1U);
    CommandFinished finished = std::move(ended_.at(0));
    ended_.clear();
    EXPECT_EQ(finished.detail.find(kCanary), std::string::npos) << finished.detail;
    return finished;
  }
  // The loop goes on until a session sleeps.
  bool asleep(test::PostgresServer& server) {
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work(
        loop_.get_executor());
    std::thread loop([this] {
      loop_.restart();
      loop_.run();
    });
    const bool slept = server.eventually_true(
        "EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')");
    loop_.stop();
    loop.join();
    return slept;
  }
  CommandFinished perform(const core::Command& command) {
    start(command);
    return finish();
  }
  CommandFinished sql(const std::string& statement, const std::string& dsn) {
    core::SqlAction action;
    action.statement = statement;
    return perform(command(ActionKind::Sql, action, dsn));
  }

  boost::asio::io_context loop_;
  boost::asio::thread_pool pool_{2};
  core::Policy policy_;
  std::vector<CommandFinished> ended_;
  std::map<ActionKind, std::unique_ptr<ports::Effector>> effectors_ = make_effectors(
      {.loop = loop_, .pool = pool_, .now = [] { return std::chrono::steady_clock::now(); }});
};

TEST_F(Database, WithoutServerNothingIsInDoubt) {
  EXPECT_EQ(sql("SELECT 1", "host=/no/such/place password=" + std::string(kCanary)).outcome,
            CommandOutcome::Failed);
  EXPECT_EQ(sql("SELECT 1", "nonsense " + std::string(kCanary)).outcome, CommandOutcome::Failed);
  EXPECT_EQ(sql("SELECT 1", "").outcome, CommandOutcome::Refused);
  EXPECT_EQ(sql("", "host=/no/such/place").outcome, CommandOutcome::Refused);
}

// One server for all, as making one is dear.
TEST_F(Database, StatementsAndTheEndOfBlockers) {
  test::PostgresServer server;
  const std::string dsn = server.dsn() + " password=" + kCanary;
  EXPECT_EQ(sql("CREATE TABLE t (x int); INSERT INTO t VALUES (1), (2)", dsn).detail, "INSERT 0 2");
  EXPECT_EQ(sql("SELECT x, 'a' FROM t ORDER BY x", dsn).detail, "SELECT 2\n1 | a\n2 | a");
  const auto wrong = sql("SELECT nothing FROM nowhere", dsn);
  EXPECT_EQ(wrong.outcome, CommandOutcome::Failed);
  EXPECT_NE(wrong.detail.find("42P01"), std::string::npos) << wrong.detail;
  auto settle =
      command(ActionKind::Sql, core::SqlAction{.dsn = {}, .statement = "DROP TABLE t"}, dsn);
  settle.settle = true;
  EXPECT_EQ(perform(settle).outcome, CommandOutcome::Unknown);

  core::KillLongQueriesAction blockers;
  blockers.longer_than = milliseconds(1);
  blockers.blockers_only = true;
  const auto none = perform(command(ActionKind::KillLongQueries, blockers, dsn));
  EXPECT_EQ(none.outcome, CommandOutcome::Refused);
  EXPECT_EQ(none.detail, "nothing to end");

  // One blocks, one waits, one only takes its time.
  test::Child blocker = server.session("BEGIN; UPDATE t SET x = 5; SELECT pg_sleep(1000)");
  test::Child bystander = server.session("SELECT pg_sleep(1001)");
  ASSERT_TRUE(server.eventually_true(
      "(SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep') = 2"));
  test::Child waiter = server.session("UPDATE t SET x = x + 1");
  ASSERT_TRUE(server.eventually_true("EXISTS (SELECT FROM pg_locks WHERE NOT granted)"));
  const auto one = perform(command(ActionKind::KillLongQueries, blockers, dsn));
  EXPECT_EQ(one.outcome, CommandOutcome::Done);
  EXPECT_TRUE(one.detail.starts_with("ended 1 session: pid ")) << one.detail;
  EXPECT_EQ(waiter.wait(), 0);
  EXPECT_NE(blocker.wait(), 0);
  EXPECT_FALSE(bystander.ended());
  EXPECT_EQ(sql("SELECT sum(x) FROM t", dsn).detail, "SELECT 1\n5");

  core::KillLongQueriesAction all;
  all.longer_than = std::chrono::hours(1);
  EXPECT_EQ(perform(command(ActionKind::KillLongQueries, all, dsn)).outcome,
            CommandOutcome::Refused);
  all.longer_than = milliseconds(1);
  EXPECT_EQ(perform(command(ActionKind::KillLongQueries, all, dsn)).outcome, CommandOutcome::Done);
  EXPECT_NE(bystander.wait(), 0);

  // In doubt: called off, out of time, connection lost.
  start(command(ActionKind::Sql, core::SqlAction{.dsn = {}, .statement = "SELECT pg_sleep(1002)"},
                dsn));
  ASSERT_TRUE(asleep(server));
  effectors_.at(ActionKind::Sql)->cancel(core::CommandId{5});
  EXPECT_EQ(finish().outcome, CommandOutcome::Unknown);
  // The server notices and gives up too.
  EXPECT_TRUE(server.eventually_true(
      "NOT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event = 'PgSleep')"));
  start(command(ActionKind::Sql, core::SqlAction{.dsn = {}, .statement = "SELECT pg_sleep(1003)"},
                dsn));
  ASSERT_TRUE(asleep(server));
  server.child().end(SIGINT);
  EXPECT_EQ(finish().outcome, CommandOutcome::Unknown);
}

}  // namespace
}  // namespace recover::adapters::database
