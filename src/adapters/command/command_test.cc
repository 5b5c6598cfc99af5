#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "adapters/command/effectors.h"
#include "test/servers/nginx_server.h"
#include "test/servers/redis_server.h"
#include "test/step_command.h"

namespace recover::adapters::command {
namespace {

using core::ActionKind;
using core::CommandFinished;
using core::CommandOutcome;
using std::chrono::milliseconds;
using test::TempDir;

constexpr const char* kCanary = "s3cret-canary";

class Commands : public testing::Test {
 protected:
  core::Command command(ActionKind kind, core::ActionSpec with) {
    auto made = test::step_command(kind, std::move(with));
    policy_ = std::move(made.policy);
    core::Command command = made.command;
    command.attempt = 2;
    command.deadline = now() + std::chrono::seconds(60);
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
    EXPECT_EQ(finished.command.value, 5U);
    EXPECT_EQ(finished.detail.find(kCanary), std::string::npos) << finished.detail;
    return finished;
  }
  CommandFinished perform(const core::Command& command) {
    start(command);
    return finish();
  }
  CommandFinished shell(const std::string& script) {
    return perform(command(ActionKind::Exec, exec(script)));
  }
  static core::ExecAction exec(const std::string& script) {
    core::ExecAction action;
    action.command = {"sh", "-c", script};
    action.environment = {{"KEY", base::Secret(kCanary)}};
    return action;
  }
  static core::HttpAction http(const std::string& url) {
    core::HttpAction action;
    action.url = base::Secret(url);
    return action;
  }
  static Instant now() { return std::chrono::steady_clock::now(); }

