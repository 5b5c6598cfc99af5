#include "backup/local/spilled_keys.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "test/temp_folder.h"

namespace recover::backup {
namespace {

// As good as random: an odd multiplier never gives the same twice.
SpilledKeys::Key key_of(std::uint64_t number) {
  return {number * 0x9E3779B97F4A7C15U, number};
}

TEST(SpilledKeySets, TakeEachKeyOnceInMemoryAndInAFile) {
  const test::TempFolder folder;
  SpilledKeys spilled(folder.path());
  SpilledKeys in_memory{std::string()};
  constexpr std::uint64_t kKeys = 200'000;
  for (std::uint64_t number = 0; number < kKeys; ++number) {
    ASSERT_TRUE(spilled.insert(key_of(number)));
    ASSERT_TRUE(in_memory.insert(key_of(number)));
  }
  for (std::uint64_t number = 0; number < kKeys; ++number) {
    ASSERT_FALSE(spilled.insert(key_of(number)));
    ASSERT_FALSE(in_memory.insert(key_of(number)));
  }
  EXPECT_EQ(spilled.size(), kKeys);
  EXPECT_TRUE(spilled.is_spilled());
  EXPECT_FALSE(in_memory.is_spilled());
  EXPECT_TRUE(std::filesystem::is_empty(folder.path())) << "its file has no name";
}

}  // namespace
}  // namespace recover::backup
