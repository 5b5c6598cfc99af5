// Commands in, outcomes back on the loop's thread.
#include "adapters/checkpoint/checkpoint_effector.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "adapters/checkpoint/repository_store.h"
#include "test/temp_folder.h"

namespace recover::adapters::checkpoint {
namespace {

using core::ActionKind;
using core::Command;
using core::CommandFinished;
using core::CommandOutcome;

class CheckpointEffectorTest : public ::testing::Test {
 protected:
  CheckpointEffectorTest() {
    auto opened = RepositoryStore::open({.root = folder_ / "checkpoints", .worker = BACKUP_WORKER});
    EXPECT_TRUE(opened);
    store_ = std::move(*opened);
    policy_.services.resize(1);
    policy_.services[0].name = "web";
    policy_.services[0].state = {folder_ / "conf"};
    policy_.checkpoint.keep = 2;
    effector_ = std::make_unique<CheckpointEffector>(
        loop_, *store_, CheckpointEffectorOptions{.facts = [](core::ServiceIndex) {
          return ports::CheckpointFacts{{"pid", "7"}};
        }});
    put("good");
  }

  void put(const std::string& text) { std::ofstream(folder_ / "conf") << text; }
  std::string get() {
    std::ifstream in(folder_ / "conf");
    return {std::istreambuf_iterator<char>(in), {}};
  }
  Command command(ActionKind action, std::string text = "") {
    Command made;
    made.id = core::CommandId{++last_id_};
    made.action = action;
    made.part = core::Part::Checkpoint;
    made.text = std::move(text);
    return made;
  }
  CommandFinished perform(const Command& wanted) {
    std::vector<CommandFinished> results;
    effector_->perform(wanted, policy_, [&](CommandFinished result) {
      EXPECT_EQ(std::this_thread::get_id(), loop_thread_);
      results.push_back(std::move(result));
    });
    EXPECT_TRUE(results.empty()) << "never from within perform()";
    loop_.restart();
    loop_.run();
    EXPECT_EQ(results.size(), 1U);
    if (results.size() != 1) return {};
    EXPECT_EQ(results[0].command, wanted.id);
    return results[0];
  }

