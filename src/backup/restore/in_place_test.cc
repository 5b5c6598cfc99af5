// Restores onto the paths themselves: what stood there can be had back, also when it went wrong.
#include "backup/restore/in_place.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <thread>

#include "backup/browse/tree_walk.h"
#include "test/restic_archive.h"

namespace recover::backup {
namespace {

namespace fs = std::filesystem;
using test::noise;
using test::slurp;
using test::spill;

class InPlace : public test::ResticArchive {
 protected:
  void SetUp() override {
    test::ResticArchive::SetUp();
    if (!repository_) return;
    spill(data("conf/a"), "old a");
    spill(data("conf/b"), "old b");
    spill(data("conf/deep/c"), noise(200'000));
    spill(data("other"), "other");
    options_.excludes = {"*.tmp"};
    back_up();
    snapshot_ = *repository_->find_snapshot("latest");
  }
  Outcome<InPlaceReport> put_back(std::vector<std::string> selective, bool exact = false) {
    const InPlaceOptions options{.selective = std::move(selective),
                                 .exact = exact,
                                 .host = "h",
                                 .user = "u",
                                 .now = {.seconds = options_.now.seconds += 1}};
    return restore_in_place(*repository_, snapshot_, options, progress_.emplace());
  }
  // Whether the undo snapshot has it.
  bool is_kept(const Outcome<InPlaceReport>& report, const std::string& path) const {
    if (!report || !report->undo) return false;
    const auto undo = repository_->find_snapshot(hex(*report->undo));
    const auto index = repository_->load_index();
    return undo && index && find_node(*repository_, *index, undo->snapshot.tree, path);
  }
  // Each file and the hash of its content.
  std::map<std::string, std::string> all() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(data_)) {
      if (!entry.is_regular_file()) continue;
      files.emplace(entry.path(), hex(sha256(view_of(slurp(entry.path())))));
    }
    return files;
  }