  boost::asio::io_context loop_;
  boost::asio::thread_pool pool_{1};
  core::Policy policy_;
  std::vector<CommandFinished> ended_;
  std::map<ActionKind, std::unique_ptr<ports::Effector>> effectors_ =
      make_effectors({.loop = loop_, .pool = pool_, .now = now});
};

TEST_F(Commands, ExecTellsOutcomeOutputAndEnvironment) {
  const auto good = shell(
      "echo $RECOVER_SERVICE $RECOVER_RECOVERY $RECOVER_ATTEMPT"
      " $RECOVER_IDEMPOTENCY_KEY $KEY");
  EXPECT_EQ(good.outcome, CommandOutcome::Done);
  EXPECT_EQ(good.detail, "exit 0: web 42 2 42/step/0 ***");
  const auto bad = shell("echo no >&2; exit 4");
  EXPECT_EQ(bad.outcome, CommandOutcome::Failed);
  EXPECT_EQ(bad.detail, "exit 4: no");
  EXPECT_EQ(shell("kill -TERM $$").detail, "killed by signal 15");
  const auto loud = shell("head -c 100000 /dev/zero | tr '\\0' x; echo end");
  EXPECT_EQ(loud.outcome, CommandOutcome::Done);
  EXPECT_LE(loud.detail.size(), 4200U);
  EXPECT_TRUE(loud.detail.ends_with("end"));
  core::ExecAction missing;
  missing.command = {"/no/such/program"};
  EXPECT_EQ(perform(command(ActionKind::Exec, missing)).outcome, CommandOutcome::Failed);
  EXPECT_EQ(perform(command(ActionKind::Exec, core::ExecAction{})).outcome,
            CommandOutcome::Refused);
}

TEST_F(Commands, ExecIsKilledWholeAtItsDeadline) {
  TempDir dir;
  auto late = command(ActionKind::Exec, exec("sleep 1000 & echo $! > " + dir / "pid" + "; mv " +
                                             dir / "pid" + " " + dir / "child" + "; wait"));
  late.deadline = now() + milliseconds(1000);
  const auto finished = perform(late);
  EXPECT_EQ(finished.outcome, CommandOutcome::Unknown);
  EXPECT_NE(finished.detail.find("deadline"), std::string::npos) << finished.detail;
  int pid = 0;
  ASSERT_TRUE(std::ifstream(dir / "child") >> pid);
  EXPECT_TRUE(test::eventually([&] {
    std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
    const std::string text((std::istreambuf_iterator<char>(stat)), {});
    return text.empty() || text.find(") Z") != std::string::npos;
  }));
}

TEST_F(Commands, ExecCanBeCancelledAndIsNotRepeatedToSettle) {
  TempDir dir;
  start(command(ActionKind::Exec, exec("touch " + dir / "begun" + "; sleep 1000")));
  while (!std::filesystem::exists(dir / "begun")) loop_.run_one_for(milliseconds(10));
  effectors_.at(ActionKind::Exec)->cancel(core::CommandId{99});
  effectors_.at(ActionKind::Exec)->cancel(core::CommandId{5});
  EXPECT_EQ(finish().outcome, CommandOutcome::Unknown);
  auto settle = command(ActionKind::Exec, exec("touch " + dir / "again"));
  settle.settle = true;
  EXPECT_EQ(perform(settle).outcome, CommandOutcome::Unknown);
  EXPECT_FALSE(std::filesystem::exists(dir / "again"));
}

TEST_F(Commands, ExecLeavesWhatItStartedRunning) {
  TempDir dir;
  const auto finished =
      shell("sleep 1000 > /dev/null 2>&1 & echo $! > " + dir / "pid" + "; exit 0");
  EXPECT_EQ(finished.outcome, CommandOutcome::Done);
  int pid = 0;
  ASSERT_TRUE(std::ifstream(dir / "pid") >> pid);
  EXPECT_EQ(::kill(pid, SIGKILL), 0);
}

TEST_F(Commands, HttpTellsRefusedFromInDoubt) {
  test::NginxServer server(
      "location /ok { return 204; } location /bad { return 503; }"
      "location /accepted { return 302 /elsewhere; }");
  core::HttpAction good = http(server.url("/ok?token=" + std::string(kCanary), "me:pass-word@"));
  good.headers = {{"X-Key", base::Secret(kCanary)}};
  good.body = base::Secret("{}");
  const auto done = perform(command(ActionKind::Http, good));
  EXPECT_EQ(done.outcome, CommandOutcome::Done) << done.detail;
  std::string line;  // Logged after it was answered.
  ASSERT_TRUE(test::eventually([&] {
    std::ifstream log(server.access_log());
    return static_cast<bool>(std::getline(log, line));
  }));
  EXPECT_NE(line.find("POST /ok?token="), std::string::npos) << line;
  EXPECT_NE(line.find("204 42/step/0 Basic bWU6cGFzcy13b3Jk"), std::string::npos) << line;
  EXPECT_EQ(perform(command(ActionKind::Http, http(server.url("/bad")))).outcome,
            CommandOutcome::Failed);
  core::HttpAction wanted = http(server.url("/accepted"));
  wanted.status = {302};
  EXPECT_EQ(perform(command(ActionKind::Http, wanted)).outcome, CommandOutcome::Done);
  EXPECT_EQ(perform(command(ActionKind::Http, http("ftp://x"))).outcome, CommandOutcome::Refused);

  server.child().pause();
  auto silent = command(ActionKind::Http, http(server.url("/ok")));
  silent.deadline = now() + milliseconds(300);
  EXPECT_EQ(perform(silent).outcome, CommandOutcome::Unknown);
  start(command(ActionKind::Http, http(server.url("/ok"))));
  effectors_.at(ActionKind::Http)->cancel(core::CommandId{5});
  finish();  // Early: the test would time out.
  server.child().end(SIGKILL);
  EXPECT_EQ(perform(command(ActionKind::Http, http(server.url("/ok")))).outcome,
            CommandOutcome::Failed);
}

TEST_F(Commands, NotifyPostsToItsWebhook) {
  test::NginxServer server("location /hook { return 200; }");
  core::NotifyAction action;
  action.message = "web is \"back\"";
  EXPECT_EQ(perform(command(ActionKind::Notify, action)).outcome, CommandOutcome::Done);
  action.webhook = base::Secret(server.url("/hook/" + std::string(kCanary)));
  const auto finished = perform(command(ActionKind::Notify, action));
  EXPECT_EQ(finished.outcome, CommandOutcome::Done) << finished.detail;
  server.child().end(SIGKILL);
  EXPECT_EQ(perform(command(ActionKind::Notify, action)).outcome, CommandOutcome::Failed);
}

TEST_F(Commands, RedisSendsOneCommand) {
  test::RedisServer server;
  core::RedisAction action;
  action.port = server.port();
  action.command = {"RPUSH", "jobs", "a", "b"};
  const auto pushed = perform(command(ActionKind::Redis, action));
  EXPECT_EQ(pushed.outcome, CommandOutcome::Done);
  EXPECT_TRUE(pushed.detail.ends_with(": 2")) << pushed.detail;
  action.command = {"LRANGE", "jobs", "0", "-1"};
  EXPECT_TRUE(perform(command(ActionKind::Redis, action)).detail.ends_with(": a\nb"));
  action.command = {"NOSUCH"};
  EXPECT_EQ(perform(command(ActionKind::Redis, action)).outcome, CommandOutcome::Failed);
  core::RedisAction secret = action;
  secret.password = base::Secret(kCanary);  // The server wants none: it says so.
  EXPECT_EQ(perform(command(ActionKind::Redis, secret)).outcome, CommandOutcome::Failed);
  server.child().pause();
  auto silent = command(ActionKind::Redis, action);
  silent.deadline = now() + milliseconds(300);
  EXPECT_EQ(perform(silent).outcome, CommandOutcome::Unknown);
  start(command(ActionKind::Redis, action));
  effectors_.at(ActionKind::Redis)->cancel(core::CommandId{5});
  finish();  // Early: the test would time out.
  server.child().end(SIGKILL);
  EXPECT_EQ(perform(command(ActionKind::Redis, action)).outcome, CommandOutcome::Failed);
  auto settle = command(ActionKind::Redis, action);
  settle.settle = true;
  EXPECT_EQ(perform(settle).outcome, CommandOutcome::Unknown);
}

TEST_F(Commands, GitRestoresFilesAndCanGoBack) {
  TempDir dir;
  const auto git = [&](std::vector<std::string> words) {
    words.insert(words.begin(),
                 {"git", "-C", dir.path(), "-c", "user.name=a", "-c", "user.email=a@b"});
    EXPECT_EQ(test::run(words), 0) << words.back();
  };
  const auto text = [&](const std::string& name) {
    std::ifstream file(dir / name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  };
  git({"init", "-q"});
  dir.write("conf/web.conf", "good");
  dir.write("other", "mine");
  git({"add", "-A"});
  git({"commit", "-q", "-m", "good"});
  dir.write("conf/web.conf", "bad");
  dir.write("conf/extra", "unknown to git");
  dir.write("other", "changed");
  core::GitRestoreAction action;
  action.path = dir.path();
  action.paths = {"conf"};
  const auto done = perform(command(ActionKind::GitRestore, action));
  EXPECT_EQ(done.outcome, CommandOutcome::Done) << done.detail;
  EXPECT_EQ(text("conf/web.conf"), "good");
  EXPECT_EQ(text("conf/extra"), "unknown to git");
  EXPECT_EQ(text("other"), "changed");
  core::GitRestoreAction back = action;
  back.ref = "before";
  const auto undone = perform(command(ActionKind::GitRestore, back));
  EXPECT_EQ(undone.outcome, CommandOutcome::Done) << undone.detail;
  EXPECT_EQ(text("conf/web.conf"), "bad");
  action.ref = "no-such-commit";
  EXPECT_EQ(perform(command(ActionKind::GitRestore, action)).outcome, CommandOutcome::Refused);
  action.path = dir / "conf/none";
  EXPECT_EQ(perform(command(ActionKind::GitRestore, action)).outcome, CommandOutcome::Failed);
}

// ---- sync

class Sync : public Commands {
 protected:
  Sync() {
    EXPECT_EQ(::chmod(dir_.path().c_str(), 0755), 0);  // Whoever may write there leads it astray.
    dir_.write("from/a/one", "one");
    dir_.write("from/two", "two");
    dir_.write("to/two", "TWO");  // Of the same size.
    dir_.write("to/old", "old");
    action_.from = dir_ / "from";
    action_.to = dir_ / "to";
    // Of the same time, too.
    std::filesystem::last_write_time(dir_ / "to/two",
                                     std::filesystem::last_write_time(dir_ / "from/two"));
  }
  CommandFinished sync() { return perform(command(ActionKind::Sync, action_)); }
  std::string text(const std::string& name) const {
    std::ifstream file(dir_ / name);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  static bool has_rsync() { return test::run({"sh", "-c", "command -v rsync >/dev/null"}) == 0; }

  TempDir dir_;
  core::SyncAction action_;
};

TEST_F(Sync, BringsAFolderInLineByItsContents) {
  if (!has_rsync()) GTEST_SKIP() << "no rsync here";
  action_.check_only = true;
  const auto differs = sync();
  EXPECT_EQ(differs.outcome, CommandOutcome::Failed);
  EXPECT_NE(differs.detail.find("two"), std::string::npos) << differs.detail;
  EXPECT_EQ(text("to/two"), "TWO");
  action_.check_only = false;
  const auto done = sync();
  EXPECT_EQ(done.outcome, CommandOutcome::Done) << done.detail;
  EXPECT_EQ(text("to/two"), "two");
  EXPECT_EQ(text("to/a/one"), "one");
  EXPECT_EQ(text("to/old"), "old");
  action_.remove = true;
  EXPECT_EQ(sync().outcome, CommandOutcome::Done);
  EXPECT_FALSE(std::filesystem::exists(dir_ / "to/old"));
  const auto again = sync();
  EXPECT_EQ(again.outcome, CommandOutcome::Done);
  EXPECT_NE(again.detail.find("is as"), std::string::npos) << again.detail;
  action_.check_only = true;
  EXPECT_EQ(sync().outcome, CommandOutcome::Done);
}

TEST_F(Sync, RefusesWhatWouldLoseData) {
  if (!has_rsync()) GTEST_SKIP() << "no rsync here";
  std::filesystem::create_directory(dir_ / "empty");
  action_.from = dir_ / "empty";
  action_.remove = true;
  EXPECT_EQ(sync().outcome, CommandOutcome::Refused);
  action_.from = dir_ / "nosuch";
  EXPECT_EQ(sync().outcome, CommandOutcome::Refused);
  // By way of a link, which the configuration cannot see.
  std::filesystem::create_directory_symlink(dir_ / "to", dir_ / "link");
  std::filesystem::create_directory(dir_ / "to/inner");
  action_.from = dir_ / "link/inner";
  EXPECT_EQ(sync().outcome, CommandOutcome::Refused);
  EXPECT_EQ(text("to/old"), "old");
}

TEST_F(Sync, RefusesTheRootAndWhatALinkLeadsTo) {
  if (!has_rsync()) GTEST_SKIP() << "no rsync here";
  std::filesystem::create_directory_symlink("/", dir_ / "root");
  std::filesystem::create_directory_symlink(dir_ / "to", dir_ / "link");
  action_.check_only = true;  // Whatever goes wrong here.
  const std::pair<std::string, std::string> wrong[] = {{dir_ / "from", "/"},
                                                       {dir_ / "from", "//"},
                                                       {"/", dir_ / "to"},
                                                       {dir_ / "from", "/tmp/.."},
                                                       {dir_ / "from", dir_ / "root"},
                                                       {dir_ / "from", dir_ / "link"},
                                                       {dir_ / "link", dir_ / "from"},
                                                       {dir_ / "from", dir_ / "no/where"}};
  for (const auto& [from, to] : wrong) {
    action_.from = from;
    action_.to = to;
    EXPECT_EQ(sync().outcome, CommandOutcome::Refused) << from << " to " << to;
  }
}

TEST_F(Sync, HasTheRightsOfWhoseFolderItIs) {
  if (!has_rsync() || ::geteuid() != 0) GTEST_SKIP() << "no rsync, or not root";
  constexpr uid_t kNobody = 65'534;
  for (const char* name : {"to", "to/two", "to/old"}) {
    ASSERT_EQ(::chown((dir_ / name).c_str(), kNobody, kNobody), 0);
  }
  const auto done = sync();
  EXPECT_EQ(done.outcome, CommandOutcome::Done) << done.detail;
  struct stat made {};
  ASSERT_EQ(::stat((dir_ / "to/a/one").c_str(), &made), 0);
  EXPECT_EQ(made.st_uid, kNobody);
  // Root's own, where somebody else could put a link in its place.
  std::filesystem::create_directories(dir_ / "theirs/to");
  ASSERT_EQ(::chown((dir_ / "theirs").c_str(), kNobody, kNobody), 0);
  action_.to = dir_ / "theirs/to";
  const auto racy = sync();
  EXPECT_EQ(racy.outcome, CommandOutcome::Refused) << racy.detail;
  EXPECT_FALSE(std::filesystem::exists(dir_ / "theirs/to/two"));
}

// A stand-in for rsync that ends as told: for what a live source does, and for its own exits.
TEST_F(Sync, ReadsTheExitsOfRsync) {
  dir_.write("bin/rsync", "#!/bin/sh\nexit $(cat " + dir_ / "exit" + ")\n");
  std::filesystem::permissions(dir_ / "bin/rsync", std::filesystem::perms::owner_all);
  const std::string path = std::getenv("PATH");
  ::setenv("PATH", (dir_ / "bin:" + path).c_str(), 1);
  dir_.write("exit", "24");
  const auto live = sync();
  dir_.write("exit", "3");
  const auto failed = sync();
  ::setenv("PATH", path.c_str(), 1);
  EXPECT_EQ(live.outcome, CommandOutcome::Done) << live.detail;
  EXPECT_EQ(failed.outcome, CommandOutcome::Failed) << failed.detail;
}

TEST_F(Sync, WaitsForTheOneOfAnEngineThatDied) {
  if (!has_rsync()) GTEST_SKIP() << "no rsync here";
  effectors_.at(ActionKind::Sync) =
      make_sync({.loop = loop_, .pool = pool_, .now = now}, dir_.path());
  EXPECT_EQ(sync().outcome, CommandOutcome::Done);
  std::string lock;
  for (const auto& entry : std::filesystem::directory_iterator(dir_.path())) {
    if (entry.path().extension() == ".lock") lock = entry.path();
  }
  ASSERT_FALSE(lock.empty());
  const int held = ::open(lock.c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  start(command(ActionKind::Sync, action_));
  loop_.restart();
  loop_.run_for(milliseconds(200));
  EXPECT_TRUE(ended_.empty());
  ::close(held);
  EXPECT_EQ(finish().outcome, CommandOutcome::Done);
}

}  // namespace
}  // namespace recover::adapters::command
