#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "adapters/files/effectors.h"
#include "test/servers/child.h"
#include "test/step_command.h"

namespace recover::adapters::files {
namespace {

namespace fs = std::filesystem;
using core::CommandOutcome;
using test::TempDir;

core::CommandFinished rotate(const core::RotateLogsAction& action) {
  const auto [policy, command] = test::step_command(core::ActionKind::RotateLogs, action);
  boost::asio::io_context loop;
  boost::asio::thread_pool pool(1);
  const auto effector = make_rotate_logs(
      {.loop = loop, .pool = pool, .now = [] { return std::chrono::steady_clock::now(); }});
  std::vector<core::CommandFinished> ended;
  effector->perform(command, policy, [&](core::CommandFinished f) { ended.push_back(f); });
  loop.run();
  pool.join();
  return ended.at(0);
}

core::RotateLogsAction logs_in(const TempDir& dir) {
  core::RotateLogsAction action;
  action.roots = {dir.path()};
  action.globs = {"**/*.log*"};
  return action;
}

std::string text_of(const std::string& path) {
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

TEST(RotateLogs, ShiftsAndBeginsAnewAndForgetsTheOldest) {
  TempDir dir;
  core::RotateLogsAction action = logs_in(dir);
  action.keep = 2;
  for (const char* text : {"first", "second", "third"}) {
    dir.write("deep/a.log", text);
    ::chmod((dir / "deep/a.log").c_str(), 0640);
    const auto ended = rotate(action);
    EXPECT_EQ(ended.outcome, CommandOutcome::Done) << ended.detail;
    EXPECT_NE(ended.detail.find("rotated 1 log: "), std::string::npos) << ended.detail;
  }
  EXPECT_EQ(fs::file_size(dir / "deep/a.log"), 0U);
  EXPECT_EQ(fs::status(dir / "deep/a.log").permissions(), fs::perms{0640});
  EXPECT_EQ(text_of(dir / "deep/a.log.1"), "third");
  EXPECT_EQ(text_of(dir / "deep/a.log.2"), "second");
  EXPECT_FALSE(fs::exists(dir / "deep/a.log.3"));
  // An empty one is not rotated, nor are old ones: nothing is left to do.
  EXPECT_EQ(rotate(action).outcome, CommandOutcome::Refused);
}

TEST(RotateLogs, TruncatesForWhoKeepsItsFileOpen) {
  TempDir dir;
  const std::string path = dir.write("a.log", "before ");
  std::ofstream writer(path, std::ios::app);
  core::RotateLogsAction action = logs_in(dir);
  action.truncate = true;
  EXPECT_EQ(rotate(action).outcome, CommandOutcome::Done);
  writer << "after" << std::flush;
  EXPECT_EQ(text_of(path), "after");
  EXPECT_EQ(text_of(dir / "a.log.1"), "before ");
}

TEST(RotateLogs, IsBoundedAndStaysInside) {
  TempDir dir;
  TempDir outside;
  outside.write("b.log", "x");
  fs::create_directory_symlink(outside.path(), dir / "out");
  fs::create_symlink(outside / "b.log", dir / "link.log");
  dir.write("a.log", "x");
  dir.write("big.log", std::string(5'000, 'x'));
  dir.write("c.log", "x");
  core::RotateLogsAction action = logs_in(dir);
  action.larger_than = 1'000;
  EXPECT_NE(rotate(action).detail.find("rotated 1 log: " + dir / "big.log"), std::string::npos);
  action.larger_than = 0;
  action.max_files = 1;
  EXPECT_NE(rotate(action).detail.find("rotated 1 log: " + dir / "a.log"), std::string::npos);
  EXPECT_EQ(text_of(dir / "c.log"), "x");
  EXPECT_EQ(text_of(outside / "b.log"), "x");
  EXPECT_FALSE(fs::exists(outside / "b.log.1"));
  action.roots = {"/etc"};
  EXPECT_EQ(rotate(action).outcome, CommandOutcome::Refused);
  // A folder where an old one should go is nobody's to remove.
  TempDir odd;
  odd.write("a.log", "x");
  fs::create_directory(odd / "a.log.1");
  EXPECT_EQ(rotate(logs_in(odd)).outcome, CommandOutcome::Failed);
  EXPECT_EQ(text_of(odd / "a.log"), "x");
}

}  // namespace
}  // namespace recover::adapters::files