  Repository::FoundSnapshot snapshot_;
  std::optional<RestoreProgress> progress_;
};

TEST_F(InPlace, WhatDiffersComesBackAndTheRestIsLeftAlone) {
  spill(data("conf/a"), "new a");
  fs::remove_all(data("conf/deep"));
  spill(data("conf/extra"), "extra");
  ASSERT_EQ(::chmod(folder_.path().c_str(), 0751), 0);
  const auto report = put_back({data("conf")});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(report->rolled_back) << report->restored.problems.front();
  EXPECT_EQ(slurp(data("conf/a")), "old a");
  EXPECT_EQ(slurp(data("conf/deep/c")), noise(200'000));
  EXPECT_EQ(slurp(data("conf/extra")), "extra");
  EXPECT_EQ(progress_->skipped, 1U) << "b was as wanted";
  struct stat info {};
  ASSERT_EQ(::stat(folder_.path().c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777U, 0751U) << "only on the way";
}

TEST_F(InPlace, ExactRemovesWhatWasAddedButNotWhatWasExcluded) {
  spill(data("conf/extra"), "extra");
  spill(data("conf/more/extra"), "extra");
  spill(data("conf/run.tmp"), "excluded");
  fs::remove(data("conf/b"));
  fs::create_directory(data("conf/b"));
  fs::remove_all(data("conf/deep"));
  spill(data("conf/deep"), "a file now");
  const auto report = put_back({data("conf")}, true);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(report->rolled_back) << report->restored.problems.front();
  EXPECT_FALSE(fs::exists(data("conf/extra")));
  EXPECT_FALSE(fs::exists(data("conf/more")));
  EXPECT_TRUE(fs::exists(data("conf/run.tmp")));
  EXPECT_EQ(slurp(data("conf/b")), "old b");
  EXPECT_EQ(slurp(data("conf/deep/c")), noise(200'000));
  EXPECT_EQ(slurp(data("other")), "other");
}

TEST_F(InPlace, IsUndoneByItsUndoSnapshot) {
  spill(data("conf/a"), "new a");
  spill(data("conf/extra"), "extra");
  fs::remove(data("conf/b"));
  const auto before = all();
  const auto report = put_back({data("conf")});
  ASSERT_TRUE(report) << report.error().message;
  ASSERT_TRUE(report->undo);
  EXPECT_NE(all(), before);
  snapshot_ = *repository_->find_snapshot(hex(*report->undo));
  EXPECT_EQ(snapshot_.snapshot.tags, std::vector<std::string>{kBeforeRestoreTag});
  ASSERT_TRUE(put_back({}, true));
  EXPECT_EQ(all(), before);
}

// A pack is damaged: some files would come back and others not.
TEST_F(InPlace, WhatCannotBeRestoredWholeIsPutBackAsItStood) {
  spill(data("conf/deep/c"), noise(200'000, "new"));
  spill(data("conf/a"), "new a");
  spill(data("conf/mine"), "mine");
  fs::remove(data("other"));
  const auto before = all();
  const auto index = repository_->load_index();
  const auto tree_of = [&](const char* name) { return sha256(view_of(std::string(name))); };
  const auto place = index->find({.id = tree_of("old b"), .type = BlobType::Data});
  ASSERT_TRUE(place);
  const std::string pack = hex(place->pack);
  const std::string path = restic_.repository + "/data/" + pack.substr(0, 2) + "/" + pack;
  fs::permissions(path, fs::perms::owner_all);
  std::string bytes = slurp(path);
  const auto broken = index->find({.id = tree_of("old a"), .type = BlobType::Data});
  ASSERT_TRUE(broken);
  bytes[broken->entry.offset + 17] ^= 1;
  spill(path, bytes);
  const auto report = put_back({data("conf"), data("other")}, true);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_TRUE(report->rolled_back);
  EXPECT_GT(report->restored.problem_count, 0U);
  EXPECT_EQ(report->roll_back_report.problem_count, 0U)
      << report->roll_back_report.problems.front();
  EXPECT_EQ(all(), before);
}

TEST_F(InPlace, AFullDiskLosesNothing) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  const std::string disk = folder_ / "disk";
  fs::create_directory(disk);
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=600k"), 0);
  spill(disk + "/large", noise(400'000, "one"));
  options_.paths = {disk};
  back_up();
  snapshot_ = *repository_->find_snapshot("latest");
  spill(disk + "/large", noise(400'000, "two"));
  spill(disk + "/small", "small");
  const auto report = put_back({});
  EXPECT_TRUE(report);
  EXPECT_TRUE(report && report->rolled_back) << "both do not fit";
  EXPECT_EQ(slurp(disk + "/large"), noise(400'000, "two"));
  EXPECT_EQ(slurp(disk + "/small"), "small");
  ::umount2(disk.c_str(), MNT_DETACH);
}

// As with one_file_system: the backup has the folder below the mount point.
TEST_F(InPlace, ExactTouchesNothingThatIsMountedBelow) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  const std::string disk = data("conf/disk");
  fs::create_directory(disk);
  const auto mounted = [&](const std::string& at) {
    ASSERT_EQ(::mount("tmpfs", at.c_str(), "tmpfs", 0, "size=600k,mode=0700"), 0);
    spill(at + "/kept", "kept");
  };
  mounted(disk);
  options_.one_file_system = true;
  back_up();
  snapshot_ = *repository_->find_snapshot("latest");
  fs::create_directories(data("conf/added/disk"));
  mounted(data("conf/added/disk"));
  spill(data("conf/added/file"), "added");
  for (const bool named : {false, true}) {
    const std::vector<std::string> chosen = named ? std::vector{disk} : std::vector{data("conf")};
    const auto report = put_back(chosen, true);
    EXPECT_TRUE(report) << report.error().message;
    EXPECT_TRUE(report && report->restored.problems.empty());
    EXPECT_TRUE(report && report->restored.left_alone.empty()) << "there was nothing to restore";
    struct stat info {};
    EXPECT_EQ(::stat(disk.c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 07777U, 0700U);
  }
  EXPECT_EQ(slurp(disk + "/kept"), "kept");
  EXPECT_EQ(slurp(data("conf/added/disk/kept")), "kept");
  EXPECT_FALSE(fs::exists(data("conf/added/file")));
  ::umount2(disk.c_str(), MNT_DETACH);
  ::umount2(data("conf/added/disk").c_str(), MNT_DETACH);
}

// A folder or file that is mounted a second time has the st_dev of everything around it. In a mount
// namespace of a thread's own, which ends with it.
TEST_F(InPlace, ExactEmptiesNothingThatIsBoundBelow) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  const std::string elsewhere = folder_ / "elsewhere";
  spill(elsewhere + "/deep/kept", "kept");
  fs::create_directories(data("conf/added/bound"));
  fs::create_directories(data("conf/deep/bound"));
  spill(data("conf/one"), "below the mount");
  const auto restored = [&] {
    const auto bind = [&](const std::string& from, const std::string& to) {
      ASSERT_EQ(::mount(from.c_str(), to.c_str(), nullptr, MS_BIND, nullptr), 0);
    };
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    bind(elsewhere, data("conf/added/bound"));  // Where the snapshot has nothing,
    bind(elsewhere, data("conf/deep/bound"));   // in a folder that it has,
    bind(elsewhere + "/deep/kept", data("conf/one"));
    const auto report = put_back({data("conf")}, true);
    EXPECT_TRUE(report && report->restored.problems.empty());
    spill(data("conf/added/bound/new"), "new");
    const auto gone = put_back({data("conf/added")}, true);
    EXPECT_FALSE(gone) << "the snapshot knows nothing of it";
  };
  std::thread(restored).join();
  EXPECT_EQ(slurp(elsewhere + "/deep/kept"), "kept");
  EXPECT_EQ(slurp(elsewhere + "/new"), "new");
  EXPECT_TRUE(fs::exists(data("conf/added/bound")));
}

// And what the snapshot holds of such a folder is told, and left alone; nor is it read before.
TEST_F(InPlace, WhatIsBoundBelowIsNotRestoredInto) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  const std::string elsewhere = folder_ / "elsewhere";
  spill(elsewhere + "/kept", "kept");
  const auto restored = [&] {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const std::string deep = data("conf/deep");
    ASSERT_EQ(::mount(elsewhere.c_str(), deep.c_str(), nullptr, MS_BIND, nullptr), 0);
    const auto report = put_back({data("conf")}, true);
    EXPECT_TRUE(report && report->restored.problems.empty());
    EXPECT_TRUE(report && report->restored.left_alone == std::vector{deep});
    EXPECT_FALSE(fs::exists(elsewhere + "/c"));
    EXPECT_FALSE(is_kept(report, deep + "/kept"));
    // What was backed up by its own path is restored, so it is kept.
    snapshot_.snapshot.paths.push_back(deep);
    const auto whole = put_back({data("conf")});
    EXPECT_TRUE(whole && whole->restored.left_alone.empty());
    EXPECT_TRUE(is_kept(whole, deep + "/kept"));
  };
  std::thread(restored).join();
  EXPECT_EQ(slurp(elsewhere + "/kept"), "kept");
}

// So are single files: nothing is renamed over them, given their metadata or linked to them.
TEST_F(InPlace, AFileThatIsBoundBelowIsLeftAlone) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  const std::string elsewhere = folder_ / "elsewhere";
  spill(elsewhere + "/other", "kept");
  spill(elsewhere + "/same", "old a");
  fs::permissions(elsewhere + "/same", fs::perms::owner_all);
  fs::create_hard_link(data("conf/b"), data("conf/linked"));
  fs::create_symlink("b", data("conf/pointing"));
  back_up();
  snapshot_ = *repository_->find_snapshot("latest");
  fs::remove(data("conf/pointing"));
  spill(data("conf/pointing"), "a file now");
  spill(data("conf/b"), "new b");
  const auto restored = [&] {
    ASSERT_EQ(::unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const auto bind = [&](const std::string& from, const std::string& to) {
      ASSERT_EQ(::mount((elsewhere + from).c_str(), to.c_str(), nullptr, MS_BIND, nullptr), 0);
    };
    bind("/same", data("conf/a"));
    bind("/other", data("conf/linked"));
    bind("/other", data("conf/pointing"));
    auto report = put_back({data("conf")});
    ASSERT_TRUE(report) << report.error().message;
    EXPECT_FALSE(report->rolled_back) << report->restored.problems.front();
    std::vector<std::string>& left = report->restored.left_alone;
    std::sort(left.begin(), left.end());
    EXPECT_EQ(left, (std::vector{data("conf/a"), data("conf/linked"), data("conf/pointing")}));
    EXPECT_EQ(slurp(data("conf/b")), "old b");
  };
  std::thread(restored).join();
  EXPECT_EQ(slurp(elsewhere + "/other"), "kept");
  EXPECT_EQ(fs::status(elsewhere + "/same").permissions(), fs::perms::owner_all);
}

// The backup went into the other file system: that part is told and comes back by its own path.
TEST_F(InPlace, AnotherFileSystemComesBackByItsOwnPathOnly) {
  if (::geteuid() != 0) GTEST_SKIP() << "mounts need root";
  const std::string disk = data("conf/disk");
  fs::create_directory(disk);
  ASSERT_EQ(::mount("tmpfs", disk.c_str(), "tmpfs", 0, "size=600k"), 0);
  spill(disk + "/file", "old");
  back_up();
  snapshot_ = *repository_->find_snapshot("latest");
  spill(disk + "/file", "new");
  spill(disk + "/added", "added");
  const auto around = put_back({data("conf"), disk}, true);
  EXPECT_TRUE(around && around->restored.left_alone == std::vector{disk});
  EXPECT_EQ(slurp(disk + "/file"), "new");
  const auto within = put_back({disk}, true);
  EXPECT_TRUE(within && within->restored.problems.empty());
  EXPECT_EQ(slurp(disk + "/file"), "old");
  EXPECT_FALSE(fs::exists(disk + "/added"));
  if (within) snapshot_ = *repository_->find_snapshot(hex(*within->undo));
  EXPECT_TRUE(put_back({}, true));
  EXPECT_EQ(slurp(disk + "/file"), "new");
  EXPECT_TRUE(fs::exists(disk + "/added"));
  ::umount2(disk.c_str(), MNT_DETACH);
}

TEST_F(InPlace, WhatWasExcludedAndTheRepositoryStayWhereverTheyLie) {
  spill(data("conf/new/deep/run.tmp"), "excluded");
  spill(data("conf/new/deep/file"), "added");
  spill(data("conf/run.tmp"), "excluded");
  const auto report = put_back({data("conf")}, true);
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_FALSE(report->rolled_back) << report->restored.problems.front();
  EXPECT_EQ(slurp(data("conf/new/deep/run.tmp")), "excluded");
  EXPECT_FALSE(fs::exists(data("conf/new/deep/file")));
  snapshot_ = *repository_->find_snapshot(hex(*report->undo));
  ASSERT_EQ(snapshot_.snapshot.excludes.front(), "*.tmp");
  ASSERT_TRUE(put_back({}, true));
  EXPECT_EQ(slurp(data("conf/new/deep/run.tmp")), "excluded");
  EXPECT_EQ(slurp(data("conf/run.tmp")), "excluded");
  EXPECT_EQ(slurp(data("conf/new/deep/file")), "added");
  // Once nothing of the repository was in the backup, once all of it.
  const std::string repository = fs::path(restic_.repository).lexically_normal();
  const std::string above = fs::path(repository).parent_path();
  for (const bool whole : {false, true}) {
    options_.paths = {above};
    options_.excludes = whole ? std::vector<std::string>() : std::vector<std::string>{"repo*"};
    back_up();
    snapshot_ = *repository_->find_snapshot("latest");
    snapshot_.snapshot.excludes.clear();
    const auto done = put_back({above}, true);
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_TRUE(done->restored.problems.empty()) << done->restored.problems.front();
    EXPECT_TRUE(repository_->find_snapshot(hex(*done->undo)));
    EXPECT_EQ(done->restored.left_alone.size(), whole ? 1U : 0U);
  }
}

TEST_F(InPlace, WhatWasNotThereGoesAgain) {
  fs::remove_all(data("conf"));
  const auto report = put_back({data("conf")});
  ASSERT_TRUE(report) << report.error().message;
  EXPECT_EQ(report->absent, std::vector{data("conf")});
  EXPECT_EQ(slurp(data("conf/a")), "old a");
  ASSERT_TRUE(report->undo);
  const auto first = snapshot_;
  snapshot_ = *repository_->find_snapshot(hex(*report->undo));
  ASSERT_TRUE(put_back({}));
  EXPECT_TRUE(fs::exists(data("conf/a"))) << "only an exact restore removes";
  const auto undone = put_back({}, true);
  ASSERT_TRUE(undone) << undone.error().message;
  EXPECT_FALSE(fs::exists(data("conf")));
  EXPECT_TRUE(fs::exists(data("other")));
  snapshot_ = *repository_->find_snapshot(hex(*undone->undo));
  ASSERT_TRUE(put_back({}, true)) << "and that can be undone too";
  EXPECT_EQ(slurp(data("conf/a")), "old a");
}

TEST_F(InPlace, ALinkOnTheWayOrAPathThatIsNotHeldTouchesNothing) {
  spill(data("conf/a"), "new a");
  EXPECT_EQ(put_back({data("conf"), data("nowhere")}).error().kind, FailureKind::NotFound);
  fs::rename(data("conf"), data("moved"));
  fs::create_directory_symlink(data("moved"), data("conf"));
  EXPECT_EQ(put_back({data("conf/a")}).error().kind, FailureKind::Invalid);
  EXPECT_EQ(slurp(data("moved/a")), "new a");
  EXPECT_EQ(repository_->snapshots()->size(), 1U) << "nothing was kept either";
}

}  // namespace
}  // namespace recover::backup
