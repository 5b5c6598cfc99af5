// Backups judged by the real restic: the same trees to the byte, sound packs, identical restores.
#include "backup/archive/archiver.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <set>

#include "backup/archive/exclude.h"
#include "backup/format/tree.h"
#include "test/restic_archive.h"

namespace recover::backup {
namespace {

using test::noise;

class Archives : public test::ResticArchive {
 protected:
  // The tree of the snapshot that restic makes now.
  Digest restic_tree() {
    std::set<Digest> before;
    const auto earlier = repository_->snapshots();
    for (const auto& one : *earlier) before.insert(one.id);
    EXPECT_TRUE(restic_.run("backup '" + data_ + "'")) << restic_.output;
    const auto now = repository_->snapshots();
    for (const auto& one : *now) {
      if (!before.contains(one.id)) return one.snapshot.tree;
    }
    return {};
  }
  void restic_restores_the_same() {
    EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output;
    std::filesystem::remove_all(folder_ / "out");
    EXPECT_TRUE(restic_.run("restore latest --target '" + folder_ / "out" + "'")) << restic_.output;
    EXPECT_TRUE(are_alike(data_, folder_ / "out" + data_));
  }
  // The tree of data_ below a snapshot's root. The folders above it change with every other test.
  Digest tree_of_data(Digest tree) {
    const BlobIndex index = repository_->load_index().value();
    BlobCodec codec(repository_->key(), kDefaultLevel);
    for (const std::filesystem::path& part : std::filesystem::path(data_).relative_path()) {
      const auto text = repository_->load_blob(index, {.id = tree, .type = BlobType::Tree}, codec);
      EXPECT_TRUE(text && read_tree(text_of(*text), [&](Node&& node) -> Outcome<void> {
                    if (node.name == part) tree = node.subtree.value();
                    return {};
                  }));
    }
    return tree;
  }
};

TEST_F(Archives, EveryKindOfEntryAsResticHasIt) {
  test::spill(data("text"), "hello\n");
  test::spill(data("empty"), "");
  test::spill(data("a \"quote\" \\ \n\a\xff\xc2\xa0\xf0\x9f\x98\x80"), "odd");
  test::spill(data("deep/er/file"), noise(100'000));
  test::spill(data("large"), noise(9U << 20U));
  test::spill(data("zeros"), std::string(3U << 20U, '\0'));
  std::filesystem::create_directories(data("empty folder"));
  std::filesystem::create_hard_link(data("text"), data("hard"));
  std::filesystem::create_symlink("no \xc3\xa9 where <&>", data("link"));
  ASSERT_EQ(::mkfifo(data("fifo").c_str(), 0600), 0);
  if (::geteuid() == 0) {
    ASSERT_EQ(::mknod(data("null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
  }
  ASSERT_EQ(::chmod(data("text").c_str(), 04751), 0);
  ::setxattr(data("text").c_str(), "user.b", "\0\1", 2, 0);
  ::setxattr(data("text").c_str(), "user.a", "", 0, 0);
  const timespec times[2] = {{.tv_sec = -5, .tv_nsec = 120}, {.tv_sec = -5, .tv_nsec = 120}};
  ASSERT_EQ(::utimensat(AT_FDCWD, data("empty").c_str(), times, 0), 0);

  const ArchiveReport report = back_up();
  EXPECT_EQ(report.problem_count, 0U);
  EXPECT_EQ(tree_of_data(restic_tree()), tree_of_data(report.snapshot.tree)) << "byte for byte";
  restic_restores_the_same();
}

TEST_F(Archives, NothingChangedStoresNothing) {
  for (int i = 0; i < 200; ++i) test::spill(data("f" + std::to_string(i)), std::to_string(i));
  const ArchiveReport first = back_up();
  EXPECT_EQ(first.snapshot.summary->files_new, 200U);
  const ArchiveReport second = back_up();
  EXPECT_EQ(second.snapshot.summary->files_unmodified, 200U);
  EXPECT_EQ(second.snapshot.summary->data_blobs + second.snapshot.summary->tree_blobs, 0U);
  EXPECT_EQ(second.snapshot.tree, first.snapshot.tree);
  EXPECT_EQ(second.snapshot.parent, first.id);

  test::spill(data("f7"), "seven");
  std::filesystem::remove(data("f8"));
  const ArchiveReport third = back_up();
  EXPECT_EQ(third.snapshot.summary->files_changed, 1U);
  EXPECT_EQ(third.snapshot.summary->files_unmodified, 198U);
  restic_restores_the_same();
}

// A folder that is read lot by lot, with folders in it, and again with what changed.
TEST_F(Archives, AGiantFolderIsTheSameTreeAsIfItWereHeld) {
  for (int i = 0; i < 90; ++i) {
    test::spill(data("f" + std::to_string(i)), std::to_string(i));
    if (i % 10 == 0) test::spill(data("e" + std::to_string(i) + "/below"), std::to_string(i));
  }
  const Digest held = back_up().snapshot.tree;
  options_.giant_entries = 20;
  options_.ignore_parent = true;
  EXPECT_EQ(back_up().snapshot.tree, held);
  options_.ignore_parent = false;
  const ArchiveReport again = back_up();
  EXPECT_EQ(again.snapshot.tree, held);
  EXPECT_EQ(again.snapshot.summary->files_unmodified, 99U);
  test::spill(data("f55"), "changed");
  std::filesystem::remove(data("f56"));
  const ArchiveReport changed = back_up();
  EXPECT_EQ(changed.snapshot.summary->files_changed, 1U);
  EXPECT_EQ(changed.snapshot.summary->files_unmodified, 97U);
  options_.giant_entries = 1000;
  options_.ignore_parent = true;
  EXPECT_EQ(back_up().snapshot.tree, changed.snapshot.tree);
  restic_restores_the_same();
}

// What is taken over from the parent's tree and what is read anew make one tree.
TEST_F(Archives, WhatStayedAndWhatDidNotAreTheTreeOfAFreshBackup) {
  for (int i = 0; i < 20; ++i) test::spill(data("d/f" + std::to_string(i)), std::to_string(i));
  for (int i = 0; i < 3; ++i) {
    test::spill(data("large" + std::to_string(i)), noise(3U << 20U, std::to_string(i)));
  }
  test::spill(data("d/below/leaf"), "leaf");
  const auto same_as_fresh = [&] {
    const Digest tree = tree_of_data(back_up().snapshot.tree);
    options_.ignore_parent = true;
    EXPECT_EQ(tree_of_data(back_up().snapshot.tree), tree);
    options_.ignore_parent = false;
  };
  back_up();
  same_as_fresh();
  std::filesystem::remove(data("d/f0"));
  same_as_fresh();
  std::filesystem::remove(data("d/f9"));  // The last by name.
  same_as_fresh();
  test::spill(data("d/f99"), "a new last");
  test::spill(data("d/a"), "a new first");
  same_as_fresh();
  test::spill(data("d/below/leaf"), "changed");
  test::spill(data("large1"), noise(3U << 20U, "other"));
  same_as_fresh();
  std::filesystem::remove(data("d/f5"));
  std::filesystem::create_directory(data("d/f5"));
  same_as_fresh();
  std::filesystem::remove_all(data("d/below"));
  same_as_fresh();
  restic_restores_the_same();
}

TEST_F(Archives, GoesOnFromAResticSnapshot) {
  for (int i = 0; i < 50; ++i)
    test::spill(data("d/f" + std::to_string(i)), noise(1000, std::to_string(i)));
  ASSERT_TRUE(restic_.run("backup '" + data_ + "'")) << restic_.output;
  const ArchiveReport report = back_up();
  EXPECT_EQ(report.snapshot.summary->files_unmodified, 50U);
  EXPECT_EQ(report.snapshot.summary->data_blobs, 0U);
}

TEST_F(Archives, UnreadableFilesAreProblemsNotTheEnd) {
  test::spill(data("good"), "good");
  options_.paths.push_back(folder_ / "nowhere");
  const ArchiveReport report = back_up();
  ASSERT_EQ(report.problem_count, 1U);
  EXPECT_NE(report.problems[0].find("nowhere"), std::string::npos);
  options_.paths = {folder_ / "nowhere"};
  ArchiveProgress progress;
  EXPECT_EQ(archive(*repository_, options_, progress).error().kind, FailureKind::NotFound);
}

TEST_F(Archives, LeavesOutWhatIsExcluded) {
  test::spill(data("keep/a.txt"), "a");
  test::spill(data("keep/b.log"), "b");
  test::spill(data("cache/c.txt"), "c");
  options_.excludes = {"*.log", data("cache")};
  back_up();
  ASSERT_TRUE(restic_.run("ls latest")) << restic_.output;
  EXPECT_NE(restic_.output.find("a.txt"), std::string::npos);
  EXPECT_EQ(restic_.output.find("b.log"), std::string::npos);
  EXPECT_EQ(restic_.output.find("cache"), std::string::npos);
}

TEST_F(Archives, AFileAndAFolderAndARelativePath) {
  test::spill(data("one"), "1");
  test::spill(data("two/three"), "3");
  const std::string here = std::filesystem::current_path().string();
  std::filesystem::current_path(data_);
  options_.paths = {"one", "two", data("two/three")};
  const ArchiveReport report = back_up();
  std::filesystem::current_path(here);
  EXPECT_EQ(report.problem_count, 0U);
  EXPECT_EQ(report.snapshot.paths,
            (std::vector<std::string>{data("one"), data("two"), data("two/three")}));
  ASSERT_TRUE(restic_.run("ls latest")) << restic_.output;
  for (const std::string& path :
       {std::string("/one"), std::string("/two/three"), data("two/three")}) {
    EXPECT_NE(restic_.output.find("\n" + path + "\n"), std::string::npos) << restic_.output;
  }
}

TEST_F(Archives, DeeperThanTheLongestPath) {
  const std::string name(200, 'n');
  int folder = ::open(folder_.path().c_str(), O_DIRECTORY | O_CLOEXEC);
  ASSERT_EQ(::mkdirat(folder, "data", 0700), 0);
  for (int depth = 0; depth < 100; ++depth) {
    const std::string& next = depth == 0 ? std::string("data") : name;
    if (depth > 0) {
      ASSERT_EQ(::mkdirat(folder, name.c_str(), 0700), 0);
    }
    const int below = ::openat(folder, next.c_str(), O_DIRECTORY | O_CLOEXEC);
    ::close(folder);
    folder = below;
  }
  ASSERT_GE(folder, 0);
  ::close(::openat(folder, "leaf", O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
  ::close(folder);
  const ArchiveReport report = back_up();
  EXPECT_EQ(report.problem_count, 0U) << report.problems.at(0);
  EXPECT_EQ(report.snapshot.summary->files_new, 1U);
  EXPECT_TRUE(restic_.run("check --read-data")) << restic_.output;
}

TEST(ExcludeList, PatternsAsResticReadsThem) {
  const auto matches = [](std::vector<std::string> patterns, std::string_view path) {
    return ExcludeList(patterns).matches(path);
  };
  EXPECT_TRUE(matches({"*.log"}, "/var/x.log"));
  EXPECT_FALSE(matches({"/*.log"}, "/var/x.log"));
  EXPECT_TRUE(matches({"/var/**/x.log"}, "/var/a/b/x.log"));
  EXPECT_TRUE(matches({"/var/**/x.log"}, "/var/x.log"));
  EXPECT_TRUE(matches({"a/b"}, "/x/a/b"));
  EXPECT_FALSE(matches({"a/b"}, "/x/a"));
  EXPECT_FALSE(matches({"*.log", "!keep.log"}, "/var/keep.log"));
  EXPECT_TRUE(matches({"[ab].txt"}, "/b.txt"));
}

}  // namespace
}  // namespace recover::backup
