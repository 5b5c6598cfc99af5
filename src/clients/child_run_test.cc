// Real programs: what they read, what they print by line, how they are ended.
#include "clients/child_run.h"

#include <boost/asio/io_context.hpp>
#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace recover::clients {
namespace {

struct Told {
  ChildEnd end;
  std::vector<std::string> lines;
};

Told run(const std::string& script, std::optional<std::string> input) {
  boost::asio::io_context loop;
  Told told;
  ChildSpec spec{.command = {"sh", "-c", script}, .kill_rest = true};
  spec.input = std::move(input);
  spec.on_line = [&told](std::string_view line) { told.lines.emplace_back(line); };
  const auto started =
      ChildRun::start(loop, std::move(spec), [&told](ChildEnd end) { told.end = std::move(end); });
  EXPECT_TRUE(started.has_value());
  loop.run();
  return told;
}

TEST(ChildRunLines, AreToldOneByOneAndStderrIsApart) {
  const Told told = run("echo oops >&2; cat; printf 'no end'", "one\ntwo\n");
  EXPECT_TRUE(told.end.good());
  EXPECT_EQ(told.end.output, "oops");
  EXPECT_EQ(told.lines, (std::vector<std::string>{"one", "two", "no end"}));
}

TEST(ChildRunLines, MoreInputThanAPipeHolds) {
  const Told told = run("wc -c", std::string(1U << 20U, 'x'));
  ASSERT_EQ(told.lines.size(), 1U);
  EXPECT_EQ(told.lines[0], "1048576");
}

TEST(ChildRunLines, ALongLineIsCut) {
  const Told told = run("head -c 200000 /dev/zero | tr '\\0' x; echo; echo after", std::nullopt);
  ASSERT_EQ(told.lines.size(), 2U);
  EXPECT_EQ(told.lines[0].size(), ChildRun::kLineMax);
  EXPECT_EQ(told.lines[1], "after");
}

TEST(ChildRunLines, AskedToEndItCleansUp) {
  boost::asio::io_context loop;
  Told told;
  std::shared_ptr<ChildRun> child;
  ChildSpec spec{
      .command = {"sh", "-c", "trap 'echo bye; exit 3' TERM; echo ready; while :; do :; done"}};
  spec.on_line = [&](std::string_view line) {
    told.lines.emplace_back(line);
    if (line == "ready") child->ask_to_end();
  };
  child =
      *ChildRun::start(loop, std::move(spec), [&told](ChildEnd end) { told.end = std::move(end); });
  EXPECT_GT(child->pid(), 0);
  loop.run();
  EXPECT_EQ(child->pid(), 0);
  EXPECT_EQ(told.end.text(), "exit 3");
  EXPECT_EQ(told.lines, (std::vector<std::string>{"ready", "bye"}));
}

}  // namespace
}  // namespace recover::clients
