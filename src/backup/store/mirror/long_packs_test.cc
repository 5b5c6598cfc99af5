// Packs that are too long to be held, on their way from one member of a mirror to another.
#include <gtest/gtest.h>

#include "backup/store/local_store.h"
#include "backup/store/mirror/mirror_store.h"
#include "test/temp_folder.h"

namespace recover::backup {
namespace {

TEST(LongPacks, AreCopiedToAMemberAndOnlyWhole) {
  const test::TempFolder folder{test::TempFolder::memory()};
  std::vector<MirrorMember> members;
  members.push_back({.name = "primary", .store = std::make_unique<LocalStore>(folder / "primary")});
  members.push_back({.name = "emergency",
                     .store = std::make_unique<LocalStore>(folder / "emergency"),
                     .writes = MirrorMember::Writes::Later});
  MirrorStore mirror(std::move(members),
                     MirrorOptions{.name = "test", .state_path = folder / "state"});
  ASSERT_TRUE(mirror.prepare());
  ASSERT_TRUE(mirror.write(FileName(), view_of("config")));
  const Bytes bytes((std::size_t{21} << 20U) + 5, 7);
  const FileName good{.kind = FileKind::Pack, .id = sha256(bytes)};
  ASSERT_TRUE(mirror.write(good, bytes));
  EXPECT_TRUE(mirror.catch_up({}).problems.empty());
  LocalStore emergency(folder / "emergency");
  EXPECT_EQ(emergency.read(good).value(), bytes);

  const FileName damaged{.kind = FileKind::Pack, .id = sha256(view_of("other bytes"))};
  ASSERT_TRUE(mirror.write(damaged, bytes));
  EXPECT_FALSE(mirror.catch_up({}).problems.empty());
  EXPECT_FALSE(emergency.size(damaged)) << "what is damaged gets no name there";
}

}  // namespace
}  // namespace recover::backup
