// Services that keep stderr apart: two logs, and one order where both are shown.
#include "adapters/process/error_output.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <variant>
#include <vector>

#include "adapters/process/supervisor.h"
#include "test/keeper_process.h"

namespace recover::adapters::process {
namespace {

class ErrorOutputTest : public testing::Test {
 protected:
  ErrorOutputTest() {
    policy_.services.resize(1);
    policy_.services[0].name = "two";
    policy_.services[0].spec = core::RunSpec{};
    spec().output.errors = "";
  }
  ~ErrorOutputTest() override {
    if (!supervisor_) return;
    bool stopped = false;
    supervisor_->stop_all(std::chrono::seconds(0), [&] { stopped = true; });
    run_until([&] { return stopped; });
  }

  core::RunSpec& spec() { return std::get<core::RunSpec>(policy_.services[0].spec); }
  template <class Condition>
  bool run_until(Condition condition) {
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(test::kPatienceMillis);
    while (!condition() && std::chrono::steady_clock::now() < until) {
      loop_.restart();
      loop_.run_one_for(std::chrono::milliseconds(100));
    }
    return condition();
  }
  core::CommandOutcome start(const std::string& script) {
    spec().command = {"sh", "-c", script};
    supervisor_ = std::make_unique<Supervisor>(
        loop_,
        SupervisorOptions{
            .state_dir = folder_.path(),
            .on_line = [this](auto, auto, std::string_view line) { lines_.emplace_back(line); },
            .cgroups = false},
        [this](core::Event event) { events_.push_back(std::move(event)); });
    supervisor_->watch(policy_);
    std::optional<core::CommandOutcome> outcome;
    core::Command command;
    command.id = core::CommandId{1};
    supervisor_->perform(command, policy_,
                         [&](const core::CommandFinished& done) { outcome = done.outcome; });
    EXPECT_TRUE(run_until([&] { return outcome.has_value(); }));
    return outcome.value_or(core::CommandOutcome::Unknown);
  }
  // Without the stamps.
  std::string said(std::optional<Stream> stream = {}) const {
    const core::ServiceIndex service{0};
    std::string text;
    for (const std::string& line :
         stream ? supervisor_->tail_of(service, 0, *stream) : supervisor_->tail(service, 0)) {
      text += line.substr(line.find(' ') + 1) + ";";
    }
    return text;
  }

  const test::Folder folder_;
  core::Policy policy_;
  boost::asio::io_context loop_{1};
  std::vector<std::string> lines_;
  std::vector<core::Event> events_;
  std::unique_ptr<Supervisor> supervisor_;
};

TEST_F(ErrorOutputTest, IsALogOfItsOwn) {
  start("echo one; sleep 0.02; echo two >&2; sleep 0.02; echo three; exec sleep 1000");
  ASSERT_TRUE(run_until([&] { return said() == "one;two;three;"; })) << said();
  EXPECT_EQ(said(Stream::Output), "one;three;");
  EXPECT_EQ(said(Stream::Error), "two;");
  EXPECT_EQ(lines_.size(), 3U);
  EXPECT_EQ(supervisor_->recorded({0}, 0, Stream::Error), std::string("two\n").size() + 25);
  supervisor_->clear_output({0}, 0);
  EXPECT_EQ(said(), "");
}

TEST_F(ErrorOutputTest, GoesToAFileThatRotates) {
  spec().output.errors = folder_ / "log/errors";
  spec().output.rotate = 4'096;
  spec().output.keep = 1;
  start("i=0; while [ $i -lt 200 ]; do echo trouble $i >&2; i=$((i+1)); done; exec sleep 1000");
  ASSERT_TRUE(run_until([&] { return said().ends_with("trouble 199;"); })) << said();
  std::ifstream file(folder_ / "log/errors");
  std::stringstream text;
  text << file.rdbuf();
  EXPECT_NE(text.str().find("trouble 199\n"), std::string::npos);
  EXPECT_LE(text.str().size(), 4'096U);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "log/errors.1"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "log/errors.2"));
  EXPECT_EQ(said(Stream::Output), "");
}

TEST_F(ErrorOutputTest, ItsLastLinesGoWithAnUnexpectedEnd) {
  start("echo working; sleep 0.02; echo out of luck >&2; exit 3");
  const auto ended = [&] {
    return std::ranges::any_of(events_, [](const core::Event& event) {
      return std::holds_alternative<core::ProcessExited>(event);
    });
  };
  ASSERT_TRUE(run_until(ended));
  for (const core::Event& event : events_) {
    const auto* exited = std::get_if<core::ProcessExited>(&event);
    if (exited == nullptr) continue;
    EXPECT_NE(exited->output.find("working"), std::string::npos) << exited->output;
    EXPECT_NE(exited->output.find("out of luck"), std::string::npos) << exited->output;
  }
}

TEST_F(ErrorOutputTest, OfCommandsBeforeAndAfterToo) {
  spec().before = {{"sh", "-c", "echo before >&2"}};
  spec().after = {{"sh", "-c", "echo after >&2"}};
  start("exit 3");
  ASSERT_TRUE(run_until([&] { return said(Stream::Error) == "before;after;"; }))
      << said(Stream::Error) << " and " << said();
}

// Neither of the two is waited for: a flood on one does not hold up the other.
TEST_F(ErrorOutputTest, AFloodHoldsNothingUp) {
  spec().output.rate = 1U << 20U;
  start("head -c 8000000 /dev/zero | tr '\\0' x | fold -w 1000 >&2; echo end; exec sleep 1000");
  ASSERT_TRUE(run_until([&] { return said(Stream::Output) == "end;"; }));
  EXPECT_GT(supervisor_->instances({0})[0].dropped_lines, 0U);
}

TEST_F(ErrorOutputTest, IsSilentWhereBothAreOne) {
  spec().output.errors = std::nullopt;
  start("echo one; echo two >&2; exec sleep 1000");
  ASSERT_TRUE(run_until([&] { return said() == "one;two;"; }));
  EXPECT_EQ(said(Stream::Error), "");
  EXPECT_EQ(supervisor_->recorded({0}, 0, Stream::Error), 0U);
}

}  // namespace
}  // namespace recover::adapters::process
