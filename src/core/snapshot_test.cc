// What may stand in a state may stand in a snapshot.
#include "core/snapshot.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <string>

#include "core/migrate.h"
#include "test/core/story.h"

namespace recover::core {
namespace {

TEST(Snapshot, HoldsCommandsOfEveryKind) {
  const Policy policy = story_policy({run_service("web")});
  for (std::size_t kind = 0; kind < count_of<ActionKind>(); ++kind) {
    State state = initial_state(policy, Instant{hours{1}});
    Command command;
    command.id = CommandId{1};
    command.action = static_cast<ActionKind>(kind);
    state.in_flight.emplace(command.id, command);
    state.next_command = 2;
    const auto read = read_snapshot(policy, write_snapshot(policy, state, kNever));
    ASSERT_TRUE(read.has_value()) << to_string(command.action);
  }
}

TEST(Snapshot, TellsThatAnEarlierProgramWroteIt) {
  const Policy policy = story_policy({run_service("web")});
  std::string text = write_snapshot(policy, initial_state(policy, Instant{hours{1}}), kNever);
  EXPECT_TRUE(is_of_this_version(text));
  text[4] = static_cast<char>(kSnapshotVersion - 1);
  EXPECT_FALSE(is_of_this_version(text));
  EXPECT_FALSE(is_of_this_version("?"));
}

}  // namespace
}  // namespace recover::core
