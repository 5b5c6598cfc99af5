// The effector with scripts in the place of workers: they are told to end, not cut off.
#include "adapters/backup/restore_effector.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

#include "core/policy.h"

namespace recover::adapters::backup {
namespace {

using namespace std::chrono_literals;

class RestoreEffectorTest : public testing::Test {
 protected:
  RestoreEffectorTest() {
    char pattern[] = "/tmp/recover-restore-XXXXXX";
    folder_ = ::mkdtemp(pattern);
    backups_.repositories.resize(1);
    backups_.types.resize(1);
    backups_.types[0].name = "db";
    policy_.playbooks.resize(1);
    policy_.playbooks[0].steps.resize(1);
    policy_.playbooks[0].steps[0].with = core::RestoreBackupAction{.backup = "db", .paths = {}};
  }
  ~RestoreEffectorTest() override { std::filesystem::remove_all(folder_); }

  // A worker that takes back what it did when it is told to end, and says so.
  std::unique_ptr<RestoreEffector> make() {
    const std::string script =
        "trap 'echo \"{\\\"message_type\\\":\\\"result\\\",\\\"ok\\\":false,\\\"code\\\":\\\"X\\\","
        "\\\"error\\\":\\\"all is back\\\"}\"; exit 1' TERM; touch " +
        folder_ + "/begun; while :; do sleep 0.05; done";
    return std::make_unique<RestoreEffector>(
        effects::Tools{.loop = loop_, .pool = pool_, .now = [] { return Instant(0s); }},
        std::vector<std::string>{"sh", "-c", script},
        [this]() -> const core::BackupPolicy& { return backups_; });
  }
  void perform(RestoreEffector& effector, Duration limit, std::uint64_t id = 1) {
    core::Command command;
    command.id = core::CommandId{id};
    command.action = core::ActionKind::RestoreBackup;
    command.part = core::Part::Step;
    command.playbook = core::PlaybookIndex{0};
    command.deadline = Instant(limit);
    effector.perform(command, policy_,
                     [this](core::CommandFinished finished) { finished_ = std::move(finished); });
  }
  template <class Until>
  void turn(Until&& until) {
    for (int turns = 0; turns < 2000 && !until(); ++turns) {
      loop_.run_one_for(20ms);
      loop_.restart();
    }
    EXPECT_TRUE(until());
  }
  bool has_begun() const { return std::filesystem::exists(folder_ + "/begun"); }

  std::string folder_;
  boost::asio::io_context loop_;
  boost::asio::thread_pool pool_{1};
  core::BackupPolicy backups_;
  core::Policy policy_;
  std::optional<core::CommandFinished> finished_;
};

TEST_F(RestoreEffectorTest, AtItsDeadlineAWorkerTakesBackWhatItDid) {
  const auto effector = make();
  perform(*effector, 1s);
  turn([&] { return finished_.has_value(); });
  EXPECT_EQ(finished_->outcome, core::CommandOutcome::Failed);
  EXPECT_NE(finished_->detail.find("all is back"), std::string::npos) << finished_->detail;
}

TEST_F(RestoreEffectorTest, TheEndWaitsForIt) {
  const auto effector = make();
  bool stopped = false;
  perform(*effector, 1h);
  turn([&] { return has_begun(); });
  effector->stop([&] { stopped = true; });
  EXPECT_FALSE(stopped);
  perform(*effector, 1h, 2);
  turn([&] { return finished_.has_value(); });
  EXPECT_NE(finished_->detail.find("has not ended yet"), std::string::npos) << finished_->detail;
  turn([&] { return stopped; });
  ASSERT_TRUE(finished_);
  EXPECT_NE(finished_->detail.find("all is back"), std::string::npos) << finished_->detail;
  stopped = false;
  effector->stop([&] { stopped = true; });
  EXPECT_TRUE(stopped) << "there is none";
}

}  // namespace
}  // namespace recover::adapters::backup
