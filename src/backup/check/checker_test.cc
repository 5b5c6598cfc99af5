// Damage of every kind is found and named; a sound repository is called sound.
#include "backup/check/checker.h"

#include "test/restic_archive.h"

namespace recover::backup {
namespace {

using test::noise;
namespace fs = std::filesystem;

class Checks : public test::ResticArchive {
 protected:
  CheckReport check_all(bool read_data = true) {
    CheckProgress progress;
    auto report = check(*repository_, {.read_data = read_data}, progress);
    EXPECT_TRUE(report);
    return report ? *report : CheckReport();
  }
  std::vector<fs::path> files(const std::string& folder) {
    std::vector<fs::path> found;
    for (const auto& entry : fs::recursive_directory_iterator(restic_.repository + "/" + folder)) {
      if (entry.is_regular_file()) found.push_back(entry.path());
    }
    return found;
  }
};

TEST_F(Checks, OursAndResticsAreSound) {
  test::spill(data("a"), noise(3U << 20U));
  test::spill(data("b/c"), "text");
  back_up();
  ASSERT_TRUE(restic_.run("backup '" + data_ + "'")) << restic_.output;
  const CheckReport report = check_all();
  EXPECT_TRUE(report.is_sound()) << report.errors.at(0);
  EXPECT_EQ(report.snapshots, 2U);
  EXPECT_TRUE(report.hints.empty());
}

// A small repository, each of its bytes changed in turn: no change goes unnoticed.
TEST_F(Checks, EveryChangedByteIsFound) {
  test::spill(data("file"), "some text");
  back_up();
  ASSERT_TRUE(check_all().is_sound());
  std::size_t tried = 0;
  for (const std::string folder : {"data", "index", "snapshots"}) {
    for (const fs::path& path : files(folder)) {
      const std::string bytes = test::slurp(path);
      fs::permissions(path, fs::perms::owner_all);
      for (std::size_t at = 0; at < bytes.size(); ++at) {
        std::string changed = bytes;
        changed[at] = static_cast<char>(changed[at] ^ (1 << (at % 8)));
        test::spill(path, changed);
        EXPECT_FALSE(check_all().is_sound()) << path << " byte " << at;
        ++tried;
      }
      test::spill(path, bytes);
    }
  }
  EXPECT_GT(tried, 1000U);
  EXPECT_TRUE(check_all().is_sound());
}

TEST_F(Checks, NamesTheFilesThatDamageReaches) {
  test::spill(data("good"), "good");
  test::spill(data("deep/bad"), noise(2U << 20U));
  back_up();
  const std::vector<fs::path> packs = files("data");
  const fs::path pack = *std::max_element(
      packs.begin(), packs.end(),
      [](const fs::path& a, const fs::path& b) { return fs::file_size(a) < fs::file_size(b); });
  fs::permissions(pack, fs::perms::owner_all);
  std::string bytes = test::slurp(pack);
  bytes[bytes.size() / 2] = static_cast<char>(~bytes[bytes.size() / 2]);
  test::spill(pack, bytes);
  EXPECT_TRUE(check_all(false).is_sound()) << "only reading finds it";
  const CheckReport report = check_all();
  EXPECT_FALSE(report.is_sound());
  ASSERT_EQ(report.damaged_files.size(), 1U);
  EXPECT_NE(report.damaged_files[0].find("deep/bad"), std::string::npos);
}

TEST_F(Checks, MissingFilesAreFoundWithoutReading) {
  test::spill(data("file"), noise(100'000));
  back_up();
  for (const std::string folder : {"data", "index"}) {
    const fs::path victim = files(folder).at(0);
    const std::string bytes = test::slurp(victim);
    fs::remove(victim);
    EXPECT_FALSE(check_all(false).is_sound()) << folder;
    test::spill(victim, bytes);
  }
  EXPECT_TRUE(check_all().is_sound());
  test::spill(restic_.repository + "/data/00/" + std::string(64, '0'), "left behind by a crash");
  const CheckReport report = check_all(false);
  EXPECT_TRUE(report.is_sound());
  EXPECT_EQ(report.hints.size(), 1U);
}

}  // namespace
}  // namespace recover::backup