  test::TempFolder folder_{test::TempFolder::memory()};
  boost::asio::io_context loop_;
  std::thread::id loop_thread_ = std::this_thread::get_id();
  std::unique_ptr<RepositoryStore> store_;
  core::Policy policy_;
  std::unique_ptr<CheckpointEffector> effector_;
  std::uint64_t last_id_ = 0;
};

TEST_F(CheckpointEffectorTest, TakesAndRestores) {
  const auto taken = perform(command(ActionKind::Checkpoint));
  EXPECT_EQ(taken.outcome, CommandOutcome::Done) << taken.detail;
  EXPECT_FALSE(taken.checkpoint.empty());
  EXPECT_EQ(store_->show("web", ports::kLastGood).value().info.id, taken.checkpoint);
  EXPECT_EQ(store_->show("web", ports::kLastGood).value().info.facts.at(0).second, "7");
  put("broken");
  const auto restored = perform(command(ActionKind::RestoreCheckpoint));
  EXPECT_EQ(restored.outcome, CommandOutcome::Done) << restored.detail;
  EXPECT_EQ(restored.checkpoint, taken.checkpoint);
  EXPECT_NE(restored.detail.find("conf"), std::string::npos);
  EXPECT_EQ(get(), "good");
}

TEST_F(CheckpointEffectorTest, NamesComeFromTheTextThenTheStepThenTheRecovery) {
  policy_.playbooks.resize(1);
  policy_.playbooks[0].steps.resize(1);
  policy_.playbooks[0].steps[0].with = core::CheckpointAction{.name = "of-the-step"};
  Command step = command(ActionKind::Checkpoint);
  step.part = core::Part::Step;
  step.playbook = core::PlaybookIndex{0};
  step.recovery = core::RecoveryId{9};
  perform(step);
  EXPECT_TRUE(store_->show("web", "of-the-step"));
  step.id = core::CommandId{++last_id_};
  step.text = "of-the-command";
  perform(step);
  EXPECT_TRUE(store_->show("web", "of-the-command"));
  Command saga = command(ActionKind::Checkpoint);
  saga.recovery = core::RecoveryId{9};
  perform(saga);
  EXPECT_TRUE(store_->show("web", "recovery-9"));
}

TEST_F(CheckpointEffectorTest, GivesACandidateItsNameAndKeepsTheOneBeforeInReach) {
  const auto name = [this](const std::string& id, std::string_view as) {
    Command naming = command(ActionKind::Checkpoint, std::string(as));
    naming.checkpoint = id;
    return perform(naming);
  };
  const auto id_of = [this](std::string_view called) {
    const auto shown = store_->show("web", called);
    return shown ? shown->info.id : std::string();
  };
  const std::string good = perform(command(ActionKind::Checkpoint, "candidate")).checkpoint;
  EXPECT_EQ(id_of(ports::kLastGood), "") << "a candidate is only a candidate";
  put("edited since");
  EXPECT_EQ(name(good, ports::kLastGoodStarted).checkpoint, good);
  EXPECT_EQ(id_of(ports::kLastGood), good) << "what was taken, not what is there now";
  EXPECT_EQ(id_of(ports::kLastGoodStarted), good);
  const std::string unread = perform(command(ActionKind::Checkpoint, "candidate")).checkpoint;
  name(unread, ports::kLastGood);
  EXPECT_EQ(id_of(ports::kLastGood), unread);
  EXPECT_EQ(id_of(ports::kLastGoodStarted), good);
  // What is there is last-good already: back to what was started with.
  const auto back = perform(command(ActionKind::RestoreCheckpoint, "last-good"));
  EXPECT_EQ(back.checkpoint, good);
  EXPECT_EQ(get(), "good");
  EXPECT_EQ(name("no-such-checkpoint", ports::kLastGood).outcome, CommandOutcome::Refused);
}

TEST_F(CheckpointEffectorTest, SaysWhatWentWrong) {
  EXPECT_EQ(perform(command(ActionKind::RestoreCheckpoint, "none")).outcome,
            CommandOutcome::Refused);
  EXPECT_EQ(perform(command(ActionKind::Restart)).outcome, CommandOutcome::Refused);
  Command late = command(ActionKind::Checkpoint);
  late.deadline = SteadyClock::instance().now();
  EXPECT_EQ(perform(late).outcome, CommandOutcome::Failed);
}

TEST_F(CheckpointEffectorTest, SettlesWithoutChangingAnything) {
  perform(command(ActionKind::Checkpoint));
  Command settle = command(ActionKind::RestoreCheckpoint);
  settle.settle = true;
  EXPECT_EQ(perform(settle).outcome, CommandOutcome::Done);
  put("broken");
  settle.id = core::CommandId{++last_id_};
  EXPECT_EQ(perform(settle).outcome, CommandOutcome::Unknown);
  EXPECT_EQ(get(), "broken");
  Command taking = command(ActionKind::Checkpoint, "new");
  taking.settle = true;
  EXPECT_EQ(perform(taking).outcome, CommandOutcome::Unknown);
  EXPECT_FALSE(store_->show("web", "new"));
}

TEST_F(CheckpointEffectorTest, ACancelledCommandStillAnswers) {
  const Command wanted = command(ActionKind::Checkpoint);
  int answers = 0;
  effector_->perform(wanted, policy_, [&](CommandFinished) { ++answers; });
  effector_->cancel(wanted.id);
  effector_->cancel(core::CommandId{99});
  effector_.reset();
  loop_.restart();
  loop_.run();
  EXPECT_EQ(answers, 1);
}

TEST_F(CheckpointEffectorTest, OldOnesGo) {
  for (int i = 0; i < 6; ++i) {
    put("version " + std::to_string(i));
    Command saga = command(ActionKind::Checkpoint);
    saga.recovery = core::RecoveryId{static_cast<std::uint64_t>(i + 1)};
    perform(saga);
  }
  EXPECT_EQ(store_->list("web").value().size(), 2U);
}

}  // namespace
}  // namespace recover::adapters::checkpoint
