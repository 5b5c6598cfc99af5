#include "config/diff.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "config/load.h"
#include "config/memory_files.h"

namespace recover::config {
namespace {

using Names = std::vector<std::string>;

core::Policy policy_of(const std::string& services, const std::string& rest = {}) {
  MemoryFiles files(Texts{{"/c.yaml", "version: 1\nservices:\n" + services + rest}});
  auto loaded = load("/c.yaml", files);
  EXPECT_TRUE(loaded.has_value()) << to_string(loaded.error().front());
  return loaded ? std::move(loaded).value().policy : core::Policy{};
}

constexpr const char* kTwo = "  a: {run: {command: [a]}}\n  b: {systemd: b, depends_on: [a]}\n";

TEST(Diff, OfTheSameIsEmpty) {
  const Diff same = diff(policy_of(kTwo), policy_of(kTwo));
  EXPECT_TRUE(same.empty());
  EXPECT_EQ(same.unchanged, (Names{"a", "b"}));
}

TEST(Diff, APositionThatMovedIsNoChange) {
  const core::Policy after = policy_of(
      "  z: {systemd: z}\n  b: {systemd: b, depends_on: [a]}\n  a: {run: {command: [a]}}\n");
  const Diff moved = diff(policy_of(kTwo), after);
  EXPECT_EQ(moved.added, Names{"z"});
  EXPECT_EQ(moved.unchanged, (Names{"b", "a"}));
  EXPECT_TRUE(moved.sections.empty());
}

TEST(Diff, TellsARestartFromAChange) {
  EXPECT_EQ(diff(policy_of(kTwo), policy_of("  a: {run: {command: [a, -v]}}\n")).restarted,
            Names{"a"});
  EXPECT_EQ(diff(policy_of(kTwo), policy_of("  a: {run: {command: [a]}}\n")).removed, Names{"b"});
  const Diff stop =
      diff(policy_of(kTwo),
           policy_of("  a: {run: {command: [a], stop: {timeout: 1s}, instances: 2}}\n"));
  EXPECT_EQ(stop.changed, Names{"a"});
  EXPECT_TRUE(stop.restarted.empty());
  EXPECT_EQ(diff(policy_of(kTwo), policy_of("  a: {systemd: a}\n")).restarted, Names{"a"});
  EXPECT_EQ(diff(policy_of(kTwo), policy_of("  a: {run: {command: [a]}, priority: low}\n")).changed,
            Names{"a"});
}

TEST(Diff, NamesTheSectionsThatChanged) {
  const core::Policy after = policy_of(
      kTwo, "checkpoint: {keep: 2}\nauto_recovery: {safety: {cooldown: 1s}}\nstate_dir: /x\n");
  EXPECT_EQ(diff(policy_of(kTwo), after).sections,
            (Names{"state_dir", "auto_recovery", "checkpoint"}));
}

}  // namespace
}  // namespace recover::config
