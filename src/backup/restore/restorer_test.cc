// Restores: what we and restic backed up comes back, nothing outside the target is touched, and a
// restore that was broken off goes on.
#include "backup/restore/restorer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "backup/format/tree.h"
#include "backup/repo/pack_builder.h"
#include "test/restic_archive.h"

namespace recover::backup {
namespace {

using test::noise;

class Restores : public test::ResticArchive {
 protected:
  void fill() {
    test::spill(data("text"), "hello\n");
    test::spill(data("empty"), "");
    test::spill(data("odd \"\\ \n\xff"), "odd");
    test::spill(data("deep/er/file"), noise(100'000));
    test::spill(data("deep/large"), noise(9U << 20U));
    test::spill(data("zeros"), std::string(5U << 20U, '\0'));
    std::filesystem::create_directories(data("empty folder"));
    std::filesystem::create_hard_link(data("text"), data("deep/hard"));
    std::filesystem::create_symlink("/etc/\xff", data("link"));
    ASSERT_EQ(::mkfifo(data("fifo").c_str(), 0640), 0);
    if (::geteuid() == 0) {
      ASSERT_EQ(::mknod(data("null").c_str(), S_IFCHR | 0666, makedev(1, 3)), 0);
    }
    ASSERT_EQ(::chmod(data("text").c_str(), 06751), 0);
    ::setxattr(data("text").c_str(), "user.a", "value", 5, 0);
    ::setxattr(data("deep").c_str(), "user.b", "", 0, 0);
    const timespec times[2] = {{.tv_sec = -5, .tv_nsec = 120}, {.tv_sec = -5, .tv_nsec = 120}};
    ASSERT_EQ(::utimensat(AT_FDCWD, data("deep").c_str(), times, 0), 0);
  }
  RestoreReport restore_latest(RestoreOptions options) {
    options.to = folder_ / "out";
    const auto snapshot = repository_->find_snapshot("latest");
    EXPECT_TRUE(snapshot);
    auto report = restore(*repository_, snapshot->snapshot, options, progress_.emplace());
    EXPECT_TRUE(report) << report.error().message;
    return report ? *report : RestoreReport();
  }
  std::string out() { return folder_ / "out" + data_; }

  std::optional<RestoreProgress> progress_;
};

TEST_F(Restores, EverythingComesBack) {
  fill();
  back_up();
  EXPECT_EQ(restore_latest({.verify = true}).problem_count, 0U);
  EXPECT_TRUE(are_alike(data_, out()));
}

TEST_F(Restores, WhatResticBackedUpComesBack) {
  fill();
  std::filesystem::remove(data("link"));  // Debian's restic loses bytes that are no UTF-8.
  ASSERT_TRUE(restic_.run("backup '" + data_ + "'")) << restic_.output;
  EXPECT_EQ(restore_latest({.sparse = true}).problem_count, 0U);
  EXPECT_TRUE(are_alike(data_, out()));
}

TEST_F(Restores, ASecondTimeWritesOnlyWhatDiffers) {
  fill();
  back_up();
  restore_latest({});
  test::spill(out() + "/deep/er/file", noise(100'000, "other"));
  std::filesystem::remove(out() + "/empty");
  EXPECT_EQ(restore_latest({}).problem_count, 0U);
  EXPECT_TRUE(are_alike(data_, out()));
  EXPECT_EQ(progress_->skipped, progress_->files - 4U) << "two that differ and two hard links";
}

TEST_F(Restores, ChosenPathsOnly) {
  fill();
  back_up();
  EXPECT_EQ(restore_latest({.selective = {data("deep/er"), data("text")}}).problem_count, 0U);
  EXPECT_TRUE(std::filesystem::exists(out() + "/deep/er/file"));
  EXPECT_TRUE(std::filesystem::exists(out() + "/text"));
  EXPECT_FALSE(std::filesystem::exists(out() + "/empty"));
  EXPECT_FALSE(std::filesystem::exists(out() + "/deep/large"));
}

TEST_F(Restores, AChosenPathThatIsNotThereRestoresNothing) {
  fill();
  back_up();
  const auto snapshot = repository_->find_snapshot("latest");
  RestoreProgress progress;
  const auto report =
      restore(*repository_, snapshot->snapshot,
              {.to = folder_ / "out", .selective = {data("text"), data("nowhere")}}, progress);
  EXPECT_EQ(report.error().kind, FailureKind::NotFound);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

TEST_F(Restores, ADryRunTouchesNothing) {
  fill();
  back_up();
  EXPECT_EQ(restore_latest({.dry_run = true}).problem_count, 0U);
  EXPECT_EQ(progress_->files, 7U);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "out"));
}

TEST_F(Restores, LinksInTheTargetAreNotFollowed) {
  fill();
  back_up();
  std::filesystem::create_directories(out());
  std::filesystem::create_directories(folder_ / "elsewhere");
  test::spill(folder_ / "elsewhere/victim", "untouched");
  std::filesystem::create_directory_symlink(folder_ / "elsewhere", out() + "/deep");
  std::filesystem::create_symlink(folder_ / "elsewhere/victim", out() + "/text");
  EXPECT_GT(restore_latest({}).problem_count, 0U) << "a link is in the way of a folder";
  EXPECT_EQ(test::slurp(folder_ / "elsewhere/victim"), "untouched");
  EXPECT_FALSE(std::filesystem::exists(folder_ / "elsewhere/er"));
  EXPECT_EQ(test::slurp(out() + "/text"), "hello\n");
  EXPECT_FALSE(std::filesystem::is_symlink(out() + "/text"));
}

// A tree as only an attacker writes it.
TEST_F(Restores, HostileNamesAreRefused) {
  BlobCodec codec(repository_->key(), kDefaultLevel);
  IndexText index;
  const auto store_tree = [&](std::string_view text) {
    PackBuilder builder;
    const Digest id = sha256(view_of(text));
    EXPECT_TRUE(builder.add(codec, BlobType::Tree, id, view_of(text)));
    const FinishedPack pack = builder.finish(codec.cipher());
    EXPECT_TRUE(store_.write({.kind = FileKind::Pack, .id = pack.index.id}, pack.bytes));
    index.add(pack.index);
    return id;
  };
  std::string nodes;
  for (const std::string name : {"..", ".", "a/b", "../escape", "good"}) {
    nodes += (nodes.empty() ? "" : ",");
    nodes += R"({"name":")" + name +
             R"(","type":"file","mode":420,"mtime":"2020-01-01T00:00:00Z",)"
             R"("atime":"2020-01-01T00:00:00Z","ctime":"2020-01-01T00:00:00Z","content":[]})";
  }
  const Digest tree = store_tree("{\"nodes\":[" + nodes + "]}\n");
  ASSERT_TRUE(repository_->save(FileKind::Index, index.finish()));
  Snapshot snapshot;
  snapshot.tree = tree;
  RestoreProgress progress;
  std::filesystem::create_directories(folder_ / "a");
  const auto report = restore(*repository_, snapshot, {.to = folder_ / "a/out"}, progress);
  ASSERT_TRUE(report);
  EXPECT_EQ(report->problem_count, 4U);
  EXPECT_TRUE(std::filesystem::exists(folder_ / "a/out/good"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "a/escape"));
}

}  // namespace
}  // namespace recover::backup
