#include "backup/store/local_folders.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <memory>

#include "backup/store/local_store.h"
#include "backup/store/mirror/mirror_store.h"
#include "test/temp_folder.h"

namespace recover::backup {
namespace {

TEST(LocalFolders, AreThoseOfEveryMemberAsNamedAndWithoutLinks) {
  const test::TempFolder folder;
  const std::string real = std::filesystem::canonical(folder.path());
  std::filesystem::create_directories(real + "/one");
  std::filesystem::create_directory_symlink(real + "/one", real + "/link");
  EXPECT_EQ(local_folders(LocalStore(real + "/one")), std::vector{real + "/one"});
  std::vector<MirrorMember> members;
  members.push_back({.name = "primary", .store = std::make_unique<LocalStore>(real + "/link")});
  const MirrorStore mirror(std::move(members), {.name = "m", .state_path = {}});
  EXPECT_EQ(local_folders(mirror), (std::vector{real + "/link", real + "/one"}));
}

}  // namespace
}  // namespace recover::backup
